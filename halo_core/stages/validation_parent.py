"""Validation of the parents: every law that the catalogue, its configuration and the brick table can prove or break.

The catalogue is read sky cell by sky cell; what one cell cannot show (a galaxy that stands in two, hosts on either side of a border) is
collected from all of them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import EXTINCTION_PER_EBV, SPLITS
from halo_core.flags import Flag
from halo_core.records import PARENTS, Finding
from halo_core.stages.parent import CONDITIONS
from halo_core.stages.parent_apart import SplitsApart
from halo_core.stages.parent_bricks import BrickTable, brick_cuts
from halo_core.stages.parent_cells import cell_of, in_order, split_by_cell
from halo_core.stages.parent_config import EXTERNAL, ParentConfig
from halo_core.stages.parent_flow import Survivors, apply_cuts
from halo_core.stages.parent_variants import VARIANTS, variant_mask
from halo_core.stages.validation import Tally, attempt
from halo_core.stages.validation_checks import Verdict, finding_of, none_of, nulls_verdict, schema_verdict
from halo_core.survey.bricks import brick_at, brick_by_id
from halo_core.survey.regions import near_other_split, region_of, split_of

N_SAMPLED = 500
"""Parents of each sky cell whose guard mark is made again."""

_TOLERANCE_MAG = 1e-9
_KEY = ("release", "brickid", "objid")

Counts = Counter[str]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ParentView:
    """A part of a parent catalogue with what it was made from."""

    parents: pa.Table
    config: ParentConfig
    bricks: BrickTable

    def column(self, name: str) -> NDArray[Any]:
        """Return a column, NULL numbers as NaN."""
        column = self.parents[name]
        return np.asarray(column.fill_null(np.nan).to_numpy() if pa.types.is_floating(column.type) else column.to_numpy())

    @property
    def eligible(self) -> NDArray[np.int64]:
        """Rows outside the guard band."""
        return np.flatnonzero(~self.column("is_guard").astype(bool))


@dataclass(frozen=True)
class Law:
    """One law: what is counted in each part, and what the sums over all parts say."""

    name: str
    sentence: str
    count: Callable[[ParentView], Counts]
    verdict: Callable[[Counts], Verdict]
    severity: Literal["error", "warning"] = "error"


def check_parent(
    parents: pa.Table | Callable[[], Iterable[pa.Table]], config: ParentConfig, *, bricks: pa.Table, has_given_splits: bool
) -> list[Finding]:
    """Return one finding per law, passed or not.

    Parameters
    ----------
    parents : Table, or callable that gives Tables
        The catalogue, as a whole or sky cell by sky cell; it is asked for twice.
    config : ParentConfig
        What it was asked to be; laws of the selection do not apply to variant ``external``.
    bricks : Table
        Schema ``BRICKS``.
    has_given_splits : bool
        Regions or splits came with the table: they are not compared with the HEALPix cells, and overlaps only warn.

    Notes
    -----
    It fails closed: without rows, or where a column is missing or NULL that must not be, the other laws are not tried.
    """
    read = partial(_parts, parents) if isinstance(parents, pa.Table) else parents
    known = BrickTable(bricks)
    entry = _entry_findings(ParentView(part, config, known) for part in read())
    if not entry[-1].is_ok:
        return entry
    laws = (_unique(), *_COMMON, *(() if has_given_splits else _OWN_SPLITS))
    laws += (*(() if config.variant == EXTERNAL else _selection(config)), _apart(config, has_given_splits=has_given_splits))
    tally = Tally({law.name: law.count for law in laws})
    for part in read():
        tally.add(ParentView(part, config, known))
    verdicts = (tally.raised.get(law.name) or attempt(law.verdict, tally.counts[law.name]) for law in laws)
    return [*entry, *(finding_of("parent", law, verdict) for law, verdict in zip(laws, verdicts, strict=True))]


def _unique() -> Law:
    """Return the law of galaxies that stand once, which is counted over all parts together."""
    unique, repeats = _Unique(), _none("rows repeat a galaxy or have another's host_id")
    return Law("hosts_unique", "Each galaxy stands once, under its own host_id.", unique.add, lambda _: repeats(unique.counts()))


def _apart(config: ParentConfig, *, has_given_splits: bool) -> Law:
    """Return the law of separate splits, which is counted over all parts together."""
    apart = SplitsApart(2.0 * config.guard_arcsec)
    what = f"eligible hosts within {apart.radius_arcsec:.1f} arcsec of another split's"

    def add(view: ParentView) -> Counts:
        """Note the eligible hosts of a part."""
        rows = view.eligible
        apart.add(view.column("ra")[rows], view.column("dec")[rows], view.column("region_split")[rows].astype(str))
        return Counter()

    def verdict(_: Counts) -> Verdict:
        """Return whether no two are too near."""
        return none_of(apart.n_close(), apart.n_hosts, what)

    return Law("splits_apart", "No two splits share a pixel.", add, verdict, "warning" if has_given_splits else "error")


def _parts(parents: pa.Table) -> Iterator[pa.Table]:
    """Yield a whole catalogue cell by cell; one without positions as it is."""
    known = [name for name in ("ra", "dec", "brickid", "host_id") if name in parents.column_names and not parents[name].null_count]
    if len(known) < 4 or not _on_sky(parents).all():
        yield parents
        return
    for _, part in split_by_cell(parents):
        yield in_order(part)


def _entry_findings(views: Iterable[ParentView]) -> list[Finding]:
    """Return the findings that the others rest on, up to the first that fails."""
    n_rows, counts = 0, Counter[str]()
    worst: dict[str, Verdict] = {}
    for view in views:
        n_rows += view.parents.num_rows
        for name, _, verdict_of in _ENTRY:
            verdict = verdict_of(view.parents)
            worst[name] = verdict if not worst.get(name, verdict).is_ok or not verdict.is_ok else worst.get(name, verdict)
            if not verdict.is_ok:
                break
        else:
            counts.update(_bad(~_on_sky(view.parents)))
    findings = []
    worst["rows"] = Verdict(n_rows > 0, f"{n_rows} rows", "more than 0")
    for name, sentence, _ in (*_ENTRY[:1], ("rows", "The catalogue holds rows.", None), *_ENTRY[1:]):
        verdict = worst.get(name, Verdict(True, "no part", "none wrong"))
        findings.append(Finding("parent", name, verdict.is_ok, "error", *verdict[1:], sentence))
        if not verdict.is_ok:
            return findings
    verdict = none_of(counts["bad"], counts["rows"], "positions are not on the sky")
    return [*findings, Finding("parent", "positions", verdict.is_ok, "error", *verdict[1:], "Positions are on the sky.")]


def _on_sky(parents: pa.Table) -> Mask:
    """Return which positions are on the sky."""
    ra, dec = parents["ra"].to_numpy(), parents["dec"].to_numpy()
    return np.asarray(np.isfinite(ra) & (np.abs(dec) <= 90.0))


_ENTRY: tuple[tuple[str, str, Callable[[pa.Table], Verdict]], ...] = (
    ("columns", "The catalogue has every column in its type.", lambda parents: schema_verdict(parents, PARENTS)),
    ("nulls", "No column that forbids it holds NULL or NaN.", lambda parents: nulls_verdict(parents, PARENTS)),
)


def _bad(mask: Mask) -> Counts:
    """Return the number of rows that break a law, and of all rows."""
    return Counter(bad=int(mask.sum()), rows=len(mask))


def _none(what: str) -> Callable[[Counts], Verdict]:
    """Return the verdict of a law that no row may break."""
    return lambda counts: none_of(counts["bad"], counts["rows"], what)


class _Unique:
    """Whether each galaxy stands once: within a part at once, over parts for the bricks that several of them hold."""

    def __init__(self) -> None:
        self._keys: list[NDArray[np.int64]] = []
        self._n_wrong = self._n_rows = 0

    def add(self, view: ParentView) -> Counts:
        """Note the galaxies of a part."""
        parents = view.parents
        texts = {name: parents[name].cast(pa.string()) for name in ("release", "brickid", "objid", "brickname")}
        survey = pc.equal(pc.binary_join_element_wise(*(texts[name] for name in _KEY), ":"), parents["host_id"])
        outside = pc.equal(pc.binary_join_element_wise(texts["brickname"], texts["objid"], ":"), parents["host_id"])
        is_own = pc.or_(survey.fill_null(False), outside)
        self._n_wrong += parents.num_rows - int(pc.sum(is_own, min_count=0).as_py())
        self._n_rows += parents.num_rows
        self._keys.append(np.column_stack([parents[name].fill_null(-1).to_numpy() for name in _KEY]))
        return Counter()

    def counts(self) -> Counts:
        """Return how many rows repeat a galaxy or bear another's name."""
        bricks, n_parts = np.unique(np.concatenate([np.unique(keys[:, 1]) for keys in self._keys]), return_counts=True)
        shared, n_repeated, across = bricks[n_parts > 1], 0, []
        for keys in self._keys:
            n_repeated += len(keys) - len(np.unique(keys, axis=0))
            across.append(np.unique(keys[np.isin(keys[:, 1], shared)], axis=0))
        both = np.concatenate(across)
        n_repeated += len(both) - len(np.unique(both, axis=0))
        return Counter(bad=self._n_wrong + n_repeated, rows=self._n_rows)


