"""Checks of a manifest's design: counts, controls, balance, hosts, splits, blocks."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.stages.manifest_rows import experiment_id
from halo_core.stages.validation_checks import Verdict, none_of
from halo_core.stages.validation_manifest_view import ManifestView
from halo_core.survey.regions import close_to_other_split, guard_arcsec

Ints = NDArray[np.int64]


def counts_exact(view: ManifestView) -> Verdict:
    """Return whether every tier, split, size and bandset has the planned number of injections and controls, and nothing else exists."""
    keys = ["tier", "region_split", "stamp_size", "bandset", "is_control"]
    counted = view.tasks.group_by(keys).aggregate([([], "count_all")])
    found = {tuple(row[key] for key in keys): row["count_all"] for row in counted.to_pylist()}
    views = [(size, bandset) for size in view.config.stamp_sizes for bandset in view.config.bandsets]
    planned = {}
    for row in view.evidence.plan:
        for size, bandset in views:
            planned[row.tier, row.split, size, bandset, False] = row.n_injections
            planned[row.tier, row.split, size, bandset, True] = row.n_controls
    wrong = [key for key in found.keys() | planned.keys() if found.get(key, 0) != planned.get(key, 0)]
    first = min(wrong, key=str, default=None)
    observed = f"{view.tasks.num_rows} rows, {len(wrong)} cells wrong" + (
        "" if first is None else f", such as {first}: {found.get(first, 0)}"
    )
    expected = f"{sum(row.n_rows for row in view.evidence.plan)} rows" + ("" if first is None else f", {first}: {planned.get(first, 0)}")
    return Verdict(not wrong and bool(planned), observed, expected)


def sizes_complete(view: ManifestView) -> Verdict:
    """Return whether each planned tier has exactly the configured stamp sizes and bandsets, and no other tier exists."""
    counted = view.tasks.group_by(["tier", "stamp_size", "bandset"]).aggregate([])
    found = {(row["tier"], row["stamp_size"], row["bandset"]) for row in counted.to_pylist()}
    config = view.config
    planned = {(tier, size, bandset) for tier in config.tiers for size in config.stamp_sizes for bandset in config.bandsets}
    return Verdict(found == planned, f"missing {sorted(planned - found)}, unplanned {sorted(found - planned)}", f"{sorted(planned)}")


def experiments_named(view: ManifestView) -> Verdict:
    """Return whether each experiment id is made of the row's tier, size, bandset and grid, and the grid is the configured one."""
    keys = ["experiment_id", "tier", "stamp_size", "bandset", "grid"]
    rows = view.tasks.group_by(keys).aggregate([]).to_pylist()
    bad = [
        row["experiment_id"]
        for row in rows
        if row["experiment_id"] != experiment_id(row["tier"], row["stamp_size"], row["bandset"], row["grid"])
        or row["grid"] != view.config.grids.get(row["tier"])
    ]
    return Verdict(
        not bad,
        f"{len(bad)} of {len(rows)} experiments misnamed{': ' + bad[0] if bad else ''}",
        "{tier}_stamp{size}_bands{bandset}_grid{grid}",
    )


def control_fraction(view: ManifestView) -> Verdict:
    """Return whether each tier and split has the planned controls among its physical injections."""
    keys = zip(view.column("tier").tolist(), view.column("region_split").tolist(), view.is_control.tolist(), strict=True)
    found = Counter(keys)
    wrong = []
    for row in view.evidence.plan:
        n_controls, n_injections = found[row.tier, row.split, True], found[row.tier, row.split, False]
        if (n_controls, n_injections) != (row.n_controls, row.n_injections):
            wrong.append(f"{row.tier} {row.split}: {n_controls} of {n_controls + n_injections}")
    planned = "; ".join(f"{row.tier} {row.split}: {row.n_controls} of {row.n_physical}" for row in view.evidence.plan)
    return Verdict(not wrong and bool(planned), "; ".join(wrong) or "as planned", planned)


