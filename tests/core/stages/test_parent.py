"""Parents: each cut at its limit, the survey's key, and regions that no cut moves."""

from typing import Any

import numpy as np
import pytest

from halo_core.constants import EXTINCTION_PER_EBV
from halo_core.errors import ConfigurationError, SurveyDataError
from halo_core.flags import Flag
from halo_core.stages.parent import is_primary
from halo_core.stages.parent_variants import VARIANTS, desi_lrg_mask, variant_masks
from tests.fixtures.parents import make_bricks, make_objects, parent_config, select_parents

N = 400


def nmgy(mag: float) -> float:
    return float(10 ** (0.4 * (22.5 - mag)))


def one(**columns: Any) -> dict[str, Any]:
    """Return one object that passes the DESI cuts, without extinction, with columns replaced."""
    clean = {"ebv": 0.0} | {f"mw_transmission_{band}": 1.0 for band in ("g", "r", "z", "w1")}
    clean |= {"flux_g": nmgy(22.0), "flux_r": nmgy(20.3), "flux_z": nmgy(19.0), "flux_w1": nmgy(17.3)}
    return make_objects(1, seed=1, **{name: np.array([value]) for name, value in (clean | columns).items()})


def flow_of(objects: dict[str, Any], **changes: Any) -> dict[str, int]:
    _, flow = select_parents(objects, make_bricks(objects["brickid"]), parent_config(**changes))
    return {step.name: step.n_before - step.n_after for step in flow}


def test_a_good_sample_is_kept_whole_with_its_columns() -> None:
    objects = make_objects(N, seed=2)
    table, flow = select_parents(objects, make_bricks(objects["brickid"]), parent_config())
    assert table.num_rows == N == flow[0].n_before
    row = table.slice(7, 1).to_pylist()[0]
    assert row["host_id"] == f"10000:{objects['brickid'][7]}:7"
    assert (row["zmag_mw"], row["rmag_mw"], row["w1mag_mw"]) == pytest.approx((19.0, 20.3, 17.3), abs=1e-9)
    assert row["rmag"] == pytest.approx(20.3 + EXTINCTION_PER_EBV["r"] * 0.05, abs=1e-9)
    assert (row["rz"], row["zw1"]) == pytest.approx((row["rmag"] - row["zmag"], row["zmag"] - row["w1mag"]))
    assert (row["psfsize_r_arcsec"], row["psfdepth_z_mag"], row["ebv"]) == (1.3, 23.3, 0.05)
    assert all(row[f"is_{name}"] for name in (*VARIANTS, "desi_lrg"))


@pytest.mark.parametrize(
    ("name", "z_max", "rz_min", "zw1_min"),
    [
        ("v1_pure_massive", 20.0, 0.5, 1.6),
        ("v2_baseline_dr10", 20.4, 0.4, 1.6),
        ("v3_color_relaxed", 20.4, 0.4, 0.8),
        ("v4_mag_relaxed", 21.0, 0.4, 0.8),
        ("v5_very_relaxed", 21.5, 0.3, 0.8),
    ],
)
def test_variant_cuts_are_strict(name: str, z_max: float, rz_min: float, zw1_min: float) -> None:
    def passes(z: float, rz: float, zw1: float, kind: str = "DEV") -> bool:
        masks = variant_masks(rmag=np.array([z + rz]), zmag=np.array([z]), w1mag=np.array([z - zw1]), kind=np.array([kind]))
        return bool(masks[name][0])

    good = (z_max - 0.1, rz_min + 0.1, zw1_min + 0.1)
    assert passes(*good)
    assert not passes(*good, kind="PSF")
    assert not passes(z_max, rz_min + 0.1, zw1_min + 0.1)
    assert not passes(z_max - 0.1, rz_min - 1e-9, zw1_min + 0.1)
    assert not passes(z_max - 0.1, rz_min + 0.1, zw1_min - 1e-9)


def test_variants_look_at_raw_magnitudes() -> None:
    # z 20.38 corrected is 20.44 raw at E(B-V) 0.05: too faint for v3
    objects = make_objects(1, seed=1, flux_z=np.array([nmgy(20.38 + 0.05 * EXTINCTION_PER_EBV["z"])]), flux_w1=np.array([nmgy(18.0)]))
    assert flow_of(objects)["v3_color_relaxed"] == 1
    assert flow_of(objects | {"flux_r": np.array([nmgy(22.0)])}, variant="v4_mag_relaxed")["v4_mag_relaxed"] == 0


@pytest.mark.parametrize(
    ("columns", "is_lrg"),
    [
        ({}, True),
        ({"flux_w1": nmgy(19.0 - (0.8 * 1.3 - 0.6) + 0.01)}, False),  # 1: z - W1 > 0.8 (r - z) - 0.6
        ({"fiberflux_z": nmgy(21.59)}, True),  # 2: z_fiber < 21.60
        ({"fiberflux_z": nmgy(21.61)}, False),
        ({"flux_g": nmgy(20.2), "flux_r": nmgy(19.05)}, False),  # 3: g - W1 = 2.9 and r - W1 = 1.75
        ({"flux_w1": nmgy(18.6), "flux_z": nmgy(20.0), "flux_r": nmgy(21.1), "flux_g": nmgy(23.0)}, False),  # 4: 2.5 < 1.8 x 1.46
        ({"flux_w1": nmgy(18.6), "flux_z": nmgy(20.0), "flux_r": nmgy(21.91), "flux_g": nmgy(23.0)}, True),  # 4: r - W1 = 3.31 > 3.3
        ({"flux_ivar_w1": 0.0}, False),
        ({"nobs_g": 0}, False),
        ({"gaia_phot_g_mean_mag": 17.9}, False),
        ({"gaia_phot_g_mean_mag": 18.1}, True),
        ({"fibertotflux_z": 100.0}, False),
        ({"maskbits": 1 << 1}, False),
        ({"maskbits": 1 << 12}, False),
        ({"maskbits": 1 << 13}, False),
        ({"maskbits": 1 << 11}, True),
        ({"flux_g": -1.0}, True),  # r - W1 = 3 passes cut 3 without g
        ({"flux_z": -1.0}, False),
    ],
)
def test_desi_cuts_stand_where_the_targeting_puts_them(columns: dict[str, float], is_lrg: bool) -> None:
    assert desi_lrg_mask(one(**columns)).tolist() == [is_lrg]