def _places(view: ParentView) -> Counts:
    """Count positions that are not in the brick they name, where the row does not say so."""
    is_other = brick_at(view.column("ra"), view.column("dec")).brickid != view.column("brickid")
    is_noted = (view.column("parent_flags") & Flag.OUTSIDE_PRIMARY.value) != 0
    return _bad(is_other != is_noted)


def _cells(view: ParentView) -> Counts:
    """Count rows that are of another sky cell than the first of their part, or out of order."""
    cells = cell_of(view.column("ra"), view.column("dec"))
    brickid, host_id = view.column("brickid"), view.column("host_id").astype(str)
    is_before = (brickid[1:] < brickid[:-1]) | ((brickid[1:] == brickid[:-1]) & (host_id[1:] < host_id[:-1]))
    return _bad((cells != cells[:1]) | np.append(False, is_before)) if len(cells) else Counter()


def _splits(view: ParentView) -> Counts:
    """Count eligible hosts by split."""
    names, counts = np.unique(view.column("region_split")[view.eligible].astype(str), return_counts=True)
    return Counter(dict(zip(names.tolist(), counts.tolist(), strict=True)))


def _magnitudes(view: ParentView) -> Counts:
    """Count, by band, rows whose corrected magnitude is not the raw one minus A_band = c_band E(B-V)."""
    bad = Counter[str]()
    for band in ("g", "r", "z", "w1"):
        raw, corrected = view.column(f"{band}mag"), view.column(f"{band}mag_mw")
        off = np.abs(raw - EXTINCTION_PER_EBV[band] * view.column("ebv") - corrected) > _TOLERANCE_MAG
        bad[band] += int((off | (np.isnan(raw) != np.isnan(corrected))).sum())
    return bad


