"""The hosts of controls and injections, gathered while other checks read the blocks: what the laws against leaks compare.

Every column of manifest and results has a kind here. Only conditions are compared, one row a host;
memory holds some ten thousand hosts a tier.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import BANDS
from halo_core.flags import Flag
from halo_core.seeds import hash_order
from halo_core.survey.regions import region_of

MANIFEST_KINDS: dict[str, tuple[str, ...]] = {
    "condition": ("rmag", "zmag", *(f"psfsize_{band}_arcsec" for band in BANDS), "psfdepth_r_mag", "ebv", "parent_flags"),
    "truth": (
        *("theta_e_arcsec", "src_dmag", "src_reff_arcsec", "src_e", "shear", "src_x_arcsec", "src_y_arcsec", "src_phi_rad"),
        *("shear_phi_rad", "src_gr", "src_rz", "lens_model", "lens_e", "lens_phi_rad", "src_n_sersic"),
        *(f"src_flux_{band}_nmgy" for band in BANDS),
    ),
    "id": (*("task_id", "physical_id", "experiment_id", "task_seed", "host_id", "brickname", "objid", "region_id", "ra", "dec", "block"),),
    "design": (
        *("tier", "grid", "region_split", "psf_stratum", "depth_stratum", "config_id", "stamp_size", "bandset", "replicate"),
        *("is_control", "host_repeat", "sampling_weight", "src_offset_density_arcsec_m2", "proposal_density"),
    ),
}
"""What every column of the manifest is: only conditions are compared. A new column must be put in one of them."""

_TRUTH_STEMS = ("flux_frac_inside", "flux_frac_good", "snr_matched", "snr_peak_pixel", "snr_aperture", "electrons_per_nmgy")
_PSF_STEMS = (("psf_fwhm_used", "_arcsec"), ("psf_fwhm_model", "_arcsec"), ("psf_source", ""))

RESULT_KINDS: dict[str, tuple[str, ...]] = {
    "condition": (
        *("cutout_ok", "metrics_ok", "bad_pixel_frac", "bad_pixel_frac_g", "bad_pixel_frac_z", "wise_brightmask_frac"),
        *(f"{stem}_{band}{unit}" for stem, unit in _PSF_STEMS for band in BANDS),
    ),
    "truth": (
        *("magnification", "snr_matched_all"),
        *(f"{stem}_{band}" for stem in _TRUTH_STEMS for band in BANDS),
        *(f"total_injected_flux_{band}_nmgy" for band in BANDS),
    ),
    "id": ("task_id", "block", "host_x_pix", "host_y_pix", "stamp_x0_pix", "stamp_y0_pix"),
    "design": ("flags",),
}
"""The same of the results; the flags hold whether a row is a control, and what else they say stands in the conditions."""

HOST_COLUMNS = ("tier", "host_id", "is_control", "region_split", "psf_stratum", "depth_stratum", "ra", "dec", "stamp_size", "bandset")
"""Columns of the manifest that the laws need beside the conditions."""

MAX_HOSTS = 20_000
"""Hosts of a class and tier that are compared: the first in the order of a hash of their own."""

N_FOLDS = 5
SKY_NSIDE = 32
"""Resolution of the sky cells that stay in one fold."""

_KEYS = ("tier", "is_control")
_STRATUM = ("region_split", "psf_stratum", "depth_stratum")
_ROWS_AT_ONCE = 100_000

Hosts = tuple[NDArray[np.uint64], pa.Table]


@dataclass(frozen=True)
class ClassHosts:
    """Distinct hosts of one tier in the order of their keys; every array has shape (n,), ``stratum`` points into ``strata``."""

    is_control: NDArray[np.bool_]
    strata: tuple[str, ...]
    stratum: NDArray[np.int64]
    sky_cell: NDArray[np.int64]
    conditions: Mapping[str, NDArray[np.float64]]

    @property
    def n_compared(self) -> tuple[int, int]:
        """Return the number of injection hosts and of controls."""
        n_controls = int(np.count_nonzero(self.is_control))
        return len(self.is_control) - n_controls, n_controls

    @cached_property
    def fold(self) -> NDArray[np.int64]:
        """Return the fold of each host: sky cells are dealt round in the order of their hash."""
        cells, cell = np.unique(self.sky_cell, return_inverse=True)
        place = np.argsort(np.argsort(hash_order([str(number) for number in cells.tolist()], "leakage_fold"), kind="stable"))
        return np.asarray(place[cell] % N_FOLDS, dtype=np.int64)

    @cached_property
    def expanded(self) -> dict[str, NDArray[np.float64]]:
        """Return the conditions, each flag bit that occurs as one of its own."""
        found = {name: values for name, values in self.conditions.items() if name != "parent_flags"}
        bits = self.conditions.get("parent_flags", np.zeros(0)).astype(np.int64)
        return found | {f"parent_flags {flag.name}": ((bits & flag) != 0).astype(float) for flag in Flag if np.any(bits & flag)}


@dataclass
class HostWatch:
    """Hosts of a campaign, gathered while others read its blocks.

    Parameters
    ----------
    conditions : sequence of str
        Columns that are compared.
    sampling_seed : int
        Salt of the hash that chooses hosts; its order is not that of the draw.

    Attributes
    ----------
    is_whole : bool
        Every block was read.
    shares : Counter
        Number of hosts by tier, split, bins of seeing and depth, and whether they are controls.
    """

    conditions: Sequence[str]
    sampling_seed: int
    is_whole: bool = False
    shares: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    _parts: dict[tuple[str, bool], Hosts] = field(default_factory=dict)
    _waiting: list[pa.Table] = field(default_factory=list)

    def manifest(self, blocks: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Yield the blocks of a manifest as they are, each gathered once the reader asks for the next."""
        for tasks in blocks:
            yield tasks
            self._add(tasks.select([*HOST_COLUMNS, *self.conditions]))
        self._finish()

    def results(self, blocks: Iterable[tuple[pa.Table, pa.Table]]) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Yield tasks and results of each block as they are, gathered once the reader asks for the next; rows without a pair are not."""
        for tasks, results in blocks:
            yield tasks, results
            place = pc.index_in(tasks["task_id"], value_set=results["task_id"].combine_chunks())
            own = results.select(list(self.conditions)).take(place.drop_null())
            rows = tasks.select(list(HOST_COLUMNS)).filter(place.is_valid())
            self._add(pa.Table.from_arrays([*rows.columns, *own.columns], names=[*HOST_COLUMNS, *self.conditions]))
        self._finish()

    def tiers(self) -> dict[str, ClassHosts]:
        """Return the hosts that are compared, by tier; a tier without controls has none."""
        return {tier: self._hosts(tier) for tier, is_control in sorted(self._parts) if is_control}

    def _add(self, rows: pa.Table) -> None:
        """Keep rows until there are enough to gather their hosts."""
        self._waiting.append(rows)
        if sum(table.num_rows for table in self._waiting) >= _ROWS_AT_ONCE:
            self._gather()

    def _finish(self) -> None:
        """Gather what is left."""
        if self._waiting:
            self._gather()
        self.is_whole = True

    def _gather(self) -> None:
        """Take the hosts of the rows that wait, of each class and tier one row each: the view that comes first."""
        rows = pa.concat_tables(self._waiting).sort_by([("stamp_size", "ascending"), ("bandset", "ascending")])
        self._waiting = []
        host = rows["host_id"].combine_chunks().dictionary_encode()
        key = hash_order(host.dictionary.to_pylist(), "leakage", self.sampling_seed)[host.indices.to_numpy()]
        tier, is_control = (rows[name].to_numpy() for name in _KEYS)
        for pair in rows.group_by(list(_KEYS)).aggregate([]).to_pylist():
            keys = (pair["tier"], pair["is_control"])
            own = np.flatnonzero((tier == keys[0]) & (is_control == keys[1]))
            first = own[np.unique(key[own], return_index=True)[1]]
            hosts = rows.take(pa.array(first)).drop_columns(["host_id", "stamp_size", "bandset", *_KEYS])
            for row in hosts.group_by(list(_STRATUM)).aggregate([([], "count_all")]).to_pylist():
                self.shares[keys[0], *(row[name] for name in _STRATUM), keys[1]] += row["count_all"]
            kept = [self._parts[keys]] if keys in self._parts else []
            self._parts[keys] = _first_hosts([*kept, (key[first], hosts)])

    def _hosts(self, tier: str) -> ClassHosts:
        """Return the hosts of a tier that are compared."""
        classes = {kind: self._parts[tier, kind] for kind in (False, True) if (tier, kind) in self._parts}
        order = np.argsort(np.concatenate([key for key, _ in classes.values()]), kind="stable")
        table = pa.concat_tables([hosts for _, hosts in classes.values()]).take(pa.array(order))
        strata, stratum = np.unique(_strata_of(table), return_inverse=True)
        return ClassHosts(
            is_control=np.concatenate([np.full(len(key), kind) for kind, (key, _) in classes.items()])[order],
            strata=tuple(strata.tolist()),
            stratum=stratum.astype(np.int64),
            sky_cell=region_of(table["ra"].to_numpy(), table["dec"].to_numpy(), SKY_NSIDE),
            conditions={name: table[name].cast(pa.float64()).to_numpy() for name in self.conditions},
        )


def _strata_of(hosts: pa.Table) -> NDArray[np.str_]:
    """Return the stratum of each host as a text."""
    split, psf, depth = (hosts[name].cast(pa.string()) for name in _STRATUM)
    return np.asarray(pc.binary_join_element_wise(split, "seeing bin", psf, "depth bin", depth, " "), dtype=np.str_)


def _first_hosts(parts: Sequence[Hosts]) -> Hosts:
    """Return the distinct hosts with the smallest keys, at most ``MAX_HOSTS``."""
    keys, first = np.unique(np.concatenate([key for key, _ in parts]), return_index=True)
    return keys[:MAX_HOSTS], pa.concat_tables([hosts for _, hosts in parts]).take(pa.array(first[:MAX_HOSTS])).combine_chunks()
