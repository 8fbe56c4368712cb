"""Where the time of a stamp goes in this engine, and what the first stamp of a machine and of a process costs."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rocket_fft import c2c, c2r, r2c

from benchmarks import scenes
from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.lensing import render_arc, rendering
from halo_core.lensing.assignment import Grid
from halo_core.lensing.compiled import compiled
from halo_core.lensing.fourier import ComplexArray, FloatArray, Frame, Transfers
from halo_core.lensing.kernels import brightness
from halo_core.lensing.optics import LensNumbers, SourceNumbers, optics_of
from halo_core.lensing.quadrature import cell_means
from halo_core.lensing.trace import TOLERANCE, Light, lens_numbers, source_numbers
from tests.core.lensing.lensing_scenes import lens_of, source_of
from tests.core.lensing.make_truth import Case

Job = Callable[[], Any]

FIRST_STAMPS = """
from time import perf_counter
start = perf_counter()
import galsim
from halo_core.lensing import Lens, Source, render
imported = perf_counter()
lens, source = Lens(1.1, 0.7, 0.5, 0.02, -0.03, 0.07, -0.04), Source(0.2, 0.05, 0.2, 0.7, 1.2, 1.0, (1.0, 2.0, 3.0))
render(lens, source, [galsim.Moffat(beta=3.5, fwhm=1.1)] * 3, size_pix=64)
print(imported - start, perf_counter() - imported)
"""


def first_stamps() -> tuple[float, float, float]:
    """Return seconds of the first stamp without compiled code on disk, with it, and of the imports before."""
    with tempfile.TemporaryDirectory() as folder:
        compiling, loading = (_first_stamp(folder) for _ in range(2))
    return compiling[1], loading[1], loading[0]


def _first_stamp(cache: str) -> tuple[float, float]:
    """Return seconds of imports and first stamp in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_STAMPS], env=os.environ | {"NUMBA_CACHE_DIR": cache}, check=True, capture_output=True, text=True
    )
    imports, first = done.stdout.split()
    return float(imports), float(first)


def split(cases: Sequence[Case], *, n_repeats: int = 5) -> dict[str, float]:
    """Return seconds per stamp by part, medians over repeats; the parts of a part begin with a dash, the whole is the last."""
    calls = {name: [] for name in ("psf_scales", "trace_light", "transfers", "convolve")}
    made: list[Light] = []
    with _recorded(calls, made):
        for case in cases:
            _draw(case)
    todo = {
        "objects: lens, source, PSFs": [lambda case=case: _objects(case) for case in cases],
        "widths and reaches of the PSFs": calls["psf_scales"],
        "light on cells": calls["trace_light"],
        "- cells judged and integrated": [_quadrature(case, light) for case, light in zip(cases, made, strict=True)],
        "- lens and source reduced to numbers": [Call(_reduced, _numbers(case), {}) for case in cases],
        "- floor: lens map and profile once a cell": [_profile(case, light) for case, light in zip(cases, made, strict=True)],
        "transforms of the PSFs": calls["transfers"],
        "product and fold": calls["convolve"],
        "- floor: its FFTs alone": [_ffts(call) for call in calls["convolve"]],
        "whole stamp": [lambda case=case: _draw(case) for case in cases],
    }
    for jobs in todo.values():
        jobs[0]()
    taken = {name: [] for name in todo}
    for _ in range(n_repeats):
        for name, jobs in todo.items():
            start = process_time()
            for job in jobs:
                job()
            taken[name].append((process_time() - start) / len(cases))
    return {name: float(np.median(seconds)) for name, seconds in taken.items()}


def split_table(parts: dict[str, float]) -> str:
    """Return the split as a table, with what is left over as the interpreter's share."""
    whole = parts["whole stamp"]
    left = whole - sum(seconds for name, seconds in parts.items() if not name.startswith("-") and name != "whole stamp")
    rows = {name: seconds for name, seconds in parts.items() if name != "whole stamp"} | {"left: checks, frame, sums, calls": left}
    lines = ["| part of a stamp | us | share |", "|---|---:|---:|"]
    lines += [f"| {name} | {1e6 * seconds:.0f} | {100.0 * seconds / whole:.0f} % |" for name, seconds in rows.items()]
    return "\n".join([*lines, f"| **whole stamp** | {1e6 * whole:.0f} | 100 % |"])


