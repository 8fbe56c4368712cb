"""Laws that hold across blocks: counts, controls, balance, hosts, splits, bricks, blocks, uniform numbers."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import kstest

from halo_core.seeds import hash_order
from halo_core.stages.manifest_config import ManifestConfig
from halo_core.stages.manifest_hosts import conformed, is_eligible
from halo_core.stages.manifest_rows import experiment_id
from halo_core.stages.planning import plan, plan_row
from halo_core.stages.validation_checks import Verdict, none_of
from halo_core.stages.validation_manifest_ledger import Ledger, n_distinct
from halo_core.stages.validation_manifest_view import ManifestEvidence
from halo_core.survey.regions import close_to_other_split, guard_arcsec

KS_LEVEL = 1e-6
"""False-alarm rate of the uniformity test of each law."""

_ODD = np.uint64(0x9E3779B97F4A7C15)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Whole:
    """The whole manifest as small numbers, with its configuration and evidence."""

    ledger: Ledger
    config: ManifestConfig
    evidence: ManifestEvidence

    @cached_property
    def is_parents(self) -> NDArray[np.bool_]:
        """Return which physical injections stand on an eligible parent, in the brick, region and split that the parents give it."""
        ledger = self.ledger
        names = ("brickname", "objid", "region_id", "region_split")
        hosts, first, host = np.unique(ledger.column("host_id"), return_index=True, return_inverse=True)
        own = {name: ledger.column(name)[first] for name in names}
        places = np.sort(_place(own["brickname"], own["objid"]))
        is_found = np.zeros(len(hosts), dtype=bool)
        for table in conformed(self.evidence.parents, ("host_id", *names, "is_guard")):
            brick = ledger.coded("brickname", table["brickname"])
            place = _place(brick, table["objid"].to_numpy())
            is_near = places[np.minimum(np.searchsorted(places, place), len(places) - 1)] == place
            rows = np.flatnonzero(is_near & is_eligible(table, self.evidence.regions))
            near = table.take(pa.array(rows))
            keys = hash_order(near["host_id"].to_pylist())
            at = np.minimum(np.searchsorted(hosts, keys), len(hosts) - 1)
            same = (hosts[at] == keys) & (own["brickname"][at] == brick[rows])
            for name in ("objid", "region_id"):
                same &= own[name][at] == near[name].to_numpy()
            is_found[at[same & (own["region_split"][at] == ledger.coded("region_split", near["region_split"]))]] = True
        is_alike = np.logical_and.reduce([ledger.column(name) == own[name][host] for name in names])
        return np.asarray(is_found[host] & is_alike)


def _place(brick: NDArray[np.int32], objid: Ints) -> NDArray[np.uint64]:
    """Return one number that tells objects of different brick and number apart, but for chance."""
    return brick.astype(np.uint64) * _ODD + objid.astype(np.uint64)


def task_ids_unique(whole: Whole) -> Verdict:
    """Return whether every task has an id of its own and every physical injection stands in one block."""
    n_tasks, n_physical = whole.ledger.n_repeated()
    observed = f"{n_tasks} of {whole.ledger.n_rows} task ids repeat, {n_physical} physical ids stand in several blocks"
    return Verdict(not n_tasks and not n_physical, observed, "0, 0")


def plan_kept(whole: Whole) -> Verdict:
    """Return whether the plan that was built is the configured one or, where that is allowed, a smaller one of the same rules."""
    config, built = whole.config, {(row.tier, row.split): row for row in whole.evidence.plan}
    unknown = [name for name in config.grids.values() if name not in whole.evidence.grids]
    if unknown:
        return Verdict(False, f"grids {unknown} are not among the evidence", "every configured grid")
    asked = {(row.tier, row.split): row for row in plan(config, {name: grid.n_configs for name, grid in whole.evidence.grids.items()})}
    wrong = [key for key in asked.keys() | built.keys() if key not in asked or key not in built]
    for key in asked.keys() & built.keys():
        amount = asked[key].amount if config.on_shortage == "error" else min(built[key].amount, asked[key].amount)
        if amount < 1 or built[key] != plan_row(config, *key, n_configs=asked[key].n_configs, amount=amount):
            wrong.append(key)
    reduced = [key for key in asked if key not in wrong and built[key] != asked[key]]
    total = sum(row.n_rows for row in asked.values())
    return Verdict(
        not wrong, f"{len(wrong)} of {len(asked)} lines differ {sorted(wrong)[:3]}, {len(reduced)} reduced", f"the plan of {total} rows"
    )


def counts_exact(whole: Whole) -> Verdict:
    """Return whether every tier, split, size and bandset has the planned number of injections and controls, and nothing else exists."""
    found, built = whole.ledger.views, whole.evidence.plan
    planned = {}
    for row in built:
        for view in ((size, bandset) for size in whole.config.stamp_sizes for bandset in whole.config.bandsets):
            planned[row.tier, row.split, *view, False] = row.n_injections
            planned[row.tier, row.split, *view, True] = row.n_controls
    wrong = [key for key in found.keys() | planned.keys() if found.get(key, 0) != planned.get(key, 0)]
    first = min(wrong, key=str, default=None)
    observed = f"{whole.ledger.n_rows} rows, {len(wrong)} cells wrong" + (
        "" if first is None else f", such as {first}: {found.get(first, 0)}"
    )
    expected = f"{sum(row.n_rows for row in built)} rows" + ("" if first is None else f", {first}: {planned.get(first, 0)}")
    return Verdict(not wrong and bool(planned), observed, expected)


def sizes_complete(whole: Whole) -> Verdict:
    """Return whether each planned tier has exactly the configured stamp sizes and bandsets, and no other tier exists."""
    found = {(tier, size, bandset) for tier, _, size, bandset, _ in whole.ledger.views}
    config = whole.config
    planned = {(tier, size, bandset) for tier in config.tiers for size in config.stamp_sizes for bandset in config.bandsets}
    return Verdict(found == planned, f"missing {sorted(planned - found)}, unplanned {sorted(found - planned)}", f"{sorted(planned)}")


def experiments_named(whole: Whole) -> Verdict:
    """Return whether each experiment id is made of the row's tier, size, bandset and grid, and the grid is the configured one."""
    rows = sorted(whole.ledger.experiments)
    bad = [
        name
        for name, tier, size, bandset, grid in rows
        if name != experiment_id(tier, size, bandset, grid) or grid != whole.config.grids.get(tier)
    ]
    observed = f"{len(bad)} of {len(rows)} experiments misnamed{': ' + bad[0] if bad else ''}"
    return Verdict(not bad and bool(rows), observed, "{tier}_stamp{size}_bands{bandset}_grid{grid}")


