"""Planning: the reference campaign's numbers, what is refused, and what shortage does."""

import pytest

from halo_core.errors import ConfigurationError, ManifestError
from halo_core.stages.planning import check_supply, fit_to_supply, plan, plan_row
from tests.fixtures.parents import reference_config, small_config

SIZES = {"grid_small": 48, "grid_medium": 360}
PLENTY = {"train": 10**6, "val": 10**6, "test": 10**6}


def totals(tier: str) -> tuple[int, int]:
    rows = [row for row in plan(reference_config(), SIZES) if row.tier == tier]
    return sum(row.n_injections for row in rows), sum(row.n_controls for row in rows)


def test_the_reference_campaign_has_its_exact_counts() -> None:
    assert totals("debug") == (1_440, 0)
    assert totals("grid") == (86_400, 9_600)
    assert totals("train") == (600_000, 600_000)
    rows = plan(reference_config(), SIZES)
    assert sum(row.n_physical for row in rows) == 1_297_440
    assert sum(row.n_rows for row in rows) == 2_594_880


def test_the_reference_campaign_needs_its_hosts_per_split() -> None:
    hosts = {
        row.tier: (row.n_injection_hosts, row.n_controls, row.n_hosts_least)
        for row in plan(reference_config(), SIZES)
        if row.split == "val"
    }
    assert hosts == {"debug": (240, 0, 5), "grid": (14_400, 3_200, 3_240), "train": (100_000, 200_000, 300_000)}


def test_each_stamp_size_and_bandset_multiplies_rows_and_nothing_else() -> None:
    rows = plan(reference_config(stamp_sizes=(64, 96, 128), bandsets=("grz", "r")), SIZES)
    assert sum(row.n_rows for row in rows) == 6 * sum(row.n_physical for row in rows) == 6 * 1_297_440


def test_only_the_named_splits_are_planned() -> None:
    rows = plan(reference_config(splits=("train",)), SIZES)
    assert {row.split for row in rows} == {"train"}
    assert sum(row.n_physical for row in rows) == 1_297_440 // 3


@pytest.mark.parametrize(("share", "n_controls"), [(0.0, 0), (0.1, 2), (0.3, 7), (0.5, 16), (0.9, 144)])
def test_controls_of_a_grid_tier_come_on_top_as_a_share_of_the_tier(share: float, n_controls: int) -> None:
    # 8 configurations x 1 host x 2 replicates = 16 injections; controls = 16 share / (1 - share), to the nearest integer
    row = plan_row(small_config(control_frac={"debug": 0.0, "grid": share, "train": 0.5}), "grid", "val", n_configs=8, amount=1)
    assert (row.n_injections, row.n_controls) == (16, n_controls)


def test_a_plan_above_the_limit_is_refused_with_number_and_parameter() -> None:
    with pytest.raises(ManifestError, match=r"2,594,880 tasks, above max_total_tasks = 2,594,879"):
        plan(reference_config(max_total_tasks=2_594_879), SIZES)
    assert plan(reference_config(max_total_tasks=2_594_880), SIZES)


def test_shortage_names_tier_split_and_missing_hosts() -> None:
    rows = plan(reference_config(), SIZES)
    shortages = check_supply(rows, PLENTY | {"val": 299_999})
    assert [(item.tier, item.split, item.n_hosts_needed - item.n_hosts_found) for item in shortages] == [("train", "val", 1)]
    with pytest.raises(
        ManifestError, match="tier train, split val: at least 300000 distinct hosts are needed, 299999 exist, 1 are missing"
    ):
        fit_to_supply(reference_config(), rows, PLENTY | {"val": 299_999})


def test_enough_hosts_change_nothing() -> None:
    rows = plan(reference_config(), SIZES)
    assert fit_to_supply(reference_config(), rows, PLENTY) == (rows, [])


@pytest.mark.parametrize(("n_hosts", "amount"), [(300_000, 200_000), (299_999, 199_999), (30_000, 20_000), (7, 5), (1, 1)])
def test_reduction_plans_the_largest_amount_that_the_hosts_allow(n_hosts: int, amount: int) -> None:
    config = reference_config(on_shortage="reduce", tiers=("train",))
    rows, findings = fit_to_supply(config, plan(config, SIZES), PLENTY | {"test": n_hosts})
    reduced = rows[-1]
    assert (reduced.split, reduced.amount) == ("test", amount)
    assert reduced.n_hosts_least <= n_hosts
    assert plan_row(config, "train", "test", n_configs=48, amount=amount + 1).n_hosts_least > n_hosts or amount == 200_000
    assert [finding.is_ok for finding in findings] == ([] if amount == 200_000 else [False])


def test_a_reduction_is_recorded_with_what_was_asked_and_got() -> None:
    config = reference_config(on_shortage="reduce", tiers=("grid",))
    rows, findings = fit_to_supply(config, plan(config, SIZES), PLENTY | {"train": 1_000})
    assert rows[0].n_hosts_least <= 1_000
    assert findings[0].severity == "warning"
    assert "n_per_config 40" in findings[0].expected
    assert f"n_per_config {rows[0].amount}," in findings[0].observed


def test_a_split_without_hosts_cannot_be_reduced_away() -> None:
    config = reference_config(on_shortage="reduce")
    with pytest.raises(ManifestError, match=r"split val: .* 0 exist.*smallest amount"):
        fit_to_supply(config, plan(config, SIZES), {"train": 10**6, "test": 10**6})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tiers": ("debug", "deep")}, "tiers is .*deep"),
        ({"tiers": ()}, "tiers is"),
        ({"splits": ("train", "train")}, "distinct"),
        ({"stamp_sizes": (64, 64)}, "stamp_sizes"),
        ({"stamp_sizes": (4,)}, "stamp_sizes"),
        ({"bandsets": ("zrg",)}, "bandsets"),
        ({"bandsets": ("gz",)}, "r among them"),
        ({"control_frac": {"debug": 0.0, "grid": 1.0, "train": 0.5}}, r"control_frac of tier grid is 1.0"),
        ({"control_frac": {"debug": 0.0, "grid": 0.1}}, "control_frac gives no value for tier train"),
        ({"n_per_config": {"debug": 5}}, "n_per_config gives no value for tier grid"),
        ({"n_per_config": {"debug": 0, "grid": 1}}, "n_per_config of tier debug is 0"),
        ({"n_total_train_per_split": 0}, "n_total_train_per_split is 0"),
        ({"grids": {"debug": "grid_small"}}, "grids gives no value for tier grid"),
        ({"replicates": 0}, "replicates is 0"),
        ({"replicates": True}, "replicates is True"),
        ({"on_shortage": "shrug"}, "on_shortage is 'shrug'"),
        ({"priors": {}}, "priors are given for"),
    ],
)
def test_a_bad_configuration_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        reference_config(**changes)


def test_the_order_of_names_and_unplanned_tiers_do_not_change_the_parameters() -> None:
    one = reference_config(tiers=("grid", "debug"), stamp_sizes=(96, 64))
    other = reference_config(tiers=("debug", "grid"), stamp_sizes=(64, 96), n_total_train_per_split=7, max_total_tasks=10**9)
    assert one.to_parameters() == other.to_parameters()
    assert one.to_parameters() != reference_config(tiers=("debug", "grid"), sampling_seed=14).to_parameters()
