"""What regions hold: areas that add up to the bricks', medians of the parents, whatever the division of the catalogue; shares of splits."""

import numpy as np
import pyarrow as pa
import pytest

from halo_core.errors import SurveyDataError
from halo_core.stages.region_statistics import REGIONS, brick_area_deg2, region_statistics, shares_finding, split_shares
from halo_core.survey.bricks import N_BRICKS, brick_at
from halo_core.survey.regions import region_of, split_of
from tests.fixtures.parents import make_parents

FRACTIONS = {"train": 0.70, "val": 0.15, "test": 0.15}


def field(n: int = 4_000, *, seed: int = 5) -> pa.Table:
    """Return parents in a field of 3 x 3 deg, in HEALPix regions, every tenth in a guard band, some conditions unknown."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(40.0, 43.0, n), rng.uniform(-20.0, -17.0, n)
    bricks, region = brick_at(ra, dec), region_of(ra, dec, 64)
    psfsize = np.where(rng.random(n) < 0.1, np.nan, np.round(rng.uniform(0.9, 1.5, n), 2))
    return make_parents(
        {"train": n},
        seed=seed,
        ra=ra,
        dec=dec,
        brickid=bricks.brickid,
        brickname=bricks.brickname,
        host_id=[str(i) for i in range(n)],
        region_id=region,
        region_split=split_of(region, split_seed=13, fractions=FRACTIONS),
        is_guard=np.arange(n) % 10 == 0,
        psfsize_r_arcsec=pa.array(psfsize, from_pandas=True),
    )


def test_bricks_cover_the_sphere_once() -> None:
    assert brick_area_deg2(np.arange(1, N_BRICKS + 1)).sum() == pytest.approx(4.0 * np.pi * np.rad2deg(1.0) ** 2, rel=1e-12)


def test_areas_of_regions_add_up_to_those_of_their_bricks() -> None:
    parents = field()
    regions = region_statistics([parents])
    bricks = np.unique(parents["brickid"].to_numpy())
    assert np.sum(regions["area_deg2"]) == pytest.approx(brick_area_deg2(bricks).sum(), rel=1e-12)
    assert regions.schema.equals(REGIONS)


def test_counts_and_medians_are_those_of_the_regions_parents() -> None:
    parents = field()
    frame = {name: np.asarray(parents[name].to_numpy(zero_copy_only=False)) for name in parents.column_names}
    for row in region_statistics([parents]).to_pylist():
        mine = frame["region_id"] == row["region_id"]
        assert (row["n_parents"], row["n_hosts"]) == (mine.sum(), (mine & ~frame["is_guard"].astype(bool)).sum())
        assert row["n_bricks"] == len(np.unique(frame["brickid"][mine]))
        assert row["psfsize_r_median_arcsec"] == np.nanmedian(frame["psfsize_r_arcsec"][mine].astype(float))
        assert row["psfdepth_r_median_mag"] == np.median(frame["psfdepth_r_mag"][mine])
        assert row["density_deg2"] == pytest.approx(row["n_parents"] / row["area_deg2"])


def test_a_region_inside_one_brick_has_its_share_of_it() -> None:
    brick = brick_at(40.1, -20.0).brickid
    parents = (
        field(8)
        .set_column(3, "brickid", pa.array(np.full(8, brick[0])))
        .set_column(field(8).column_names.index("region_id"), "region_id", pa.array([1, 1, 1, 2, 1, 1, 1, 2]))
    )
    parents = parents.set_column(parents.column_names.index("region_split"), "region_split", pa.array(["train"] * 8))
    regions = region_statistics([parents])
    np.testing.assert_allclose(regions["area_deg2"], brick_area_deg2(brick)[0] * np.array([0.75, 0.25]))


@pytest.mark.parametrize("n_parts", [2, 7, 400])
def test_the_division_of_the_catalogue_changes_nothing(n_parts: int) -> None:
    parents = field()
    rng = np.random.default_rng(n_parts)
    rows = np.array_split(rng.permutation(parents.num_rows), n_parts)
    parts = [parents.take(pa.array(part)) for part in rows]
    assert region_statistics(iter([*parts, parents.slice(0, 0)])).equals(region_statistics([parents]))


def test_a_region_in_two_splits_is_refused_and_no_parents_make_no_regions() -> None:
    parents = field(20)
    column = parents.column_names.index("region_split")
    mixed = parents.set_column(column, "region_split", pa.array(["train", "val"] * 10))
    with pytest.raises(SurveyDataError, match="it belongs to one split"):
        region_statistics([mixed])
    assert region_statistics([parents.slice(0, 0)]).equals(REGIONS.empty_table())


def regions_of(split: list[str], n_parents: list[int]) -> pa.Table:
    """Return regions of equal area."""
    n = len(split)
    columns: dict[str, object] = {"region_id": range(n), "region_split": split, "n_bricks": [4] * n, "area_deg2": [0.25] * n}
    columns |= {"n_parents": n_parents, "n_hosts": [one // 2 for one in n_parents], "density_deg2": [4.0 * one for one in n_parents]}
    return pa.table({**columns, "psfsize_r_median_arcsec": [1.2] * n, "psfdepth_r_median_mag": [24.4] * n}, schema=REGIONS)


def test_shares_are_those_of_regions_area_and_galaxies() -> None:
    train, val, test = split_shares(regions_of(["train", "train", "val", "train"], [100, 60, 40, 200]), FRACTIONS)
    assert (train.n_regions, train.n_parents, train.n_hosts, train.area_deg2) == (3, 360, 180, 0.75)
    assert (train.region_frac, train.area_frac, train.parent_frac, train.host_frac) == (0.75, 0.75, 0.9, 0.9)
    assert (val.region_frac, val.parent_frac, val.configured_frac) == (0.25, 0.1, 0.15)
    assert (test.n_regions, test.parent_frac) == (0, 0.0)
    assert split_shares(regions_of(["val"], [3]), None)[0].configured_frac is None


def test_a_hash_split_reaches_its_fractions_and_a_relabelled_one_does_not() -> None:
    splits = split_of(np.arange(9_000), split_seed=13, fractions=FRACTIONS)
    shares = split_shares(regions_of(splits.tolist(), [10] * 9_000), FRACTIONS)
    assert all(share.is_expected(9_000) for share in shares)
    assert shares_finding(shares).is_ok
    assert "train 0.7" in shares_finding(shares).observed
    moved = np.where(np.arange(9_000) % 10 == 0, "val", splits)
    assert not all(share.is_expected(9_000) for share in split_shares(regions_of(moved.tolist(), [10] * 9_000), FRACTIONS))
    assert not shares_finding(split_shares(regions_of(moved.tolist(), [10] * 9_000), FRACTIONS)).is_ok
    assert shares_finding(split_shares(regions_of(moved.tolist(), [10] * 9_000), None)).is_ok
    assert not shares_finding([]).is_ok


def test_one_region_is_no_surprise_and_a_split_that_was_not_asked_for_is() -> None:
    assert all(share.is_expected(1) for share in split_shares(regions_of(["test"], [5]), {"train": 0.999, "test": 0.001}))
    assert not all(share.is_expected(1) for share in split_shares(regions_of(["val"], [5]), {"train": 1.0}))