def _objects(case: Case) -> tuple[Any, Any, list[Any]]:
    """Return lens, source and PSFs of a scene."""
    return lens_of(case), source_of(case), [scenes.psf_of(case["psf"], fwhm) for fwhm in case["psf_fwhm_arcsec"]]


def _draw(case: Case) -> NDArray[np.float64]:
    """Return the stamps of a scene."""
    lens, source, psfs = _objects(case)
    return render_arc(lens, source, psfs, size_pix=case["size_pix"], pixel_response=case["pixel_response"])


@contextmanager
def _recorded(calls: dict[str, list[Job]], lights: list[Light]) -> Iterator[None]:
    """Keep every call of the renderer's own steps, to be made again, and the light it traced."""

    def recording(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            calls[name].append(Call(function, given, named))
            result = function(*given, **named)
            if isinstance(result, Light):
                lights.append(result)
            return result

        return call

    right = {name: getattr(rendering, name) for name in calls}
    for name, function in right.items():
        setattr(rendering, name, recording(name, function))
    try:
        yield
    finally:
        for name, function in right.items():
            setattr(rendering, name, function)


class Call:
    """A call to be made again."""

    def __init__(self, function: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.function, self.given, self.named = function, given, named

    def __call__(self) -> Any:
        """Make the call."""
        return self.function(*self.given, **self.named)


def _numbers(case: Case) -> tuple[LensNumbers, SourceNumbers]:
    """Return lens and source of a scene as the compiled loops take them."""
    return lens_numbers(lens_of(case)), source_numbers(source_of(case))


def _quadrature(case: Case, light: Light) -> Job:
    """Return the integration over the cells the light is on."""
    side = PIXEL_SCALE_ARCSEC / light.factor
    grid = Grid(light.corner[1] * side, light.corner[0] * side, side, *light.brightness.shape, light.assignment)
    return Call(_means, (*_numbers(case), grid), {})


def _profile(case: Case, light: Light) -> Job:
    """Return one value of the profile for each cell the light is on."""
    side = PIXEL_SCALE_ARCSEC / light.factor
    rows, columns = light.brightness.shape
    y, x = np.mgrid[:rows, :columns].reshape(2, -1)
    place = [((a + corner + 0.5) * side).astype(np.float32) for a, corner in ((x, light.corner[1]), (y, light.corner[0]))]
    return Call(_values, (*_numbers(case), *place, np.empty(len(x), np.float32)), {})


@compiled
def _reduced(lens: LensNumbers, source: SourceNumbers) -> float:
    """Reduce lens and source to what the loops use."""
    return optics_of(lens, source).scale


@compiled
def _means(lens: LensNumbers, source: SourceNumbers, grid: Grid) -> FloatArray:
    """Integrate over the cells of a grid."""
    return cell_means(grid, optics_of(lens, source), TOLERANCE)


@compiled
def _values(lens: LensNumbers, source: SourceNumbers, x: FloatArray, y: FloatArray, out: FloatArray) -> None:
    """Write the brightness at points."""
    brightness(x, y, len(x), optics_of(lens, source), out)


def _ffts(call: Call) -> Job:
    """Return the transforms that a recorded convolution makes, on arrays of its sizes."""
    frame: Frame = call.given[3]
    psfs: Transfers = call.given[4]
    n_cells = frame.period * frame.factor
    rows = min(call.given[0].shape[0], n_cells)
    folded = np.zeros((len(psfs.kinds), frame.period, frame.period // 2 + 1), np.complex64)
    return Call(_transforms, (np.zeros((rows, n_cells), np.float32), frame.cutoff + 1, folded, frame.size), {})


@compiled
def _transforms(light: FloatArray, n_frequencies: int, folded: ComplexArray, size: int) -> FloatArray:
    """Transform light to the kept frequencies, and the folded bands back to the rows of the stamp."""
    n_cells, period = light.shape[1], folded.shape[1]
    rows = np.empty((light.shape[0], n_cells // 2 + 1), np.complex64)
    r2c(light, rows, np.array([1]), True, 1.0, 1)
    both = np.empty((n_cells, n_frequencies), np.complex64)
    c2c(rows[:, :n_frequencies], both, np.array([0]), True, 1.0, 1)
    c2c(folded, folded, np.array([1]), False, 1.0, 1)
    out = np.empty((len(folded), size, period), np.float32)
    c2r(folded[:, :size], out, np.array([2]), False, 1.0, 1)
    return out