def controls_distinct(view: ManifestView) -> Verdict:
    """Return whether each control is a host of its own in its tier, replicate 0, and no injection of that tier uses it."""
    pair = view.codes("tier", "host_id")
    controls = view.is_control
    n_repeated = int(controls.sum()) - len(np.unique(pair[controls]))
    n_shared = len(np.intersect1d(pair[controls], pair[~controls]))
    n_replicates = int((view.column("replicate")[controls] != 0).sum())
    observed = f"{n_repeated} repeat a host, {n_shared} hosts are control and injection in one tier, {n_replicates} are not replicate 0"
    return Verdict(not (n_repeated or n_shared or n_replicates), observed, "0, 0, 0")


def configurations_balanced(view: ManifestView) -> Verdict:
    """Return whether the hosts per configuration differ by at most 1 in each tier and split, and in each of their strata."""
    kept = np.flatnonzero(~view.is_control & (view.column("replicate") == 0))
    if not kept.size:
        return Verdict(False, "no injection", "at most 1")
    config = view.codes("tier", "config_id")[kept]
    n_configs = {row.tier: row.n_configs for row in view.evidence.plan}
    wanted = np.array([n_configs.get(tier, 0) for tier in view.column("tier")[kept].tolist()])
    over_all, in_strata = view.codes("tier", "region_split")[kept], view.codes("tier", "region_split", "psf_stratum", "depth_stratum")[kept]
    worst = max(_spread(over_all, config, wanted), _spread(in_strata, config, wanted))
    return Verdict(worst <= 1, f"numbers of hosts per configuration differ by up to {worst}", "at most 1")


