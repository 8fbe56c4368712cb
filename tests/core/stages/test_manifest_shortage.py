"""Few hosts: shared evenly, never twice with one configuration; too few: an error, or a recorded reduction."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from halo_core.errors import ManifestError
from halo_core.stages.grids import load_grid
from halo_core.stages.manifest import ManifestBuild, build_manifest
from tests.fixtures.parents import make_parents, small_config

GRIDS = {"grid_small": load_grid("grid_small", Path(__file__).parents[3] / "grids")}


def build(n_hosts: int, **changes: object) -> ManifestBuild:
    config = small_config(splits=("train",), stamp_sizes=(64,), block_max_injections=2_000, **changes)
    return build_manifest(make_parents({"train": n_hosts}, seed=4), config, GRIDS)


def injections(made: ManifestBuild, tier: str) -> list[dict[str, object]]:
    return [row for row in made.tasks.to_pylist() if row["tier"] == tier and not row["is_control"] and row["replicate"] == 0]


@pytest.mark.parametrize("n_hosts", [66, 80, 96 + 64, 200])
def test_few_hosts_serve_several_configurations_evenly(n_hosts: int) -> None:
    rows = injections(build(n_hosts, tiers=("grid",)), "grid")  # 96 pairs and 64 controls: 66 hosts is the least
    served = Counter(row["host_id"] for row in rows)
    assert len(served) == min(96, n_hosts - 64)
    assert max(served.values()) - min(served.values()) <= 1
    assert all(row["host_repeat"] == served[row["host_id"]] for row in rows)
    assert len({(row["host_id"], row["config_id"]) for row in rows}) == 96


@pytest.mark.parametrize("n_hosts", [66, 80, 200])
def test_configurations_stay_balanced_over_all_and_in_each_stratum(n_hosts: int) -> None:
    rows = injections(build(n_hosts, tiers=("grid",)), "grid")
    labels = GRIDS["grid_small"].config_ids()
    assert Counter(row["config_id"] for row in rows) == dict.fromkeys(labels, 2)
    strata = defaultdict(Counter)
    for row in rows:
        strata[row["psf_stratum"], row["depth_stratum"]][row["config_id"]] += 1
    assert all(max(found.values()) - min(found[label] for label in labels) <= 1 for found in strata.values())


def test_train_configurations_are_balanced_when_their_number_does_not_divide_the_hosts() -> None:
    made = build(400, tiers=("train",), n_total_train_per_split=250)  # 125 hosts for 48 configurations
    found = Counter(row["config_id"] for row in injections(made, "train"))
    assert (sum(found.values()), min(found.values()), max(found.values())) == (125, 2, 3)
    assert len({row["host_id"] for row in injections(made, "train")}) == 125


def test_too_few_controls_or_hosts_is_an_error_that_counts_them() -> None:
    with pytest.raises(ManifestError, match="tier grid, split train: at least 66 distinct hosts are needed, 65 exist, 1 are missing"):
        build(65, tiers=("grid",))
    with pytest.raises(ManifestError, match="tier train, split train: at least 144 distinct hosts are needed, 100 exist, 44 are missing"):
        build(100, tiers=("grid", "train"))


def test_reduction_builds_what_the_hosts_allow_and_says_so() -> None:
    made = build(100, tiers=("grid", "train"), on_shortage="reduce")
    assert [(row.tier, row.amount) for row in made.plan] == [("grid", 2), ("train", 67)]
    assert made.tasks.num_rows == sum(row.n_rows for row in made.plan)
    assert [(finding.check, finding.is_ok, finding.severity) for finding in made.findings] == [("supply_train_train", False, "warning")]


def test_a_stratum_that_is_too_small_gives_all_it_has_and_is_recorded() -> None:
    size = np.full(200, 1.2)
    size[:3] = 0.8
    parents = make_parents(
        {"train": 200}, seed=4, psfsize_r_arcsec=np.where(np.arange(200) < 100, 1.3, size), psfdepth_r_mag=np.full(200, 24.0)
    )
    config = small_config(splits=("train",), stamp_sizes=(64,), tiers=("train",))
    made = build_manifest(parents, config, GRIDS)
    assert sum(share.n_injection_hosts for share in made.shares) == 48
    assert sum(share.n_controls for share in made.shares) == 96
    for share in made.shares:
        assert share.n_short == max(0, 144 // len(made.shares) - share.n_injection_hosts - share.n_controls)


def test_host_in_more_injections_than_a_block_holds_is_refused() -> None:
    config = small_config(splits=("train",), stamp_sizes=(64,), tiers=("debug",), n_per_config={"debug": 1}, block_max_injections=90)
    with pytest.raises(ManifestError, match="has 96 injections, above block_max_injections = 90"):
        build_manifest(make_parents({"train": 1}, seed=4), config, GRIDS)
