"""Laws of a manifest's rows, each looked at some whole blocks at a time: identities, frozen variables, ranges, fluxes, equal views.

A law counts what breaks it, by column or kind; the counts of all parts are added up.
"""

from collections import Counter
from collections.abc import Mapping
from math import pi

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import BANDS
from halo_core.records import MANIFEST
from halo_core.seeds import hash_hex_each, hash_int63_each, hash_tail
from halo_core.stages.manifest_hosts import CONTROL_CONFIG
from halo_core.stages.manifest_rows import CONTROL, FROZEN_COLUMNS, VIEW_COLUMNS, TierDesign, painted_fluxes, physical_ids
from halo_core.stages.priors import colour_range, draw
from halo_core.stages.validation_manifest_view import ManifestPart
from halo_core.survey.photometry import extinction_mag

_TOLERANCE = 1e-9
_DENSITIES = ("src_offset_density_arcsec_m2", "proposal_density")
_FLUXES = tuple(f"src_flux_{band}_nmgy" for band in BANDS)
_CONFIGURED = ("theta_e_arcsec", "src_dmag", "src_reff_arcsec", "src_e", "shear")
_ZERO_FOR_CONTROLS = (*_CONFIGURED, *(name for name in FROZEN_COLUMNS if name not in _DENSITIES), *_FLUXES)
_POSITIVE = ("theta_e_arcsec", "src_reff_arcsec", "src_n_sersic", "src_offset_density_arcsec_m2", *_FLUXES)

Bad = Counter[str]


def _bad(counts: Mapping[str, int]) -> Bad:
    """Return the counts that are not zero."""
    return Counter({name: int(n) for name, n in counts.items() if n})


def views_identical(part: ManifestPart) -> Bad:
    """Count, by column, rows that differ from another view of their physical injection, and injections without every view."""
    first = pa.array(part.first_row)
    counts = {}
    for name in (field for field in MANIFEST.names if field not in VIEW_COLUMNS):
        mine, other = part.tasks[name], part.tasks[name].take(first)
        equal = pc.or_(pc.fill_null(pc.equal(mine, other), False), pc.and_(mine.is_null(), other.is_null()))
        counts[name] = part.tasks.num_rows - pc.sum(equal).as_py()
    _, n_views = np.unique(part.first_row, return_counts=True)
    return _bad(counts | {"views missing or doubled": (n_views != part.config.n_views).sum()})


def identities_recomputed(part: ManifestPart) -> Bad:
    """Count ids and seeds that are not the hashes, made again from the columns and the configuration."""
    bad = _bad({"physical_id or task_seed": sum(_n_forged(part, tier) for tier in pc.unique(part.physical["tier"]).to_pylist())})
    experiments = part.tasks["experiment_id"].combine_chunks().dictionary_encode()
    tails = [hash_tail(text) for text in experiments.dictionary.to_pylist()]
    ids = hash_hex_each(part.tasks["physical_id"].to_pylist(), (tails[code] for code in experiments.indices.to_pylist()))
    return bad + _bad({"task_id": part.tasks.num_rows - pc.sum(pc.equal(part.tasks["task_id"], pa.array(ids))).as_py()})


def _n_forged(part: ManifestPart, tier: str) -> int:
    """Return how many physical injections of one tier have an id or a seed that is not the hash of their content."""
    grid, rows = part.grid(tier), part.physical.filter(pc.equal(part.physical["tier"], tier))
    if grid is None:
        return int(rows.num_rows)
    place = pc.index_in(rows["config_id"], pa.array([*grid.config_ids(), CONTROL])).fill_null(-2).to_numpy()
    config = np.where(place == grid.n_configs, CONTROL_CONFIG, place)
    is_known = (config != -2) & ((config == CONTROL_CONFIG) == rows["is_control"].to_numpy())
    known = rows.filter(pa.array(is_known))
    design = TierDesign(tier, grid, part.priors, part.config.sampling_seed)
    expected = physical_ids(design, known["host_id"].to_pylist(), config[is_known].tolist(), known["replicate"].to_pylist())
    is_genuine = pc.equal(known["physical_id"], pa.array(expected, pa.string())).to_numpy()
    is_genuine &= known["task_seed"].to_numpy() == hash_int63_each(expected)
    return int(rows.num_rows - is_genuine.sum())


def frozen_as_drawn(part: ManifestPart) -> Bad:
    """Count, by column, frozen variables that are not their law at the hashed uniform number of their physical id."""
    rows = part.injections
    theta_e = part.column("theta_e_arcsec")[rows]
    if not (theta_e > 0.0).all():
        return _bad({"theta_e_arcsec not above 0": (~(theta_e > 0.0)).sum()})
    expected = draw(part.priors, part.uniforms, theta_e_arcsec=theta_e)
    return _bad({name: _n_differing(part.column(name)[rows], expected[name]) for name in FROZEN_COLUMNS})