def seeds_recorded(whole: Whole) -> Verdict:
    """Return whether the recorded seeds are the configuration's."""
    expected = {"split_seed": whole.config.split_seed, "sampling_seed": whole.config.sampling_seed}
    found = {name: whole.evidence.seeds.get(name) for name in expected}
    return Verdict(found == expected, str(found), str(expected))


def control_fraction(whole: Whole) -> Verdict:
    """Return whether each tier and split has the planned controls among its physical injections."""
    tiers, splits = (whole.ledger.labels(name) for name in ("tier", "region_split"))
    keys = (whole.ledger.column("tier") * len(splits) + whole.ledger.column("region_split")) * 2 + whole.ledger.is_control
    counts = np.bincount(keys, minlength=2 * len(tiers) * len(splits)).reshape(len(tiers), len(splits), 2)
    found = {(tier, split): tuple(counts[i, j].tolist()) for i, tier in enumerate(tiers) for j, split in enumerate(splits)}
    wrong = []
    for row in whole.evidence.plan:
        n_injections, n_controls = found.get((row.tier, row.split), (0, 0))
        if (n_controls, n_injections) != (row.n_controls, row.n_injections):
            wrong.append(f"{row.tier} {row.split}: {n_controls} of {n_controls + n_injections}")
    planned = "; ".join(f"{row.tier} {row.split}: {row.n_controls} of {row.n_physical}" for row in whole.evidence.plan)
    return Verdict(not wrong and bool(planned), "; ".join(wrong) or "as planned", planned)


