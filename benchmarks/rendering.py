"""How fast and how right this engine and other codes draw the same lensed sources, side by side, on one thread.

A stamp is 64 x 64 pixels in three bands, each with a PSF of its own; making lens, source and PSFs counts. Codes take turns in short
slices, so that a machine's moods meet all of them; rates and ratios are medians over the rounds, of processor time, which on an idle
machine is time. Errors are worst of the bands, against images converged by code that shares nothing with this engine
(`tests/core/lensing/make_truth.py`, PSFs drawn by GalSim; four of the seven hard scenes by lenstronomy and GalSim).

    make benchmark        that is: python -m benchmarks.rendering --write docs; some three minutes on an otherwise idle machine
"""

import argparse
import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle, islice
from pathlib import Path
from time import process_time

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from benchmarks import rendering_costs, scenes
from benchmarks.peers import Draw, caustics, galsim_alone, has_caustics, lenstronomy
from halo_core.lensing import Renderer, render_arc
from tests.core.lensing.lensing_scenes import lens_of, residual, source_of, truth_cases
from tests.core.lensing.make_truth import Array, Case

FLUX_TOLERANCE, RESIDUAL_TOLERANCE = 1e-3, 5e-3
"""What the engine promises for n <= 1."""

N_MIX, N_TRUTHS, N_FEW = 400, 12, 4
"""Scenes that rates are measured on, that errors are measured on, and that for other PSFs and indices."""

PACKAGES = ("numpy", "scipy", "numba", "rocket-fft", "galsim", "lenstronomy", "caustics", "torch")
THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
MARKED = re.compile(r"(<!-- benchmark -->\n).*(<!-- /benchmark -->)", re.DOTALL)
BLUE, ORANGE, GREEN, PURPLE = "#0b3c6f", "#d1702a", "#3f8f5b", "#8b5fa8"


@dataclass(frozen=True)
class Code:
    """One way to draw: name, function, the scenes its rate is for, and the scenes with truth it is held to."""

    name: str
    draw: Draw
    scenes: list[Case]
    typical: scenes.Truths
    hard: scenes.Truths
    colour: str
    label: tuple[str, int, int] = ("", 0, 0)
    """Name in the figure, and its place from the point [points]."""


@dataclass(frozen=True)
class Errors:
    """Flux errors and residuals over the peak of some scenes, the worst of the bands of each."""

    flux: NDArray[np.float64]
    residual: NDArray[np.float64]


def engine(renderer: Renderer = "adaptive") -> Draw:
    """Return drawing by this engine, from parameters to stamps."""

    def draw(case: Case) -> Array:
        psfs = [scenes.psf_of(case["psf"], fwhm) for fwhm in case["psf_fwhm_arcsec"]]
        options = {"size_pix": case["size_pix"], "pixel_response": case["pixel_response"], "renderer": renderer}
        return render_arc(lens_of(case), source_of(case), psfs, **options)

    return draw


def codes() -> list[Code]:
    """Return what is compared; the first is what all others are measured by."""
    ours, typical, hard = engine(), scenes.mix(N_MIX), scenes.hard_truths()
    few = {kind: scenes.converged(scenes.mix(N_FEW, psf=kind)) for kind in ("sum", "image")}
    steep = scenes.converged(scenes.mix(N_FEW, n_sersic=4.0))
    right, hosts = scenes.converged(typical[:N_TRUTHS]), scenes.image_psf_hosts(20 * N_MIX)
    sets = (typical, right, hard)
    kolmogorov, sheared, sums = (scenes.mix(N_MIX, psf=kind) for kind in ("kolmogorov", "sheared", "sum"))
    made = [
        Code("this engine: Gaussian, Moffat", ours, *sets, BLUE, ("this engine:\nGaussian, Moffat", 9, 6)),
        Code("this engine: grid_medium, R_e down to 0.05 arcsec", ours, scenes.grid_medium(N_MIX), [], [], BLUE),
        Code("this engine: n = 4", ours, scenes.mix(N_MIX, n_sersic=4.0), steep, [], BLUE, ("n = 4", 8, 0)),
        Code("this engine: Kolmogorov, new per stamp", ours, kolmogorov, [], [], BLUE),
        Code("this engine: sheared Moffat, new per stamp", ours, sheared, [], [], BLUE),
        Code("this engine: sum of two, new per stamp", ours, sums, few["sum"], [], BLUE, ("sum of two", 0, 10)),
        Code("this engine: image PSF, 100 stamps a host", ours, hosts, few["image"], [], BLUE, ("image PSF", 0, 10)),
        Code("this engine, `renderer = galsim`", engine("galsim"), *sets, BLUE, ("this engine,\nrenderer = galsim", 0, -58)),
        Code("GalSim alone, 2x, one image for the bands", galsim_alone(2, is_shared=True), *sets, ORANGE, ("GalSim 2x", 8, 0)),
        Code(
            "GalSim alone, 4x, an image per band", galsim_alone(4, is_shared=False), *sets, ORANGE, ("GalSim 4x,\nimage per band", -18, 0)
        ),
        Code("GalSim alone, 4x, one image for the bands", galsim_alone(4, is_shared=True), *sets, ORANGE, ("GalSim 4x", -8, 0)),
        Code("GalSim alone, 8x, one image for the bands", galsim_alone(8, is_shared=True), *sets, ORANGE, ("GalSim 8x", -8, 0)),
        Code("lenstronomy, 3x, convolved at 1x (default)", lenstronomy(3, is_kernel_fine=False), *sets, GREEN, ("lenstronomy 3x", 0, 10)),
        Code("lenstronomy, 5x, full kernel at 5x", lenstronomy(5, is_kernel_fine=True), *sets, GREEN, ("lenstronomy 5x", 0, 10)),
    ]
    if has_caustics():
        made.append(Code("caustics, 4x, kernel at 4x, bands as a batch", caustics(4), *sets, PURPLE, ("caustics 4x", 0, 10)))
    return made


