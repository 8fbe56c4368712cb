"""The columns of a manifest: identities, frozen variables, fluxes as painted, and the views of each physical injection."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import BANDS, TIERS
from halo_core.records import MANIFEST, conform
from halo_core.seeds import hash_hex_each, hash_int63_each, hash_tail
from halo_core.stages.grids import Grid
from halo_core.stages.manifest_config import ManifestConfig
from halo_core.stages.manifest_hosts import CONTROL_CONFIG, Draw
from halo_core.stages.priors import Priors, draw, stream_uniforms
from halo_core.survey.photometry import extinction_factor, mag_to_nmgy

CONTROL = "CONTROL"
"""``config_id`` and ``lens_model`` of a control."""

VIEW_COLUMNS = ("task_id", "experiment_id", "stamp_size", "bandset")
"""Columns in which the rows of one physical injection differ; all others are equal."""

HOST_COLUMNS = (
    *("region_id", "region_split", "host_id", "brickname", "objid", "ra", "dec", "rmag", "zmag"),
    *("psfsize_g_arcsec", "psfsize_r_arcsec", "psfsize_z_arcsec", "psfdepth_r_mag", "ebv", "parent_flags"),
)
"""Columns taken over from the parents."""

FROZEN_COLUMNS = (
    *("src_x_arcsec", "src_y_arcsec", "src_phi_rad", "lens_phi_rad", "shear_phi_rad", "lens_e"),
    *("src_gr", "src_rz", "src_n_sersic", "src_offset_density_arcsec_m2"),
)
"""Columns drawn from the priors; 0 for a control, but for the density, which is NULL."""

_CONTROL_VALUES = (CONTROL, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class TierDesign:
    """What all physical injections of a tier share."""

    tier: str
    grid: Grid
    priors: Priors
    sampling_seed: int


def physical_ids(design: TierDesign, host_id: Sequence[str], config: Sequence[int], replicate: Sequence[int]) -> list[str]:
    """Return the identities of physical injections.

    Parameters
    ----------
    design : TierDesign
        Tier, grid, priors and sampling seed.
    host_id : sequence of str, length n
        Hosts.
    config : sequence of int, length n
        0-based configuration of the grid, or ``CONTROL_CONFIG``.
    replicate : sequence of int, length n
        0-based repetition.

    Returns
    -------
    list of str
        Hash of host, tier, values of the configuration (not its name or number; of a population its laws and the number of the draw),
        priors, replicate, whether it is a control, and the sampling seed. No stamp size, split, block or digest enters.
    """
    values = design.grid.identities()
    text = design.priors.text()
    pairs = list(zip(config, replicate, strict=True))
    tails = {
        (c, r): hash_tail(
            design.tier,
            *(_CONTROL_VALUES if c == CONTROL_CONFIG else values[c]),
            text,
            r,
            c == CONTROL_CONFIG,
            design.sampling_seed,
        )
        for c, r in set(pairs)
    }
    return hash_hex_each(host_id, (tails[pair] for pair in pairs))


def physical_table(design: TierDesign, drawn: Draw, hosts: pa.Table) -> pa.Table:
    """Return one row per physical injection or control: the manifest's columns but for the views.

    Parameters
    ----------
    design : TierDesign
        What the rows share.
    drawn : Draw
        Configurations, replicates, repeats and weights, length n.
    hosts : Table
        One row per physical injection, length n: ``HOST_COLUMNS`` and ``rmag_mw`` of the parents, ``psf_stratum``,
        ``depth_stratum`` and ``block``.
    """
    is_control = drawn.config == CONTROL_CONFIG
    ids = physical_ids(design, hosts["host_id"].to_pylist(), drawn.config.tolist(), drawn.replicate.tolist())
    labels = np.array([*design.grid.config_ids(), CONTROL])
    columns: dict[str, object] = {name: hosts[name] for name in (*HOST_COLUMNS, "psf_stratum", "depth_stratum", "block")}
    columns |= {
        "physical_id": ids,
        "tier": _constant(design.tier, len(ids)),
        "grid": _constant(design.grid.name, len(ids)),
        "config_id": pa.array(labels.tolist()).take(pa.array(np.where(is_control, len(labels) - 1, drawn.config))),
        "replicate": drawn.replicate,
        "is_control": is_control,
        "task_seed": hash_int63_each(ids),
        "lens_model": pc.if_else(pa.array(is_control), CONTROL, str(design.priors.values["lens_model"])),
        "host_repeat": drawn.host_repeat,
        "sampling_weight": drawn.sampling_weight,
    }
    columns |= _painted_columns(design, drawn.config, ids, hosts)
    return pa.table(columns)


def _painted_columns(design: TierDesign, config: NDArray[np.int64], ids: list[str], hosts: pa.Table) -> dict[str, object]:
    """Return configuration, frozen variables and fluxes: zero for controls."""
    n, chosen = len(config), np.flatnonzero(config != CONTROL_CONFIG)
    chosen_ids = [ids[i] for i in chosen]
    parameters = design.grid.parameters(config[chosen], chosen_ids)
    theta_e, src_mag, reff, src_e, shear = parameters.T
    rmag_mw = np.asarray(hosts["rmag_mw"], dtype=np.float64)[chosen]
    src_dmag = src_mag if design.grid.mag_kind == "src_dmag" else src_mag - rmag_mw
    painted = {"theta_e_arcsec": theta_e, "src_dmag": src_dmag, "src_reff_arcsec": reff, "src_e": src_e, "shear": shear}
    painted["proposal_density"] = design.grid.proposal_density(parameters)
    frozen = draw(design.priors, stream_uniforms(chosen_ids), theta_e_arcsec=theta_e)
    painted |= {name: frozen[name] for name in FROZEN_COLUMNS}
    painted |= painted_fluxes(
        src_r_mag=rmag_mw + src_dmag,
        src_gr=frozen["src_gr"],
        src_rz=frozen["src_rz"],
        ebv=np.asarray(hosts["ebv"], dtype=np.float64)[chosen],
    )
    return {name: _spread(values, chosen, n, np.nan if "density" in name else 0.0) for name, values in painted.items()}


def painted_fluxes(
    *, src_r_mag: NDArray[np.float64], src_gr: NDArray[np.float64], src_rz: NDArray[np.float64], ebv: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return the unlensed source fluxes as painted: intrinsic, then extincted once.

    Parameters
    ----------
    src_r_mag : ndarray, shape (n,)
        Intrinsic source r [AB mag].
    src_gr, src_rz : ndarray, shape (n,)
        Intrinsic colours [AB mag].
    ebv : ndarray, shape (n,)
        E(B-V) of the host [mag]; >= 0.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        ``src_flux_<band>_nmgy`` [nmgy].
    """
    intrinsic = {"g": src_r_mag + src_gr, "r": src_r_mag, "z": src_r_mag - src_rz}
    return {f"src_flux_{band}_nmgy": mag_to_nmgy(intrinsic[band]) * extinction_factor(band, ebv) for band in BANDS}


