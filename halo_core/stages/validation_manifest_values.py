"""Checks of a manifest's values: identities, seeds, frozen variables, ranges, fluxes, and the equality of views."""

from math import pi

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import kstest

from halo_core.constants import BANDS
from halo_core.records import MANIFEST
from halo_core.seeds import hash_hex, hash_int63
from halo_core.stages.manifest_hosts import CONTROL_CONFIG
from halo_core.stages.manifest_rows import CONTROL, FROZEN_COLUMNS, VIEW_COLUMNS, TierDesign, painted_fluxes, physical_ids
from halo_core.stages.priors import colour_range, draw
from halo_core.stages.validation_checks import Verdict, none_of
from halo_core.stages.validation_manifest_view import ManifestView

KS_LEVEL = 1e-6
"""False-alarm rate of the uniformity test of each law."""

N_SAMPLED = 2_000
"""Physical injections whose hashes are made again."""

_TOLERANCE = 1e-9
_ZERO_FOR_CONTROLS = (
    *("theta_e_arcsec", "src_dmag", "src_reff_arcsec", "src_e", "shear"),
    *(name for name in FROZEN_COLUMNS if "density" not in name),
    *(f"src_flux_{band}_nmgy" for band in BANDS),
)
_POSITIVE = (
    "theta_e_arcsec",
    "src_reff_arcsec",
    "src_n_sersic",
    "src_offset_density_arcsec_m2",
    *(f"src_flux_{band}_nmgy" for band in BANDS),
)


def task_ids_unique(view: ManifestView) -> Verdict:
    """Return whether every task has an id of its own."""
    return none_of(view.tasks.num_rows - pc.count_distinct(view.tasks["task_id"]).as_py(), view.tasks.num_rows, "task ids repeat")


def views_identical(view: ManifestView) -> Verdict:
    """Return whether the rows of one physical injection agree in every physical column, and every injection has every view."""
    first = pa.array(view.first_row)
    differing = []
    for name in (field for field in MANIFEST.names if field not in VIEW_COLUMNS):
        mine, other = view.tasks[name], view.tasks[name].take(first)
        equal = pc.or_(pc.fill_null(pc.equal(mine, other), False), pc.and_(mine.is_null(), other.is_null()))
        if not pc.all(equal).as_py():
            differing.append(name)
    _, n_views = np.unique(view.first_row, return_counts=True)
    n_partial = int((n_views != view.config.n_views).sum())
    return Verdict(
        not differing and not n_partial, f"columns that differ: {differing or 'none'}; {n_partial} injections without every view", "none; 0"
    )


def seeds_recorded(view: ManifestView) -> Verdict:
    """Return whether the recorded seeds are the configuration's."""
    expected = {"split_seed": view.config.split_seed, "sampling_seed": view.config.sampling_seed}
    found = {name: view.evidence.seeds.get(name) for name in expected}
    return Verdict(found == expected, str(found), str(expected))


def identities_recomputed(view: ManifestView) -> Verdict:
    """Return whether the hashes of sampled rows, made again from their columns and the configuration, are those that are stored."""
    rows = np.unique(np.linspace(0, view.physical.num_rows - 1, min(N_SAMPLED, view.physical.num_rows)).astype(np.int64))
    sample = view.physical.take(pa.array(rows))
    tiers = pc.unique(sample["tier"]).to_pylist()
    n_bad = sum(_n_forged(view, tier, sample.filter(pc.equal(sample["tier"], tier))) for tier in tiers)
    tasks = view.tasks.select(["task_id", "physical_id", "experiment_id"]).take(pa.array(np.unique(view.first_row)[rows])).to_pylist()
    n_bad += sum(row["task_id"] != hash_hex(row["physical_id"], row["experiment_id"]) for row in tasks)
    return none_of(n_bad, len(rows), "sampled rows whose ids or seed are not the hash of their content")


def _n_forged(view: ManifestView, tier: str, sample: pa.Table) -> int:
    """Return how many rows of one tier have an id or a seed that is not the hash of their content."""
    grid = view.grid(tier)
    if grid is None:
        return int(sample.num_rows)
    place = pc.index_in(sample["config_id"], pa.array([*grid.config_ids(), CONTROL])).fill_null(-2).to_numpy()
    config = np.where(place == grid.n_configs, CONTROL_CONFIG, place)
    is_known = (config != -2) & ((config == CONTROL_CONFIG) == sample["is_control"].to_numpy())
    known = sample.filter(pa.array(is_known))
    design = TierDesign(tier, grid, view.priors, view.config.sampling_seed)
    expected = physical_ids(design, known["host_id"].to_pylist(), config[is_known].tolist(), known["replicate"].to_pylist())
    found = zip(known["physical_id"].to_pylist(), known["task_seed"].to_pylist(), expected, strict=True)
    n_genuine = sum(1 for one, seed, other in found if one == other and seed == hash_int63(other))
    return int(sample.num_rows) - n_genuine


def uniforms_flat(view: ManifestView) -> Verdict:
    """Return whether the uniform numbers under each frozen variable pass a Kolmogorov-Smirnov test, over distinct physical ids."""
    if not len(view.injections):
        return Verdict(False, "no injection", f"p >= {KS_LEVEL:g} for each law")
    p_values = {stream: float(kstest(u, "uniform").pvalue) for stream, u in view.uniforms.items()}
    stream = min(p_values, key=lambda name: p_values[name])
    return Verdict(
        p_values[stream] >= KS_LEVEL, f"smallest p {p_values[stream]:.3g} ({stream})", f"p >= {KS_LEVEL:g} for each of {len(p_values)} laws"
    )