def errors(draw: Draw, truths: scenes.Truths) -> Errors:
    """Return how far stamps lie from the truth."""
    flux, worst = [], []
    for case, want in truths:
        got = draw(case)
        flux.append(max(abs(g.sum() / w.sum() - 1.0) for g, w in zip(got, want, strict=True)))
        worst.append(max(residual(g, w) for g, w in zip(got, want, strict=True)))
    return Errors(np.array(flux), np.array(worst))


def times(compared: Sequence[Code], *, n_rounds: int, slice_s: float) -> NDArray[np.float64]:
    """Return the seconds per stamp of every code in every round, shape (n_codes, n_rounds)."""
    supplies = [cycle(code.scenes) for code in compared]
    counts = []
    for code, supply in zip(compared, supplies, strict=True):
        _seconds(code.draw, supply, 2)
        counts.append(max(3, round(slice_s / _seconds(code.draw, supply, 3))))
    rounds = [[_seconds(code.draw, supply, n) for code, supply, n in zip(compared, supplies, counts, strict=True)] for _ in range(n_rounds)]
    return np.array(rounds).T


def _seconds(draw: Callable[[Case], Array], supply: "cycle[Case]", n: int) -> float:
    """Return the seconds a stamp takes, mean over the next n scenes."""
    todo = list(islice(supply, n))
    start = process_time()
    for case in todo:
        draw(case)
    return (process_time() - start) / n