def controls_distinct(whole: Whole) -> Verdict:
    """Return whether each control is a host of its own in its tier, replicate 0, and no injection of that tier uses it."""
    pair, controls = whole.ledger.codes("tier", "host_id"), whole.ledger.is_control
    n_repeated = int(controls.sum()) - n_distinct(pair[controls])
    n_shared = n_distinct(pair[controls]) + n_distinct(pair[~controls]) - n_distinct(pair)
    n_replicates = int((whole.ledger.column("replicate")[controls] != 0).sum())
    observed = f"{n_repeated} repeat a host, {n_shared} hosts are control and injection in one tier, {n_replicates} are not replicate 0"
    return Verdict(not (n_repeated or n_shared or n_replicates), observed, "0, 0, 0")


def configurations_balanced(whole: Whole) -> Verdict:
    """Return whether the hosts per configuration differ by at most 1 in each tier and split, and in each of their strata."""
    ledger = whole.ledger
    kept = np.flatnonzero(~ledger.is_control & (ledger.column("replicate") == 0))
    if not kept.size:
        return Verdict(False, "no injection", "at most 1")
    n_configs = {row.tier: row.n_configs for row in whole.evidence.plan}
    wanted = np.array([n_configs.get(tier, 0) for tier in ledger.labels("tier")])[ledger.column("tier")[kept]]
    config = ledger.codes("tier", "config_id")[kept]
    groups = (("tier", "region_split"), ("tier", "region_split", "psf_stratum", "depth_stratum"))
    worst = max(_spread(ledger.codes(*names)[kept], config, wanted) for names in groups)
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
    return int((highest - lowest)[np.bincount(group, minlength=n_groups) > 0].max())


def pairs_complete(whole: Whole) -> Verdict:
    """Return whether every host and configuration of a tier has each replicate once, and host_repeat counts its configurations."""
    ledger, rows, n_replicates = whole.ledger, whole.ledger.injections, whole.config.replicates
    pair, host = ledger.codes("tier", "host_id", "config_id")[rows], ledger.codes("tier", "host_id")[rows]
    replicate = ledger.column("replicate")[rows]
    in_range = (replicate >= 0) & (replicate < n_replicates)
    filled = n_distinct(pair * n_replicates + np.clip(replicate, 0, n_replicates - 1))
    pairs, first = np.unique(pair, return_index=True)
    n_broken = len(pairs) * n_replicates - filled + len(rows) - filled + int((~in_range).sum())
    n_configs = np.bincount(host[first], minlength=int(host.max(initial=0)) + 1)[host]
    n_wrong = int((ledger.column("host_repeat")[rows] != n_configs).sum())
    is_train = np.array([tier == "train" for tier in ledger.labels("tier")])[ledger.column("tier")[rows]]
    n_train = int(((n_configs > 1) & is_train).sum())
    observed = (
        f"{n_broken} replicates missing or doubled, {n_wrong} wrong host_repeat, {n_train} train rows whose host serves two configurations"
    )
    return Verdict(not (n_broken or n_wrong or n_train), observed, "0, 0, 0")


def hosts_are_parents(whole: Whole) -> Verdict:
    """Return whether every host is an eligible parent and stands in the parents' region and split."""
    n_bad = int((~whole.is_parents).sum())
    return none_of(n_bad, whole.ledger.n_physical, "hosts unknown, in a guard band, outside every selection set, or relabelled")


def one_split_each(whole: Whole) -> Verdict:
    """Return whether each galaxy and each region is in one split."""
    codes = whole.ledger.codes
    n_bad = sum(int(codes(name, "region_split").max()) - int(codes(name).max()) for name in ("host_id", "region_id"))
    return none_of(n_bad, whole.ledger.n_physical, "galaxies or regions in more than one split")


def splits_apart(whole: Whole) -> Verdict:
    """Return whether no two hosts of different splits are so near that their stamps or guard bands could share a pixel."""
    radius = 2.0 * guard_arcsec(max(whole.config.stamp_sizes))
    columns = [whole.ledger.column(name) for name in ("ra", "dec", "region_split")]
    order = np.lexsort(columns)
    ra, dec, split = (values[order] for values in columns)
    is_first = np.concatenate([[True], (np.diff(ra) != 0.0) | (np.diff(dec) != 0.0) | (np.diff(split) != 0)])
    names = np.array(whole.ledger.labels("region_split"))[split[is_first]]
    close = close_to_other_split(ra[is_first], dec[is_first], names, radius_arcsec=radius)
    return none_of(int(close.sum()), len(close), f"hosts within {radius:.1f} arcsec of another split's")


