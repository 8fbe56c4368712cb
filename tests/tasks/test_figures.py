"""Figures as files beside the summary: what is there, when they are drawn anew, and what a kill leaves."""

import json

import luigi
import pytest

from halo_core.errors import ConfigurationError
from halo_core.report import figures
from halo_core.stages.host_places import HEALPIX_NSIDE
from luigi_tasks import RunCampaign
from luigi_tasks.figures import FIGURES_MARK, DrawFigures, host_places
from luigi_tasks.objects import sha256_of
from luigi_tasks.report_settings import FormatsParameter
from luigi_tasks.targets import STAGE_MARK, CommitTarget
from tests.fixtures.campaigns import Place


def drawing(place: Place, *, formats: str) -> DrawFigures:
    """Return the task of the place, with these formats configured."""
    task = place.task(DrawFigures)
    luigi.configuration.get_config().set("report", "figure_formats", formats)
    return task


def endings(place: Place, task: DrawFigures) -> set[str]:
    """Return the endings of the files among the figures."""
    return {key.rsplit(".", 1)[1] for key in place.objects.list_sizes(task.output().prefix) if not key.endswith(FIGURES_MARK)}


def test_each_figure_has_its_numbers_and_its_caption_beside_the_summary(done_place: Place) -> None:
    task = drawing(done_place, formats="")
    mark = json.loads(done_place.objects.read(task.output().mark_key))
    assert (mark["version"], mark["formats"]) == (figures.VERSION, [])
    names = {key.rsplit("/", 1)[1] for key in mark["objects"]}
    stems = {"completeness_theta_e", "completeness_resolution", "completeness_src_dmag", "completeness_snr_matched", "sky_map"}
    assert names >= {f"{stem}.{ending}" for stem in stems for ending in ("csv", "txt")}
    for key, record in mark["objects"].items():
        assert sha256_of(done_place.objects.path(key)) == record["sha256"]
    caption = done_place.objects.read(f"{task.output().prefix}/sky_map.txt").decode()
    assert caption.startswith("Hosts and regions on the sky\n\n")
    assert "right ascension grows to the left" in caption


def test_the_map_holds_every_host_of_the_manifest_once(done_place: Place) -> None:
    task = done_place.task()
    run = task.clone(DrawFigures)
    run.digests = {word: task.digest_of(word) for word in ("parent", "manifest")}
    places = host_places(run)
    manifest = done_place.tables("manifest", "tasks.parquet").select(["ra", "dec", "region_id", "region_split"]).to_pylist()
    columns = ("ra_deg", "dec_deg", "region_id", "region_split")
    assert sorted(zip(*(places[name].to_pylist() for name in columns), strict=True)) == sorted({tuple(row.values()) for row in manifest})
    assert places.schema.metadata == {HEALPIX_NSIDE: str(task.healpix_nside).encode()}


def test_a_campaign_without_its_figures_is_not_complete(copied_place: Place) -> None:
    task = drawing(copied_place, formats="")
    assert task.complete()
    copied_place.objects.delete(f"{task.output().prefix}/sky_map.csv")
    assert not task.complete()
    assert not copied_place.task(RunCampaign).complete()


def test_other_formats_and_another_version_are_drawn_anew_and_leave_the_summary_alone(
    copied_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = drawing(copied_place, formats="png")
    summary = {key: seen for key, seen in copied_place.seen("summary").items() if "/figures/" not in key}
    assert not task.complete()
    one = next(iter(task._figures()))
    monkeypatch.setattr(figures, "campaign_figures", lambda *_, **__: [one])
    task.run()
    assert task.complete()
    assert endings(copied_place, task) == {"csv", "txt", "png"}
    assert copied_place.objects.read(f"{task.output().prefix}/{one.name}.png") == figures.png(one)
    monkeypatch.setattr(figures, "VERSION", figures.VERSION + 1)
    luigi.configuration.get_config().set("report", "figure_formats", "")
    assert not task.complete()
    task.run()
    assert task.complete()
    assert endings(copied_place, task) == {"csv", "txt"}
    assert {key: seen for key, seen in copied_place.seen("summary").items() if "/figures/" not in key} == summary
    assert any(key.endswith(STAGE_MARK) for key in summary)


def test_a_kill_before_the_mark_leaves_no_figures_and_the_next_run_the_same_bytes(
    copied_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = drawing(copied_place, formats="")
    before = {key: sha256 for key, (_, sha256) in copied_place.seen(task.output().prefix).items()}
    with monkeypatch.context() as patch:
        patch.setattr(CommitTarget, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            task.run()
    assert not task.complete()
    task.run()
    assert task.complete()
    assert {key: sha256 for key, (_, sha256) in copied_place.seen(task.output().prefix).items()} == before


def test_formats_are_known_ones_each_once_in_one_order() -> None:
    parameter = FormatsParameter(description="x")
    assert [parameter.normalize(parameter.parse(text)) for text in ("", "pdf, png,png", "pdf")] == [(), ("png", "pdf"), ("pdf",)]
    with pytest.raises(ConfigurationError, match="figure_formats 'png,svg': svg unknown; png, pdf are known"):
        parameter.normalize("png,svg")