def table(compared: Sequence[Code], taken: NDArray[np.float64], found: Sequence[tuple[Errors, Errors]]) -> str:
    """Return rates, ratios and errors as a table."""
    lines = [
        "| code | stamps/s | time, first row 1 | flux error, median / worst | residual over peak | hard: flux, worst | hard: residual |",
        "|---|---:|---:|---|---|---|---|",
    ]
    for code, seconds, (typical, hard) in zip(compared, taken, found, strict=True):
        rate, ratio = 1.0 / np.median(seconds), np.median(seconds / taken[0])
        cells = [_spread(typical.flux), _spread(typical.residual), _worst(hard.flux), _worst(hard.residual)]
        lines.append(f"| {code.name} | {_three(rate)} | {ratio:.3g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _three(value: float) -> str:
    """Return a rate with three digits."""
    return f"{float(f'{value:.3g}'):,.10g}"


def _spread(values: NDArray[np.float64]) -> str:
    """Return the median and the worst of errors."""
    return f"{np.median(values):.0e} / {values.max():.0e}" if len(values) else ""


def _worst(values: NDArray[np.float64]) -> str:
    """Return the worst of errors."""
    return f"{values.max():.0e}" if len(values) else ""


def stored_errors() -> str:
    """Return a sentence on the errors of this engine over all stored truths."""
    parts = []
    for name, is_wanted in (("n <= 1", lambda n: n <= 1.0), ("n > 1", lambda n: n > 1.0)):
        chosen = [(case, want) for case, want in truth_cases() if is_wanted(case["src_n_sersic"])]
        found = errors(engine(), chosen)
        parts.append(f"for {len(chosen)} with {name} flux {_spread(found.flux)}, residual over peak {_spread(found.residual)}")
    return f"This engine over all scenes of `tests/data/render_truth_hard.npz`, median / worst: {'; '.join(parts)}."


def machine() -> str:
    """Return a sentence on processor and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"Measured on one thread of {processor}, Python {platform.python_version()}: {', '.join(_version(name) for name in PACKAGES)}."


def _version(package: str) -> str:
    """Return a package with its version."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} not installed"


def figure(compared: Sequence[Code], taken: NDArray[np.float64], found: Sequence[tuple[Errors, Errors]]) -> Figure:
    """Return residual against rate: worst (disc) and median (bar) of typical scenes, worst of hard ones (ring)."""
    picture = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = picture.subplots()
    for code, seconds, (typical, hard) in zip(compared, taken, found, strict=True):
        if len(typical.residual):
            _point(axes, code, 1.0 / float(np.median(seconds)), typical, hard)
    axes.axhline(RESIDUAL_TOLERANCE, color="0.35", lw=1.0, ls="--", zorder=0)
    axes.annotate("promised for n ≤ 1", (1.0, RESIDUAL_TOLERANCE), xycoords=axes.get_yaxis_transform(), xytext=(-4, 3),
                  textcoords="offset points", ha="right", color="0.35", fontsize=8)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="stamps per second, 64 x 64 pixels in three bands, one thread",
             ylabel="largest residual over peak")  # fmt: skip
    axes.set_xlim(0.18 / np.median(taken, axis=1).max(), 5.0 / np.median(taken, axis=1).min())
    axes.set_ylim(top=1.0)
    axes.grid(which="major", color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    kinds = [Line2D([], [], marker="o", ls="", color="0.3", label="worst of typical scenes"),
             Line2D([], [], marker="_", ls="", ms=9, mew=1.5, color="0.3", label="their median"),
             Line2D([], [], marker="o", ls="", mfc="white", color="0.3", label="worst of hard scenes")]  # fmt: skip
    axes.legend(handles=kinds, fontsize=8, frameon=False, loc="upper right")
    return picture


def _point(axes: Axes, code: Code, rate: float, typical: Errors, hard: Errors) -> None:
    """Draw one code."""
    low, high = float(np.median(typical.residual)), float(typical.residual.max())
    axes.plot([rate, rate], [low, high], color=code.colour, lw=1.2)
    axes.plot(rate, low, marker="_", ms=9, mew=1.5, color=code.colour)
    axes.plot(rate, high, marker="o", ms=6, color=code.colour)
    top = float(hard.residual.max()) if len(hard.residual) else high
    if len(hard.residual):
        axes.plot([rate, rate], [high, top], color=code.colour, lw=0.8, ls=":")
        axes.plot(rate, top, marker="o", ms=6, mfc="white", color=code.colour)
    name, dx, dy = code.label
    side = "center" if dx == 0 else "left" if dx > 0 else "right"
    axes.annotate(name, (rate, top), xytext=(dx, dy), textcoords="offset points", ha=side, va="center", fontsize=8, color=code.colour)


def main() -> None:
    """Measure, print, and with --write put table and figure into the docs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, metavar="DOCS", help="folder whose engine.md and figures are renewed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--slice", type=float, default=0.7, help="seconds a code draws in each round")
    options = parser.parse_args()
    unset = [name for name in THREADS if os.environ.get(name) != "1"]
    if unset:
        raise SystemExit(f"{', '.join(unset)} not 1: codes would use different numbers of threads; set them, or call make benchmark")
    compared = codes()
    found = [(errors(code.draw, code.typical), errors(code.draw, code.hard)) for code in compared]
    taken = times(compared, n_rounds=options.rounds, slice_s=options.slice)
    text = "\n\n".join([machine(), table(compared, taken, found), stored_errors(), costs()])
    print(text)
    if options.write is not None:
        page = options.write / "engine.md"
        page.write_text(MARKED.sub(lambda marks: f"{marks[1]}{text}\n{marks[2]}", page.read_text()))
        figure(compared, taken, found).savefig(options.write / "figures" / "rendering_benchmark.png", dpi=160)


def costs() -> str:
    """Return the split of a stamp's time, and what first stamps cost."""
    parts = rendering_costs.split_table(rendering_costs.split(scenes.mix(N_MIX)))
    compiling, loading, importing = rendering_costs.first_stamps()
    first = (
        f"First stamp on a machine, which compiles: {compiling:.0f} s, once. First stamp of a later process, which loads the "
        f"compiled code: {loading:.2f} s, after {importing:.1f} s of imports."
    )
    return f"{parts}\n\n{first}"


if __name__ == "__main__":
    main()