def frozen_as_drawn(view: ManifestView) -> Verdict:
    """Return whether every frozen variable is its law at the hashed uniform number of its physical id."""
    rows = view.injections
    theta_e = view.column("theta_e_arcsec")[rows]
    if not (theta_e > 0.0).all():
        return none_of(int((~(theta_e > 0.0)).sum()), len(rows), "injections without an Einstein radius")
    expected = draw(view.priors, view.uniforms, theta_e_arcsec=theta_e)
    wrong = {name: n for name in FROZEN_COLUMNS if (n := _n_differing(view.column(name)[rows], expected[name]))}
    return Verdict(not wrong and len(rows) > 0, f"columns that differ from their law: {wrong or 'none'}", "none")


def configurations_known(view: ManifestView) -> Verdict:
    """Return whether the configuration columns hold the values that the grid gives the row's config_id."""
    n_bad, rows = 0, view.injections
    tiers = view.column("tier")[rows]
    for tier in sorted(set(tiers.tolist())):
        grid, chosen = view.grid(tier), rows[tiers == tier]
        if grid is None:
            n_bad += len(chosen)
            continue
        labels = pa.array(grid.config_ids())
        place = np.asarray(pc.index_in(view.physical["config_id"].take(pa.array(chosen)), labels).fill_null(-1), dtype=np.int64)
        names = ("theta_e_arcsec", "src_dmag", "src_reff_arcsec", "src_e", "shear")
        found = np.column_stack([view.column(name)[chosen] for name in names])
        expected = grid.values()[place]
        if grid.mag_kind != "src_dmag":
            found, expected = np.delete(found, 1, axis=1), np.delete(expected, 1, axis=1)
        n_bad += int(((place < 0) | (found != expected).any(axis=1)).sum())
    return none_of(n_bad, len(rows), "injections whose parameters are not their configuration's")


def controls_zero(view: ManifestView) -> Verdict:
    """Return whether controls have no lens and no source."""
    rows = np.flatnonzero(view.is_control)
    bad = {name: n for name in _ZERO_FOR_CONTROLS if (n := int((view.column(name)[rows] != 0.0).sum()))}
    bad |= {name: n for name in ("config_id", "lens_model") if (n := int((view.column(name)[rows] != CONTROL).sum()))}
    return Verdict(not bad, f"controls that are not zero: {bad or 'none'}", "none")


def injections_positive(view: ManifestView) -> Verdict:
    """Return whether injections have a lens and a source with flux."""
    rows = view.injections
    bad = {name: n for name in _POSITIVE if (n := int((~(view.column(name)[rows] > 0.0)).sum()))}
    bad |= {name: n for name in ("config_id", "lens_model") if (n := int((view.column(name)[rows] == CONTROL).sum()))}
    return Verdict(not bad and len(rows) > 0, f"{len(rows)} injections, not positive: {bad or 'none'}", "more than 0, none")


def values_in_range(view: ManifestView) -> Verdict:
    """Return whether the parameters of injections lie in their ranges."""
    rows, (bluest, reddest) = view.injections, colour_range(view.priors)
    closed = {"lens_e": (0.0, 0.95), "src_e": (0.0, 0.95), "shear": (0.0, 0.5), "src_gr": (bluest, reddest), "src_rz": (bluest, reddest)}
    bad = {}
    for name, (lower, upper) in closed.items():
        values = view.column(name)[rows]
        bad[name] = int((~((values >= lower) & (values <= upper))).sum())
    for name in ("src_phi_rad", "lens_phi_rad", "shear_phi_rad"):
        values = view.column(name)[rows]
        bad[name] = int((~((values >= 0.0) & (values < pi))).sum())
    theta_e = view.column("theta_e_arcsec")[rows]
    bad["theta_e_arcsec"] = int((~((theta_e > 0.0) & (theta_e <= 5.0))).sum())
    wrong = {name: n for name, n in bad.items() if n}
    return Verdict(
        not wrong,
        f"out of range: {wrong or 'none'}",
        "theta_e in (0, 5], e in [0, 0.95], shear in [0, 0.5], angles in [0, pi), colours clamped",
    )


def fluxes_painted(view: ManifestView) -> Verdict:
    """Return whether source fluxes are intrinsic magnitudes extincted once, so that the painted r is rmag + src_dmag."""
    rows = view.injections
    ebv, dmag = view.column("ebv")[rows], view.column("src_dmag")[rows]
    raw = 10.0 ** (0.4 * (22.5 - (view.column("rmag")[rows] + dmag)))
    wrong = {"src_flux_r_nmgy": _n_differing(view.column("src_flux_r_nmgy")[rows], raw)}
    parents = view.evidence.parents
    place = pc.index_in(view.physical["host_id"].take(pa.array(rows)), parents["host_id"].combine_chunks())
    rmag_mw = parents["rmag_mw"].take(place).to_numpy()
    expected = painted_fluxes(src_r_mag=rmag_mw + dmag, src_gr=view.column("src_gr")[rows], src_rz=view.column("src_rz")[rows], ebv=ebv)
    wrong |= {name: _n_differing(view.column(name)[rows], values) for name, values in expected.items() if name != "src_flux_r_nmgy"}
    bad = {name: n for name, n in wrong.items() if n}
    return Verdict(not bad, f"fluxes that differ: {bad or 'none'}", "none")


def _n_differing(found: NDArray[np.float64], expected: NDArray[np.float64]) -> int:
    """Return how many values differ by more than rounding; NaN differs from everything."""
    return int((~(np.abs(found - expected) <= _TOLERANCE * np.maximum(np.abs(expected), 1.0))).sum())