def _unknowns(view: ParentView) -> Counts:
    """Count, by flag, rows that say something else than what is NULL (E(B-V): 0)."""
    flags = view.column("parent_flags")
    unknown = {
        Flag.W1_UNKNOWN: np.isnan(view.column("w1mag")),
        Flag.CONDITIONS_UNKNOWN: np.isnan(np.column_stack([view.column(name) for name in CONDITIONS])).any(axis=1),
    }
    bad = Counter({str(flag.name): int((((flags & flag.value) != 0) != mask).sum()) for flag, mask in unknown.items()})
    bad["EBV_UNKNOWN"] += int((((flags & Flag.EBV_UNKNOWN.value) != 0) & (view.column("ebv") != 0.0)).sum())
    return bad


def _none_by_name(what: str) -> Callable[[Counts], Verdict]:
    """Return the verdict of laws that are counted by name and that no row may break."""

    def verdict(counts: Counts) -> Verdict:
        found = {name: n for name, n in counts.items() if n}
        return Verdict(not found, f"{what} that disagree: {found or 'none'}", "none")

    return verdict


def _regions(view: ParentView) -> Counts:
    """Count rows whose region or split is not that of their position and the split seed."""
    config, region = view.config, region_of(view.column("ra"), view.column("dec"), view.config.healpix_nside)
    split = split_of(region, split_seed=config.split_seed, fractions=config.split_fractions)
    return _bad((region != view.column("region_id")) | (split != view.column("region_split").astype(str)))


