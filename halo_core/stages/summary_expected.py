"""What the reference design gives by theory: magnifications of its small grid, and the proxy that measures its own definition.

Only a tier whose grid has the reference's values, with hosts' sources drawn from its priors, is held against these numbers, and only with
so many injections that their scatter is a quarter of the tolerance.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from halo_core.stages.grids import Grid
from halo_core.stages.priors import parse_priors

REFERENCE_GRID = "grid_small"
REFERENCE_PRIORS: Mapping[str, str] = {
    "src_offset": "disc_0.8",
    "src_phi": "uniform_0_pi",
    "lens_phi": "uniform_0_pi",
    "shear_phi": "uniform_0_pi",
    "lens_e": "uniform_0.05_0.5",
    "src_colours": "reference",
    "src_n_sersic": "fixed_1",
    "lens_model": "SIE",
}
"""Priors of the reference campaign."""

REFERENCE_PROXY = (("snr_peak_pixel_r", 5.0), ("resolution", 0.8))
"""Minimums of the reference campaign's proxy."""

_STANDARD_ERRORS = 4.0


@dataclass(frozen=True)
class Expectation:
    """A number of the reference design: expected +- tolerance, and the scatter of one injection.

    ``spread`` over sqrt(n) is the standard error of the number over n injections, so that ``n_needed`` of them make four standard errors
    of the tolerance; 0 for a limit that each injection keeps.
    """

    quantity: str
    expected: float
    tolerance: float
    spread: float

    @property
    def n_needed(self) -> int:
        """Fewest injections that can be held against it."""
        return max(1, ceil((_STANDARD_ERRORS * self.spread / self.tolerance) ** 2)) if self.spread else 1

    def row(self, observed: float | None, n: float) -> dict[str, object]:
        """Return the columns of a row of facts; ``is_ok`` is None where n (effective) injections are too few to say."""
        is_judged = observed is not None and n >= self.n_needed
        return {
            "quantity": self.quantity,
            "expected": self.expected,
            "tolerance": self.tolerance,
            "observed": observed,
            "n": n,
            "n_needed": self.n_needed,
            "is_ok": self._holds(observed) if is_judged and observed is not None else None,
        }

    def _holds(self, observed: float) -> bool:
        """Return whether a number is the expected one; a minimum may lie above."""
        if self.quantity.endswith("_minimum"):
            return observed >= self.expected - self.tolerance
        return abs(observed - self.expected) <= self.tolerance + 1e-12


MAGNIFICATION = {
    "median": Expectation("magnification_median", 3.7, 0.15, 1.8),
    "mean": Expectation("magnification_mean", 4.4, 0.2, 2.33),
    "minimum": Expectation("magnification_minimum", 1.0, 0.0, 0.0),
}
"""By column of the facts. The spreads are those of 1,920 draws by ray-shooting: 1 / (2 density at the median), and the deviation."""

SHARE_BELOW = Expectation("share_recovered_below_resolution_limit", 0.0, 0.0, 0.0)
SHARE_ABOVE = Expectation("share_recovered_above_resolution_limit", 0.92, 0.07, 0.27)
"""The proxy: nothing below its limit, 85-99 % above; the spread is sqrt(p (1 - p))."""


def is_reference_design(grid: Grid, priors: Mapping[str, str], shipped: Grid) -> bool:
    """Return whether a grid has the values of the shipped reference grid, whatever its name, and every prior is the reference's."""
    contents = [{**one.to_parameters(), "name": ""} for one in (grid, shipped)]
    return contents[0] == contents[1] and parse_priors(priors).values == parse_priors(REFERENCE_PRIORS).values


def expected_rows(
    magnification: Sequence[Mapping[str, object]], definition: Sequence[Mapping[str, object]], reference_grids: frozenset[str]
) -> Iterator[dict[str, object]]:
    """Yield observed beside expected numbers of the tiers of the reference design.

    Parameters
    ----------
    magnification, definition : sequence of mapping
        Rows of the facts of these names.
    reference_grids : frozenset of str
        Grids of the reference design.
    """
    for row in magnification:
        if row["grid"] in reference_grids:
            for name, expectation in MAGNIFICATION.items():
                yield {"tier": row["tier"], "grid": row["grid"], "stamp_size": None, "bandset": None, "criterion": None} | expectation.row(
                    _number(row[name]), _number(row["n_physical"]) or 0
                )
    for row in definition:
        if row["grid"] in reference_grids and row["is_reference"]:
            key = {name: row[name] for name in ("tier", "grid", "stamp_size", "bandset", "criterion")}
            n_below, n_recovered_below = _number(row["n_below"]) or 0, _number(row["n_recovered_below"]) or 0
            yield key | SHARE_BELOW.row(n_recovered_below / n_below if n_below else None, n_below)
            yield key | SHARE_ABOVE.row(_number(row["share_above"]), _number(row["n_eff_above"]) or 0)


def _number(value: object) -> float | None:
    """Return a number of a row of facts, None where it has none."""
    return value if isinstance(value, (int, float)) else None
