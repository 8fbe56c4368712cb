"""Coverage of nominal 95 % intervals, as a figure: `docs/figures/coverage.png`.

python -m benchmarks.coverage_figure docs
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binom

from halo_core.statistics import clopper_pearson_interval, clustered_interval, jeffreys_interval, wilson_interval

FloatArray = NDArray[np.float64]

LEVEL = 0.95
N_TRIALS = 40
ICCS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
N_DRAWS = 4000
COLOURS = ("#0072B2", "#D55E00", "#009E73")


def binomial_coverage(interval: Callable[..., tuple[FloatArray, FloatArray]], n: int, shares: FloatArray) -> FloatArray:
    """Return the exact coverage of a binomial interval at each true share: every outcome k with its probability."""
    k = np.arange(n + 1)
    lower, upper = interval(k, n, LEVEL)
    covers = (lower <= shares[:, None]) & (shares[:, None] <= upper)
    return np.asarray((binom.pmf(k, n, shares[:, None]) * covers).sum(axis=1), dtype=np.float64)


def clustered_coverage(rng: np.random.Generator, *, n_clusters: int, icc: float, n_draws: int, p: float = 0.4) -> tuple[float, float]:
    """Return the share of beta-binomial draws (unequal cells of about 40) that the clustered interval covers, and naive Wilson."""
    clustered = naive = 0
    for _ in range(n_draws):
        n = np.maximum(1, np.round(40 * rng.lognormal(-0.125, 0.5, n_clusters))).astype(int)
        share = rng.beta(p * (1 / icc - 1), (1 - p) * (1 / icc - 1), n_clusters) if icc > 0 else p
        k = rng.binomial(n, share)
        found = clustered_interval(k, n, LEVEL)
        lower, upper = wilson_interval(k.sum(), n.sum(), LEVEL)
        clustered += found.lower <= p <= found.upper
        naive += bool(lower <= p <= upper)
    return clustered / n_draws, naive / n_draws


def figure() -> Figure:
    """Return both panels: binomial intervals against the true share, sky cells against their correlation."""
    whole = Figure(figsize=(10.0, 3.9), layout="constrained")
    left, right = whole.subplots(1, 2)
    shares = np.linspace(0.01, 0.99, 981)
    for (name, interval), colour in zip(
        {"Wilson": wilson_interval, "Jeffreys": jeffreys_interval, "Clopper-Pearson": clopper_pearson_interval}.items(),
        COLOURS,
        strict=True,
    ):
        left.plot(shares, binomial_coverage(interval, N_TRIALS, shares), color=colour, lw=0.9, label=name)
    left.set(xlabel="true share p", ylabel="coverage", ylim=(0.86, 1.0), title=f"Independent injections, n = {N_TRIALS} (exact)")
    rng = np.random.default_rng(2024)
    for n_clusters, marker in ((12, "o"), (50, "s")):
        found = np.array([clustered_coverage(rng, n_clusters=n_clusters, icc=icc, n_draws=N_DRAWS) for icc in ICCS])
        right.plot(ICCS, found[:, 0], marker=marker, color=COLOURS[0], label=f"by sky cell, {n_clusters} cells")
        right.plot(ICCS, found[:, 1], marker=marker, color=COLOURS[1], ls="--", label=f"naive Wilson, {n_clusters} cells")
    right.set(
        xlabel="correlation inside a sky cell (ICC)", ylim=(0.4, 1.0), title=f"Unequal cells of about 40, p = 0.4 ({N_DRAWS:,} draws)"
    )
    for panel in (left, right):
        panel.axhline(LEVEL, color="0.4", lw=0.8, ls=":")
        panel.legend(fontsize=8, frameon=False)
    return whole


def main() -> None:
    """Write the figure into the folder that is named."""
    figure().savefig(Path(sys.argv[1]) / "figures" / "coverage.png", dpi=130)


if __name__ == "__main__":
    main()