def _guard(view: ParentView) -> Counts:
    """Count sampled rows whose guard mark is not that of their position."""
    n = view.parents.num_rows
    rows = np.unique(np.linspace(0, n - 1, min(N_SAMPLED, n)).astype(np.int64))
    ra, dec = view.column("ra")[rows], view.column("dec")[rows]
    near = near_other_split(ra, dec, radius_arcsec=view.config.guard_arcsec, rule=view.config.rule())
    return _bad(near != view.column("is_guard")[rows].astype(bool))


def _bricks(view: ParentView) -> Counts:
    """Count parents whose brick is unknown, misnamed or below the quality limits; an unknown condition fails."""
    rows = Survivors({name: view.column(name) for name in ("brickid", "brickname")}, {})
    n = rows.n_rows
    apply_cuts(rows, brick_cuts(view.bricks, view.config))
    n_good = int((brick_by_id(rows["brickid"]).brickname == rows["brickname"].astype(str)).sum()) if rows.n_rows else 0
    return Counter(bad=n - n_good, rows=n)


def _variant(view: ParentView) -> Counts:
    """Count parents that do not pass the variant, by its flag or by its magnitudes."""
    name = view.config.variant
    passes = np.asarray(view.parents[f"is_{name}"].fill_null(False).to_numpy(), dtype=bool)
    if name in VARIANTS:
        kinds = view.column("type").astype(str)
        magnitudes = {band: view.column(band) for band in ("rmag", "zmag", "w1mag")}
        passes = passes & variant_mask(VARIANTS[name], **magnitudes, kind=kinds)
    return _bad(~passes)


def _user_cut(view: ParentView, number: int) -> Counts:
    """Count parents that fail a cut of the user's own."""
    cut = view.config.cuts[number]
    return _bad(~cut.passes({name: view.column(name) for name in cut.columns}))


def _known_splits(counts: Counts) -> Verdict:
    """Return whether splits are known and eligible hosts exist."""
    return Verdict(bool(counts) and set(counts) <= set(SPLITS), str(dict(sorted(counts.items()))), f"some of {SPLITS}")


_COMMON = (
    Law("places", "Positions lie in the bricks they name.", _places, _none("positions and bricks disagree without a flag")),
    Law("cells", "Each part holds one sky cell, sorted by brick and host.", _cells, _none("rows of another cell or out of order")),
    Law("splits", "Splits are known and eligible hosts exist.", _splits, _known_splits),
    Law("magnitudes", "Extinction is applied once, with the coefficients of the survey.", _magnitudes, _none_by_name("bands")),
    Law("unknowns", "What is not known is NULL, and a flag says so.", _unknowns, _none_by_name("flags")),
)
_OWN_SPLITS = (
    Law(
        "regions",
        "Region and split follow from position and split seed alone.",
        _regions,
        _none("rows whose region or split is not that of their position and the split seed"),
    ),
    Law("guard", "Guard marks follow from the position.", _guard, _none("sampled guard marks are wrong")),
)


def _selection(config: ParentConfig) -> Iterator[Law]:
    """Yield the laws of a catalogue that was selected here; cuts that read columns it does not keep were counted when they were made."""
    what = "parents in bricks that are unknown, misnamed or below the quality limits"
    yield Law("bricks", "Every parent lies in a brick of the table that is good enough.", _bricks, _none(what))
    yield Law("variant", "Every parent passes the variant.", _variant, _none(f"parents that do not pass {config.variant}"))
    for number, cut in enumerate(config.cuts):
        if cut.columns <= set(PARENTS.names):
            count = partial(_user_cut, number=number)
            yield Law(f"cut_{cut.name}", f"Every parent passes {cut.expression}.", count, _none(f"parents that fail {cut.name}"))