def test_desi_cuts_look_at_corrected_magnitudes() -> None:
    assert desi_lrg_mask(one(fiberflux_z=nmgy(21.7), mw_transmission_z=0.9, flux_z=nmgy(19.0) * 0.9)).tolist() == [True]


def test_negative_fluxes_have_no_magnitude_and_pass_no_cut_that_needs_one() -> None:
    objects = make_objects(4, seed=3)
    objects["flux_g"][0] = -0.3
    objects["flux_r"][1] = objects["flux_w1"][2] = objects["flux_z"][3] = -0.3
    table, _ = select_parents(objects, make_bricks(objects["brickid"]), parent_config())
    assert table["objid"].to_pylist() == [0]
    assert table["gmag"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"ebv": 0.121}, "brick_ebv"),
        ({"psfsize_r_arcsec": 1.61}, "brick_psfsize_r"),
        ({"psfdepth_r_mag": 23.59}, "brick_psfdepth_r"),
        ({"psfsize_r_arcsec": np.nan}, "brick_psfsize_r"),
    ],
)
def test_bricks_beyond_a_limit_or_unknown_are_cut(columns: dict[str, float], name: str) -> None:
    objects = make_objects(5, seed=4)
    bricks = make_bricks(objects["brickid"], **{key: np.full(5, value) for key, value in columns.items()})
    table, flow = select_parents(objects, bricks, parent_config())
    assert table.num_rows == 0
    assert {step.name: step.n_before - step.n_after for step in flow}[name] == 5


def test_brick_limits_include_their_value() -> None:
    objects = make_objects(5, seed=4)
    limits = {"ebv": np.full(5, 0.12), "psfsize_r_arcsec": np.full(5, 1.6), "psfdepth_r_mag": np.full(5, 23.6)}
    assert select_parents(objects, make_bricks(objects["brickid"], **limits), parent_config())[0].num_rows == 5


def test_a_brick_that_was_not_seen_in_a_band_leaves_its_condition_null_and_a_flag() -> None:
    objects = make_objects(5, seed=3)
    sizes = np.where(np.unique(objects["brickid"]) == objects["brickid"][1], np.nan, 1.5)
    seen = make_bricks(objects["brickid"], psfsize_g_arcsec=sizes)
    rows = select_parents(objects, seen, parent_config())[0].to_pylist()
    assert [row["psfsize_g_arcsec"] for row in rows] == [1.5, None, 1.5, 1.5, 1.5]
    assert [row["parent_flags"] for row in rows] == [0, Flag.CONDITIONS_UNKNOWN, 0, 0, 0]


def test_objects_of_bricks_that_are_not_in_the_table_are_counted() -> None:
    objects = make_objects(6, seed=5)
    _, flow = select_parents(objects, make_bricks(objects["brickid"][:4]), parent_config())
    assert {step.name: step.n_before - step.n_after for step in flow}["brick_in_table"] == 2


def test_only_the_owner_of_a_position_is_primary() -> None:
    objects = make_objects(4, seed=6)
    objects["brickid"][0] += 1
    objects["type"][1] = "DUP"
    objects["brick_primary"] = np.array([True, True, False, True])
    assert is_primary(objects).tolist() == [False, False, False, True]


def test_regions_and_splits_do_not_change_with_the_cuts() -> None:
    objects = make_objects(N, seed=8)
    for band in ("g", "r", "z", "w1"):
        objects[f"flux_{band}"][::3] *= 0.3
    loose, strict = (
        select_parents(objects, make_bricks(objects["brickid"]), parent_config(variant=name))[0]
        for name in ("v5_very_relaxed", "v1_pure_massive")
    )
    names = ("host_id", "region_id", "region_split", "is_guard")
    wide, narrow = ({row["host_id"]: row for row in table.select(names).to_pylist()} for table in (loose, strict))
    assert 0 < len(narrow) < len(wide)
    assert all(wide[host] == row for host, row in narrow.items())


def test_rows_of_the_guard_band_are_kept_and_marked() -> None:
    objects = make_objects(4000, seed=9)
    table, flow = select_parents(objects, make_bricks(objects["brickid"]), parent_config(guard_arcsec=300.0))
    n_guard = sum(table["is_guard"].to_pylist())
    assert table.num_rows == 4000
    assert (flow[-1].name, flow[-1].n_before - flow[-1].n_after, flow[-1].is_kept) == ("guard_band", n_guard, True)
    assert 300 < n_guard < 2000


@pytest.mark.parametrize(
    "changes",
    [{"variant": "v9"}, {"ebv_max": 0.0}, {"guard_arcsec": float("nan")}, {"healpix_nside": 60}, {"split_fractions": {"train": 0.5}}],
)
def test_a_bad_selection_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        parent_config(**changes)


def test_the_variant_of_outside_tables_selects_nothing_from_sweeps() -> None:
    with pytest.raises(SurveyDataError, match="variant external"):
        select_parents(make_objects(1, seed=1), make_bricks([1]), parent_config(variant="external"))