def bricks_known(whole: Whole) -> Verdict:
    """Return whether every brick stands in the brick table."""
    unknown = sorted(set(whole.ledger.labels("brickname")) - set(whole.evidence.bricknames))
    return Verdict(not unknown, f"{len(unknown)} unknown bricks{': ' + ', '.join(unknown[:3]) if unknown else ''}", "0")


def uniforms_flat(whole: Whole) -> Verdict:
    """Return whether the uniform numbers under each frozen variable pass a Kolmogorov-Smirnov test, over distinct physical ids."""
    if not len(whole.ledger.injections):
        return Verdict(False, "no injection", f"p >= {KS_LEVEL:g} for each law")
    p_values = {stream: float(kstest(u, "uniform").pvalue) for stream, u in whole.ledger.uniforms().items()}
    stream = min(p_values, key=lambda name: p_values[name])
    return Verdict(
        p_values[stream] >= KS_LEVEL, f"smallest p {p_values[stream]:.3g} ({stream})", f"p >= {KS_LEVEL:g} for each of {len(p_values)} laws"
    )


def blocks_whole(whole: Whole) -> Verdict:
    """Return whether blocks keep their limits, hosts stay in one block, and block numbers run from 0 without gaps."""
    block, codes = whole.ledger.column("block"), whole.ledger.codes
    n_split = int(codes("host_id", "block").max()) - int(codes("host_id").max())
    numbers, sizes = np.unique(block, return_counts=True)
    _, first = np.unique(codes("block", "brickname"), return_index=True)
    n_bricks = int(np.unique(block[first], return_counts=True)[1].max())
    has_gaps = not np.array_equal(numbers, np.arange(len(numbers)))
    limits = whole.config.block_max_injections, whole.config.block_max_bricks
    is_ok = not n_split and sizes.max() <= limits[0] and n_bricks <= limits[1] and not has_gaps
    observed = (
        f"{len(numbers)} blocks, {n_split} hosts in two, the largest {sizes.max()} injections and {n_bricks} bricks, gaps: {has_gaps}"
    )
    return Verdict(bool(is_ok), observed, f"no host in two, at most {limits[0]} and {limits[1]}, no gaps")


def weights_consistent(whole: Whole) -> Verdict:
    """Return whether sampling_weight x distinct hosts drawn is one whole number of hosts in each tier, split and stratum."""
    stratum, weight = whole.ledger.codes("tier", "region_split", "psf_stratum", "depth_stratum"), whole.ledger.column("sampling_weight")
    _, first = np.unique(whole.ledger.codes("tier", "region_split", "psf_stratum", "depth_stratum", "host_id"), return_index=True)
    product = weight * np.bincount(stratum[first])[stratum]
    lowest, highest = np.full(stratum.max() + 1, np.inf), np.zeros(stratum.max() + 1)
    np.minimum.at(lowest, stratum, weight)
    np.maximum.at(highest, stratum, weight)
    bad = (np.abs(product - np.rint(product)) > 1e-6 * product) | (weight < 1.0 - 1e-9) | ((highest - lowest)[stratum] > 1e-12)
    return none_of(int(bad.sum()), len(bad), "rows whose weight is no ratio of host counts of their stratum")


def hosts_reported(whole: Whole) -> Verdict:
    """Return the number of distinct hosts and, by tier, the effective sample size (sum w)^2 / sum w^2 of the injections."""
    ledger, rows = whole.ledger, whole.ledger.injections
    n_hosts = n_distinct(ledger.column("host_id"))
    tier, weight, labels = ledger.column("tier")[rows], ledger.column("sampling_weight")[rows], ledger.labels("tier")
    found = {name: weight[tier == code] for code, name in enumerate(labels) if name in whole.config.tiers}
    n_eff = {name: float(w.sum() ** 2 / (w**2).sum()) for name, w in found.items() if len(w)}
    text = ", ".join(f"{name} {n_eff[name]:.1f}" for name in whole.config.tiers if name in n_eff)
    observed = f"{n_hosts} distinct hosts, {len(rows)} injections, effective sample size {text or 'none'}"
    return Verdict(n_hosts > 0 and len(n_eff) == len(whole.config.tiers), observed, "more than 0 in each tier")
