"""Six hard scenes as converged truth, as this engine draws them, and the difference: `docs/figures/engine_cases.png`.

python -m benchmarks.engine_figures docs
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.lensing import render
from tests.core.lensing.lensing_scenes import lens_of, residual, source_of, truth_cases
from tests.core.lensing.make_truth import Case, make_psf

FloatArray = NDArray[np.float64]

SCENES = {
    "quad, pixel's middle, 65 px": "quad, $R_e$ 0.15″",
    "cusp, corner of the grid, R_e 0.05": "cusp, $R_e$ 0.05″",
    "ring, R_e 0.1": "exact ring, $R_e$ 0.1″",
    "q 0.3 cusp, n 4": "cusp of a flat lens (q 0.3), n = 4",
    "shear 0.15 fold, R_e 0.06, wide wings": "shear 0.15 and flat lens (q 0.5), fold",
    "Moffat 4.765, fold": "fold, $R_e$ 0.05″",
}
"""Notes of the stored scenes, and what stands above them."""

HALF_SIDE_ARCSEC = 3.3
FAINT = 0.02
"""Brightness over peak below which the scale of the pictures is linear."""

BAR = [0.0, 0.01, 0.03, 0.1, 0.3, 1.0]
SIDE, GAP = 1.52, 0.06
"""Side of a picture and the space between two [inches]."""


@dataclass(frozen=True)
class Comparison:
    """One band of a scene, the one drawn worst, over the peak of the truth."""

    title: str
    case: Case
    fwhm_arcsec: float
    truth: FloatArray
    drawn: FloatArray
    flux_error: float
    largest: float


def comparison(title: str, case: Case, truths: FloatArray) -> Comparison:
    """Return the band of a scene with the largest residual."""
    psfs = [make_psf(case["psf"], fwhm) for fwhm in case["psf_fwhm_arcsec"]]
    images = render(lens_of(case), source_of(case), psfs, size_pix=case["size_pix"], pixel_response=case["pixel_response"]).image
    worst = max(range(len(psfs)), key=lambda band: residual(images[band], truths[band]))
    got, want = images[worst], truths[worst]
    flux_error = float(got.sum() / want.sum() - 1.0)
    return Comparison(
        title, case, case["psf_fwhm_arcsec"][worst], want / want.max(), got / want.max(), flux_error, float(residual(got, want))
    )


def show(axes: Axes, image: FloatArray, **options: Any) -> Any:
    """Show a stamp with its axes in arcsec, cut to its middle, without ticks."""
    half = 0.5 * len(image) * PIXEL_SCALE_ARCSEC
    picture = axes.imshow(image, origin="lower", extent=(-half, half, -half, half), interpolation="nearest", **options)
    axes.set(xlim=(-HALF_SIDE_ARCSEC, HALF_SIDE_ARCSEC), ylim=(-HALF_SIDE_ARCSEC, HALF_SIDE_ARCSEC), xticks=[], yticks=[])
    return picture


def draw(whole: Figure, seen: Comparison, left: float, top: float, *, is_first_row: bool) -> Any:
    """Draw truth, render and residual of a scene side by side from a place [inches]; return the picture of the truth."""
    width, height = whole.get_size_inches()

    def panel(x: float, wide: float) -> Axes:
        return whole.add_axes(((left + x) / width, 1.0 - (top + SIDE) / height, wide / width, SIDE / height))

    truth, drawn, difference = (panel(column * (SIDE + GAP), SIDE) for column in range(3))
    light = {"norm": AsinhNorm(FAINT, vmin=0.0, vmax=1.0), "cmap": "inferno"}
    picture = show(truth, seen.truth, **light)
    show(drawn, seen.drawn, **light)
    limit = 100.0 * seen.largest
    residuals = show(difference, 100.0 * (seen.drawn - seen.truth), norm=Normalize(-limit, limit), cmap="RdBu_r")
    bar = whole.colorbar(residuals, cax=panel(3.0 * SIDE + 2.4 * GAP, 0.08), ticks=[-limit, 0.0, limit], format="%.2g")
    bar.ax.tick_params(labelsize=7.5, length=2)
    truth.plot([-3.0, -2.0], [-2.9, -2.9], color="w", lw=2)
    truth.text(-2.5, -2.75, "1″", color="w", ha="center", va="bottom", fontsize=8)
    of_flux, of_peak = ("0.1", "0.5") if seen.case["src_n_sersic"] <= 1.0 else ("1", "2")
    head = 0.27 if is_first_row else 0.07
    truth.annotate(f"{seen.title}, seeing {seen.fwhm_arcsec:g}″", (0.0, 1.0), xycoords="axes fraction", xytext=(0, 72 * head),
                   textcoords="offset points", fontsize=9)  # fmt: skip
    note = f"dF {100.0 * seen.flux_error:+.1g} % (limit {of_flux})    dM {limit:.2g} % (limit {of_peak})"
    difference.annotate(note, (1.0, 0.0), xycoords="axes fraction", xytext=(0, -4), textcoords="offset points", ha="right", va="top",
                        fontsize=8)  # fmt: skip
    if is_first_row:
        for axes, name in ((truth, "truth"), (drawn, "render"), (difference, "render - truth [% of peak]")):
            axes.set_title(name, fontsize=8, pad=3)
    return picture


def figure() -> Figure:
    """Return the six scenes, two a row."""
    stored = {case["note"]: (case, images) for case, images in truth_cases()}
    whole = Figure(figsize=(10.9, 7.1))
    for i, (note, title) in enumerate(SCENES.items()):
        row, column = divmod(i, 2)
        picture = draw(whole, comparison(title, *stored[note]), 0.12 + 5.36 * column, 0.5 + 2.06 * row, is_first_row=row == 0)
    bar = whole.colorbar(picture, cax=whole.add_axes((0.2, 0.062, 0.6, 0.018)), orientation="horizontal")
    bar.ax.set_xticks(BAR, [f"{value:g}" for value in BAR])
    bar.ax.tick_params(labelsize=7.5)
    bar.set_label("truth and render: brightness over peak", fontsize=8)
    return whole


def main() -> None:
    """Write the figure into the folder of the documents."""
    if len(sys.argv) != 2:
        raise SystemExit("which folder? call: python -m benchmarks.engine_figures docs")
    path = Path(sys.argv[1]) / "figures" / "engine_cases.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure().savefig(path, dpi=120)
    print(path)


if __name__ == "__main__":
    main()