def experiment_id(tier: str, stamp_size: int, bandset: str, grid: str) -> str:
    """Return the name of one view of one tier."""
    return f"{tier}_stamp{stamp_size}_bands{bandset}_grid{grid}"


def expand_views(physical: pa.Table, config: ManifestConfig) -> pa.Table:
    """Return the manifest: one row per physical injection and view, the views of one injection next to each other.

    Parameters
    ----------
    physical : Table
        All columns of the manifest but the views'.
    config : ManifestConfig
        Gives stamp sizes (rising), bandsets, and the grid of each tier.
    """
    views = [(size, bandset) for size in sorted(config.stamp_sizes) for bandset in sorted(config.bandsets)]
    rows, view = np.divmod(np.arange(physical.num_rows * len(views)), len(views))
    repeated = physical.take(pa.array(rows))
    columns: dict[str, object] = {name: repeated[name] for name in repeated.column_names}
    columns["stamp_size"] = np.array([size for size, _ in views])[view]
    columns["bandset"] = pa.array([bandset for _, bandset in views]).take(pa.array(view))
    tiers = [tier for tier in TIERS if tier in config.tiers]
    experiments = [experiment_id(tier, size, bandset, config.grids[tier]) for tier in tiers for size, bandset in views]
    tier = np.asarray(pc.index_in(physical["tier"], pa.array(tiers)), dtype=np.int64)
    place = tier[rows] * len(views) + view
    columns["experiment_id"] = pa.array(experiments).take(pa.array(place))
    tails = [hash_tail(experiment) for experiment in experiments]
    columns["task_id"] = hash_hex_each(repeated["physical_id"].to_pylist(), (tails[index] for index in place.tolist()))
    return conform(columns, MANIFEST, where="manifest")


def _constant(value: str, n: int) -> pa.Array:
    """Return a column of one text."""
    return pa.array([value], type=pa.string()).take(pa.array(np.zeros(n, dtype=np.int64)))


def _spread(values: NDArray[np.float64], chosen: NDArray[np.int64], n: int, fill: float) -> pa.Array:
    """Return a column of length n that holds the values at the chosen rows; NaN becomes NULL."""
    column = np.full(n, fill)
    column[chosen] = values
    return pa.array(column, from_pandas=True)
