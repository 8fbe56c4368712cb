"""Laws of `halo compare`: two runs in one state, the same injections paired, errors of one line, a page that a browser reads."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from luigi.execution_summary import LuigiStatusCode

from halo_core.report.comparison import IDENTICAL, ComparisonData
from halo_core.store.sessions import read
from luigi_tasks import compare_data
from luigi_tasks.cli import main
from luigi_tasks.compare_data import collect_comparison
from tests.fixtures.browsers import needs_browser, new_browser
from tests.fixtures.campaigns import Place


@pytest.fixture(scope="module")
def two_runs(done_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place with the tiny campaign, and one that asks for a peak that no injection has; nothing is injected again."""
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(done_place.folder / "halo_data", folder / "halo_data")
    place = Place(folder, done_place.changes)
    attempts = place.attempts("injection")
    assert place.run(campaign_name="strict", snr_peak_pixel_min=1e6, min_n=1) == LuigiStatusCode.SUCCESS
    assert place.attempts("injection") == attempts
    return place


def compare(place: Place, *words: str) -> Result:
    """Run the command in a place."""
    place.activate()
    return CliRunner().invoke(main, ["compare", *words])


def collected(place: Place, *names: str) -> ComparisonData:
    """Return what the page shows."""
    with read(place.state_url) as connection:
        return collect_comparison(connection, (names[0], names[1]), place.objects)


def test_injections_that_both_have_are_paired_and_counted_as_the_state_counts_them(two_runs: Place) -> None:
    result = compare(two_runs, "tiny", "strict")
    assert result.exit_code == 0, result.output
    page = Path(result.output.split("\n")[-2])
    assert page == two_runs.report.with_name("compare_tiny_strict.html")
    assert "proxy_reference is not the same in both" in result.output
    data = collected(two_runs, "tiny", "strict")
    known = "FROM v_task_full WHERE campaign = 'tiny' AND NOT is_control AND tier = :tier AND stamp_size = :size"
    met = "AND metrics_ok AND arc_snr >= 5 AND theta_e_arcsec / psf_fwhm_used_r_arcsec >= 0.8"
    for row in (row for row in data.paired if row.subset == "all" and row.criterion == "proxy_reference"):
        at = {"tier": row.key[0], "size": row.key[1]}
        assert (row.n_matched, row.n_unmatched) == (two_runs.rows(f"SELECT COUNT(*) AS n {known}", **at)[0]["n"], (0, 0))
        assert row.difference.n_pairs == two_runs.rows(f"SELECT COUNT(*) AS n {known} AND metrics_ok", **at)[0]["n"]
        assert row.difference.n_only_a == two_runs.rows(f"SELECT COUNT(*) AS n {known} {met}", **at)[0]["n"]
        assert (row.difference.n_both, row.difference.n_only_b) == (0, 0)
    assert sum(row.difference.n_only_a for row in data.paired) > 0
    assert all(row.difference.difference == 0.0 for row in data.paired if row.criterion == "snr_matched" and row.difference.n_pairs)
    assert {name for name, _, _ in data.configuration} == {"min_n", "snr_peak_pixel_min"}
    assert [word for word, one, other in data.digests if one != other] == ["summary"]


def test_a_campaign_does_not_differ_from_itself(two_runs: Place, tmp_path: Path) -> None:
    result = compare(two_runs, "strict", "strict", "--out", str(tmp_path / "same.html"))
    assert result.exit_code == 0
    assert result.output.startswith(IDENTICAL)
    data = collected(two_runs, "strict", "strict")
    assert data.is_identical
    assert all(row["difference"] in (0.0, None) for rows in data.cells.values() for row in rows)
    assert all(row.difference.n_only_a == row.difference.n_only_b == 0 for row in data.paired)
    assert data.configuration == data.cautions == []


def test_what_cannot_be_compared_is_an_error_of_one_line(two_runs: Place, tmp_path: Path) -> None:
    result = compare(two_runs, "tiny", "nobody")
    assert (result.exit_code, result.output) == (1, "halo: no campaign is called 'nobody'; known: strict, tiny\n")
    copy = Place(tmp_path, two_runs.changes)
    shutil.copytree(two_runs.folder / "halo_data", tmp_path / "halo_data")
    shutil.rmtree(copy.folder / "halo_data/objects/summary" / copy.task().digest_of("summary"))
    result = compare(copy, "strict", "tiny")
    assert result.exit_code == 1
    assert result.output == "halo: campaign 'tiny' has no summary; finish it with RunCampaign, then compare again\n"


def test_campaigns_without_an_experiment_in_common_are_an_error(two_runs: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_data, "cell_differences", lambda *_: [])
    result = compare(two_runs, "tiny", "strict")
    assert result.exit_code == 1
    assert "'tiny' and 'strict' have no tier, stamp size, bandset and criterion in common" in result.output


@needs_browser
def test_a_browser_reads_the_page_without_complaint_and_its_numbers_are_the_objects(two_runs: Place, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert compare(two_runs, "tiny", "strict", "--out", str(page)).exit_code == 0
    data = collected(two_runs, "tiny", "strict")
    with new_browser(tmp_path) as browser:
        browser.get(page.as_uri())
        assert browser.get_log("browser") == []
        shown = browser.execute_script(
            "return [...document.querySelectorAll('section[aria-labelledby=pairs] tbody tr')]"
            ".map(row => [...row.cells].map(cell => cell.innerText))"
        )
        assert browser.title == "tiny and strict – Dark Halo Scope"
    expected = [
        (*row.key, row.subset, row.n_matched, row.difference.n_pairs, row.difference.n_both, row.difference.n_only_a) for row in data.paired
    ]
    assert [tuple(row[place] for place in (0, 1, 2, 4, 5, 10, 11, 12)) for row in shown] == [tuple(map(str, row)) for row in expected]
    assert all(re.fullmatch(r"0\.000|[+-]\d\.\d{3}|–", row[15]) for row in shown)
