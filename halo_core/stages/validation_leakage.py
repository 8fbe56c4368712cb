"""Nothing but the arc may tell an injection from a control: laws on the conditions that both have.

A finder that is trained or judged with controls learns whatever tells the classes apart. Hosts are compared within strata (split,
seeing, depth), in which ``manifest_hosts.draw_hosts`` deals them to the classes by hash. Position is no condition, and the classifier is
tried on sky cells that it has not seen.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_core.records import Finding
from halo_core.seeds import generator
from halo_core.stages.validation import advise, expect, judged
from halo_core.stages.validation_leakage_hosts import ClassHosts, HostWatch
from halo_core.statistics.clustering import MIN_CLUSTERS
from halo_core.statistics.leakage import SeparationInterval, ks_p_value, separation, share_p_value

FAMILY_LEVEL = 1e-4
"""Chance that a law on columns fails by chance, over all columns, tiers and strata of a stage (Bonferroni)."""

MIN_HOSTS = 400
"""Hosts of each class below which the classifier is not judged."""

SEPARATION_LEVEL = 0.99
AUC_RANGE = (0.45, 0.55)
"""The classifier fails where its 99 % interval lies wholly outside."""

N_PERMUTATIONS = 1000

SHARE_TOLERANCE = 3.0
"""Hosts by which a stratum's controls may differ from their share of its hosts. ``allocation.equal_shares`` rounds the controls of a
stratum, its hosts, and the sum of those strata that are short, each by at most 1."""

LAWS = {
    "controls_strata": (
        f"within {SHARE_TOLERANCE:g} hosts of the share",
        "Every stratum of seeing and depth gives controls and injections in the same shares.",
    ),
    "controls_nulls": (
        f"p >= {FAMILY_LEVEL:g} / columns",
        "The same conditions are known of controls and of injections: no column is NULL more often in one class.",
    ),
    "controls_conditions": (
        f"p >= {FAMILY_LEVEL:g} / (columns, each pooled over strata and in every stratum)",
        "Hosts of controls and of injections have the same distribution of every condition.",
    ),
    "controls_told_apart": (
        f"99 % interval not wholly outside {AUC_RANGE[0]:g}-{AUC_RANGE[1]:g}",
        "A classifier on conditions alone cannot tell controls from injections on sky cells that it has not seen.",
    ),
    "controls_suffice": (
        f"at least {MIN_HOSTS} hosts of each class and {MIN_CLUSTERS} sky cells in every tier",
        "Hosts suffice to judge whether a classifier can tell controls from injections.",
    ),
}
"""By name of the finding: what is expected, and its sentence."""


def check_leakage(stage: str, watch: HostWatch) -> list[Finding]:
    """Return one finding per law, over all tiers that have controls; none where no tier has.

    Parameters
    ----------
    stage : str
        Word of the findings: manifest or injection.
    watch : HostWatch
        The hosts; where not every block was read, that is a failed finding.
    """
    if not watch.is_whole:
        return [_law(stage, "controls_strata", "the blocks were not read to their end", is_ok=False)]
    tiers = watch.tiers()
    if not tiers:
        return []
    laws: Mapping[str, Callable[[], Finding]] = {
        "controls_strata": lambda: _strata(stage, watch.shares, tiers),
        "controls_nulls": lambda: _nulls(stage, tiers),
        "controls_conditions": lambda: _conditions(stage, tiers),
        "controls_told_apart": lambda: _told_apart(stage, tiers, watch.sampling_seed),
        "controls_suffice": lambda: _sufficient(stage, tiers),
    }
    return [judged(stage, check, law) for check, law in laws.items()]


def _strata(stage: str, shares: Counter[tuple[Any, ...]], tiers: Mapping[str, ClassHosts]) -> Finding:
    """Every stratum of a tier and split has the controls that its hosts ask for."""
    off = {}
    for tier, split in sorted({key[:2] for key in shares if key[0] in tiers}):
        own = {key: n for key, n in shares.items() if key[:2] == (tier, split)}
        share = sum(n for key, n in own.items() if key[4]) / sum(own.values())
        for psf, depth in sorted({key[2:4] for key in own}):
            n_injected, n_controls = (own.get((tier, split, psf, depth, kind), 0) for kind in (False, True))
            name = f"{tier} {split}, seeing bin {psf}, depth bin {depth}: {n_controls} of {n_controls + n_injected} hosts"
            off[name] = abs(n_controls - share * (n_controls + n_injected))
    worst = max(off, key=lambda name: off[name])
    observed = f"{sum(n > SHARE_TOLERANCE for n in off.values())} of {len(off)} strata; at most {off[worst]:.2f} hosts off ({worst})"
    return _law(stage, "controls_strata", observed, is_ok=off[worst] <= SHARE_TOLERANCE)


def _nulls(stage: str, tiers: Mapping[str, ClassHosts]) -> Finding:
    """The same conditions are known of controls and of injections."""
    p_values, notes = {}, {}
    for tier, hosts in tiers.items():
        for name, values in hosts.conditions.items():
            is_null = np.isnan(values)
            p_values[f"{tier} {name}"] = share_p_value(is_null, hosts.is_control, hosts.stratum)
            counts = (int(np.count_nonzero(is_null & (hosts.is_control == kind))) for kind in (False, True))
            notes[f"{tier} {name}"] = "NULL for {} of {} injection hosts, {} of {} controls".format(
                *(number for pair in zip(counts, hosts.n_compared, strict=True) for number in pair)
            )
    return _of_columns(stage, "controls_nulls", p_values, notes)


def _conditions(stage: str, tiers: Mapping[str, ClassHosts]) -> Finding:
    """Every condition is distributed alike among controls and injections."""
    p_values, notes = {}, {}
    for tier, hosts in tiers.items():
        rows = [np.flatnonzero(hosts.stratum == code) for code in range(len(hosts.strata))]
        for column, values in hosts.expanded.items():
            p_values[f"{tier} {column}"] = ks_p_value(values, hosts.is_control, hosts.stratum)
            notes[f"{tier} {column}"] = _sizes(hosts.is_control)
            for name, own in zip(hosts.strata, rows, strict=True):
                p_values[f"{tier} {column} in {name}"] = ks_p_value(values[own], hosts.is_control[own], np.zeros(len(own), dtype=np.int64))
                notes[f"{tier} {column} in {name}"] = _sizes(hosts.is_control[own])
    return _of_columns(stage, "controls_conditions", p_values, notes)


def _of_columns(stage: str, check: str, p_values: Mapping[str, float], notes: Mapping[str, str]) -> Finding:
    """Return the finding of a law on columns: how many break it, and the one with the smallest p-value."""
    worst = min(p_values, key=lambda name: p_values[name])
    n_broken = sum(p < FAMILY_LEVEL / len(p_values) for p in p_values.values())
    observed = f"{n_broken} of {len(p_values)} comparisons; smallest p {p_values[worst]:.3g} ({worst}: {notes[worst]})"
    return _law(stage, check, observed, is_ok=n_broken == 0)


def _told_apart(stage: str, tiers: Mapping[str, ClassHosts], sampling_seed: int) -> Finding:
    """No classifier on conditions tells the classes of any tier apart; a tier of few hosts is not judged."""
    found = {tier: _separation(stage, tier, hosts, sampling_seed) for tier, hosts in tiers.items() if _suffices(hosts)}
    texts = [
        f"{tier} AUC {one.auc:.3f} [{one.lower:.3f}, {one.upper:.3f}]: {_sizes(tiers[tier].is_control)}" for tier, one in found.items()
    ]
    is_apart = any(one.lower > AUC_RANGE[1] or one.upper < AUC_RANGE[0] for one in found.values())
    return _law(stage, "controls_told_apart", "; ".join(texts) or "no tier judged, see controls_suffice", is_ok=not is_apart)


def _sufficient(stage: str, tiers: Mapping[str, ClassHosts]) -> Finding:
    """Every tier has hosts and sky cells enough for the classifier to be judged."""
    few = {tier: hosts for tier, hosts in tiers.items() if not _suffices(hosts)}
    texts = [f"{tier} too few: {_sizes(one.is_control)} in {len(np.unique(one.sky_cell))} sky cells" for tier, one in few.items()]
    expected, sentence = LAWS["controls_suffice"]
    observed = "; ".join(texts) or f"{len(tiers)} tiers suffice"
    return advise(stage, "controls_suffice", is_ok=not few, observed=observed, expected=expected, sentence=sentence)


def _suffices(hosts: ClassHosts) -> bool:
    """Return whether there are hosts and sky cells enough to judge a classifier."""
    return min(hosts.n_compared) >= MIN_HOSTS and len(np.unique(hosts.sky_cell)) >= MIN_CLUSTERS


def _separation(stage: str, tier: str, hosts: ClassHosts, sampling_seed: int) -> SeparationInterval:
    """Return how well a classifier tells the classes of a tier apart."""
    return separation(
        np.stack(list(hosts.expanded.values()), axis=1),
        hosts.is_control,
        stratum=hosts.stratum,
        fold=hosts.fold,
        rng=generator(str(sampling_seed), f"leakage_{stage}", tier),
        n_permutations=N_PERMUTATIONS,
        level=SEPARATION_LEVEL,
    )


def _sizes(is_control: NDArray[np.bool_]) -> str:
    """Return the number of hosts that were compared."""
    n_controls = int(np.count_nonzero(is_control))
    return f"{len(is_control) - n_controls} injection hosts and {n_controls} controls"


def _law(stage: str, check: str, observed: str, *, is_ok: bool) -> Finding:
    """Return the finding of a law whose failure stops the run."""
    expected, sentence = LAWS[check]
    return expect(stage, check, is_ok=is_ok, observed=observed, expected=expected, sentence=sentence)