def configurations_known(part: ManifestPart) -> Bad:
    """Count, by column, parameters that are not those which the grid gives the row's config_id and physical id."""
    bad: Bad = Counter()
    for grid, rows in part.by_tier():
        if grid is None:
            bad["tier"] += len(rows)
            continue
        labels = part.physical["config_id"].take(pa.array(rows))
        place = np.asarray(pc.index_in(labels, pa.array(grid.config_ids())).fill_null(-1), dtype=np.int64)
        expected = grid.parameters(np.maximum(place, 0), part.ids(rows))
        given = {name: part.column(name)[rows] for name in _CONFIGURED}
        wrong = {name: given[name] != values for name, values in zip(_CONFIGURED, expected.T, strict=True)}
        if grid.mag_kind != "src_dmag":
            src_mag_r = given["src_dmag"] + _rmag_mw(part, rows)
            wrong["src_dmag"] = ~(np.abs(src_mag_r - expected[:, 1]) <= _TOLERANCE)
        density = part.column("proposal_density")[rows].astype(np.float64)
        wrong["proposal_density"] = ~np.isclose(density, grid.proposal_density(expected), rtol=_TOLERANCE, atol=0.0, equal_nan=True)
        bad += _bad({"config_id": (place < 0).sum(), **{name: (is_wrong & (place >= 0)).sum() for name, is_wrong in wrong.items()}})
    return bad


def controls_zero(part: ManifestPart) -> Bad:
    """Count, by column, controls that have something of a lens or a source."""
    rows = np.flatnonzero(part.is_control)
    counts = {name: (part.column(name)[rows] != 0.0).sum() for name in _ZERO_FOR_CONTROLS}
    counts |= {name: (part.column(name)[rows] != CONTROL).sum() for name in ("config_id", "lens_model")}
    return _bad(counts | {name: np.isfinite(part.column(name)[rows].astype(np.float64)).sum() for name in _DENSITIES})


def injections_positive(part: ManifestPart) -> Bad:
    """Count, by column, injections without a lens or a source with flux."""
    rows = part.injections
    counts = {name: (~(part.column(name)[rows] > 0.0)).sum() for name in _POSITIVE}
    return _bad(counts | {name: (part.column(name)[rows] == CONTROL).sum() for name in ("config_id", "lens_model")})


def values_in_range(part: ManifestPart) -> Bad:
    """Count, by column, parameters of injections that lie outside their ranges."""
    rows, colours = part.injections, colour_range(part.priors)
    closed = {"lens_e": (0.0, 0.95), "src_e": (0.0, 0.95), "shear": (0.0, 0.5), "src_gr": colours, "src_rz": colours}
    counts = {}
    for name, (lower, upper) in closed.items():
        values = part.column(name)[rows]
        counts[name] = (~((values >= lower) & (values <= upper))).sum()
    for name in ("src_phi_rad", "lens_phi_rad", "shear_phi_rad"):
        values = part.column(name)[rows]
        counts[name] = (~((values >= 0.0) & (values < pi))).sum()
    theta_e = part.column("theta_e_arcsec")[rows]
    return _bad(counts | {"theta_e_arcsec": (~((theta_e > 0.0) & (theta_e <= 5.0))).sum()})


def fluxes_painted(part: ManifestPart) -> Bad:
    """Count, by band, source fluxes that are not intrinsic magnitudes extincted once: the painted r is rmag + src_dmag."""
    rows = part.injections
    dmag = part.column("src_dmag")[rows]
    colours = {name: part.column(name)[rows] for name in ("src_gr", "src_rz")}
    expected = painted_fluxes(src_r_mag=_rmag_mw(part, rows) + dmag, **colours, ebv=part.column("ebv")[rows])
    expected["src_flux_r_nmgy"] = 10.0 ** (0.4 * (22.5 - (part.column("rmag")[rows] + dmag)))
    return _bad({name: _n_differing(part.column(name)[rows], values) for name, values in expected.items()})


def _rmag_mw(part: ManifestPart, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the hosts' r corrected for extinction [AB mag]."""
    return np.asarray(part.column("rmag")[rows] - extinction_mag("r", part.column("ebv")[rows]))


def _n_differing(found: NDArray[np.float64], expected: NDArray[np.float64]) -> int:
    """Return how many values differ by more than rounding; NaN differs from everything."""
    return int((~(np.abs(found - expected) <= _TOLERANCE * np.maximum(np.abs(expected), 1.0))).sum())