def _spread(group: Ints, config: Ints, wanted: Ints) -> int:
    """Return the largest difference between the numbers of rows of two configurations of a group, absent ones included."""
    span, n_groups = int(config.max()) + 1, int(group.max()) + 1
    pairs, counts = np.unique(group * span + config, return_counts=True)
    lowest, highest = np.full(n_groups, np.iinfo(np.int64).max), np.zeros(n_groups, dtype=np.int64)
    np.minimum.at(lowest, pairs // span, counts)
    np.maximum.at(highest, pairs // span, counts)
    n_wanted = np.zeros(n_groups, dtype=np.int64)
    n_wanted[group] = wanted
    lowest[np.bincount(pairs // span, minlength=n_groups) < n_wanted] = 0
    return int((highest - lowest)[np.unique(group)].max())


def pairs_complete(view: ManifestView) -> Verdict:
    """Return whether every host and configuration of a tier has each replicate once, and host_repeat counts its configurations."""
    rows = view.injections
    pair, host = view.codes("tier", "host_id", "config_id")[rows], view.codes("tier", "host_id")[rows]
    replicate, n_replicates = view.column("replicate")[rows], view.config.replicates
    in_range = (replicate >= 0) & (replicate < n_replicates)
    filled = len(np.unique(pair * n_replicates + np.clip(replicate, 0, n_replicates - 1)))
    n_broken = len(np.unique(pair)) * n_replicates - filled + len(rows) - filled + int((~in_range).sum())
    distinct = np.unique(np.column_stack([host, pair]), axis=0)[:, 0]
    n_configs = np.bincount(distinct, minlength=int(host.max(initial=0)) + 1)[host]
    n_wrong = int((view.column("host_repeat")[rows] != n_configs).sum())
    n_train = int(((n_configs > 1) & (view.column("tier")[rows] == "train")).sum())
    observed = (
        f"{n_broken} replicates missing or doubled, {n_wrong} wrong host_repeat, {n_train} train rows whose host serves two configurations"
    )
    return Verdict(not (n_broken or n_wrong or n_train), observed, "0, 0, 0")


def hosts_are_parents(view: ManifestView) -> Verdict:
    """Return whether every host is a parent outside the guard bands and stands in the parents' region and split."""
    names = ["host_id", "region_id", "region_split", "is_guard"]
    parents = view.evidence.parents.select(names)
    place = pc.index_in(view.physical["host_id"], parents["host_id"].combine_chunks())
    found = parents.take(place)
    same = pc.and_(
        pc.equal(found["region_id"], view.physical["region_id"]),
        pc.and_(pc.equal(found["region_split"], view.physical["region_split"]), pc.invert(found["is_guard"])),
    )
    n_bad = view.physical.num_rows - int(pc.sum(pc.fill_null(same, False)).as_py())
    return none_of(n_bad, view.physical.num_rows, "hosts unknown, in a guard band, or relabelled")


def one_split_each(view: ManifestView) -> Verdict:
    """Return whether each galaxy and each region is in one split."""
    n_bad = sum(len(np.unique(view.codes(name, "region_split"))) - len(np.unique(view.codes(name))) for name in ("host_id", "region_id"))
    return none_of(n_bad, view.physical.num_rows, "galaxies or regions in more than one split")


def splits_apart(view: ManifestView) -> Verdict:
    """Return whether no two hosts of different splits are so near that their stamps or guard bands could share a pixel."""
    radius = 2.0 * guard_arcsec(max(view.config.stamp_sizes))
    close = close_to_other_split(view.column("ra"), view.column("dec"), view.column("region_split").astype(str), radius_arcsec=radius)
    return none_of(int(close.sum()), len(close), f"physical injections within {radius:.1f} arcsec of another split's")


def bricks_known(view: ManifestView) -> Verdict:
    """Return whether every brick stands in the brick table."""
    unknown = sorted(set(pc.unique(view.physical["brickname"]).to_pylist()) - set(view.evidence.bricknames))
    return Verdict(not unknown, f"{len(unknown)} unknown bricks{': ' + ', '.join(unknown[:3]) if unknown else ''}", "0")


def blocks_whole(view: ManifestView) -> Verdict:
    """Return whether blocks keep their limits, hosts stay in one block, and block numbers run from 0 without gaps."""
    block = view.column("block")
    n_split = len(np.unique(view.codes("host_id", "block"))) - len(np.unique(view.codes("host_id")))
    largest = int(np.bincount(block).max()) if block.min() >= 0 else -1
    pairs = pa.table({"block": block, "brick": view.physical["brickname"]}).group_by(["block", "brick"]).aggregate([])
    n_bricks = int(np.unique(pairs["block"].to_numpy(), return_counts=True)[1].max())
    has_gaps = not np.array_equal(np.unique(block), np.arange(block.max() + 1))
    limits = view.config.block_max_injections, view.config.block_max_bricks
    is_ok = not n_split and 0 < largest <= limits[0] and n_bricks <= limits[1] and not has_gaps
    observed = f"{n_split} hosts in two blocks, largest {largest} injections and {n_bricks} bricks, gaps: {has_gaps}"
    return Verdict(is_ok, observed, f"0, at most {limits[0]} and {limits[1]}, no gaps")


def weights_consistent(view: ManifestView) -> Verdict:
    """Return whether sampling_weight x distinct hosts drawn is one whole number of hosts in each tier, split and stratum."""
    strata, weight = view.codes("tier", "region_split", "psf_stratum", "depth_stratum"), view.column("sampling_weight")
    hosts = np.unique(np.column_stack([strata, view.codes("host_id")]), axis=0)[:, 0]
    product = weight * np.bincount(hosts)[strata]
    lowest, highest = np.full(strata.max() + 1, np.inf), np.zeros(strata.max() + 1)
    np.minimum.at(lowest, strata, weight)
    np.maximum.at(highest, strata, weight)
    bad = (np.abs(product - np.rint(product)) > 1e-6 * product) | (weight < 1.0 - 1e-9) | ((highest - lowest)[strata] > 1e-12)
    return none_of(int(bad.sum()), len(bad), "rows whose weight is no ratio of host counts of their stratum")


def hosts_reported(view: ManifestView) -> Verdict:
    """Return the number of distinct hosts and, by tier, the effective sample size (sum w)^2 / sum w^2 of the injections."""
    n_hosts = pc.count_distinct(view.physical["host_id"]).as_py()
    tiers, weight = view.column("tier")[view.injections], view.column("sampling_weight")[view.injections]
    n_eff = {tier: float(w.sum() ** 2 / (w**2).sum()) for tier in view.config.tiers if len(w := weight[tiers == tier])}
    text = ", ".join(f"{tier} {n:.1f}" for tier, n in n_eff.items())
    is_ok = n_hosts > 0 and len(n_eff) == len(view.config.tiers)
    return Verdict(
        is_ok, f"{n_hosts} distinct hosts, {len(weight)} injections, effective sample size {text or 'none'}", "more than 0 in each tier"
    )
