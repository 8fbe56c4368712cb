"""The renderer's self-test: made from the manifest row alone, and as strict as the accuracy that is promised."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halo_core.stages import injection
from halo_core.stages.validation_convergence import convergence_excess, paint_without_light, render_at_double_effort
from halo_core.stages.validation_stamps import SampledStamp
from halo_core.survey.mock import MockSurvey
from tests.core.stages.injection_scenes import CONFIG, sample_stamps, tiny_run


@pytest.fixture(scope="module")
def sample(tiny_survey: tuple[MockSurvey, Path], tmp_path_factory: pytest.TempPathFactory) -> list[SampledStamp]:
    """The stamps that validation looks at."""
    return sample_stamps(tiny_run(tiny_survey[1]), tmp_path_factory.mktemp("block"))


def test_every_stored_arc_is_within_the_accuracy_promised(sample: list[SampledStamp]) -> None:
    assert sample
    assert all(0.0 < convergence_excess(item.stamp, item.converged.image) < 1.0 for item in sample)


@pytest.mark.parametrize("n_sersic", [1.0, 2.0])
def test_a_pixel_is_held_to_its_share_of_the_peak(sample: list[SampledStamp], n_sersic: float) -> None:
    item, limit = sample[0], 5e-3 if n_sersic <= 1.0 else 2e-2
    for share, is_ok in ((0.9, True), (1.1, False)):
        arc = item.converged.image.copy()
        step = share * limit * arc[1].max()
        arc[1, 0, 0] += step
        arc[1, 0, 1] -= step
        stamp = replace(item.stamp, arc=arc.astype(np.float32), truth={**item.stamp.truth, "src_n_sersic": n_sersic})
        assert (convergence_excess(stamp, item.converged.image) <= 1.0) == is_ok


@pytest.mark.parametrize(("n_sersic", "flux", "is_ok"), [(1.0, 1.0008, True), (1.0, 1.003, False), (2.0, 1.003, True), (2.0, 1.02, False)])
def test_renders_are_held_to_the_accuracy_promised_for_their_source(
    sample: list[SampledStamp], n_sersic: float, flux: float, is_ok: bool
) -> None:
    item = sample[0]
    brighter = (flux * item.converged.image).astype(np.float32)
    stamp = replace(item.stamp, arc=brighter, truth={**item.stamp.truth, "src_n_sersic": n_sersic})
    assert (convergence_excess(stamp, item.converged.image) <= 1.0) == is_ok


def test_the_self_test_renders_from_the_row_and_not_from_what_is_stored(sample: list[SampledStamp]) -> None:
    item = sample[0]
    emptied = replace(item.stamp, arc=np.zeros_like(item.stamp.arc))
    assert np.array_equal(render_at_double_effort(emptied, item.result, CONFIG).image, item.converged.image)
    same = render_at_double_effort(item.stamp, item.result, replace(CONFIG, effort=0.5 * CONFIG.effort)).image
    assert not np.array_equal(same, item.converged.image)
    assert np.abs(same - item.stamp.arc).max() < 1e-5 * item.stamp.arc.max(), "but for the wrapped light of another frame"


@pytest.mark.parametrize("gain", [None, 5e3])
def test_a_source_without_light_leaves_every_host_as_it_is(sample: list[SampledStamp], gain: float | None) -> None:
    for item in sample:
        result = item.result | {f"electrons_per_nmgy_{band}": gain for band in item.stamp.bands}
        assert np.array_equal(paint_without_light(item.stamp, result, CONFIG), item.stamp.host)


def test_painting_without_light_is_done_by_the_code_that_painted_the_arc(
    sample: list[SampledStamp], monkeypatch: pytest.MonkeyPatch
) -> None:
    item, rows = sample[0], []

    def leaky(row: Mapping[str, Any], *args: Any) -> Any:
        rows.append(row)
        return replace(item.converged, image=np.full_like(item.converged.image, 1e-3))

    monkeypatch.setattr(injection, "render_row", leaky)
    assert not np.array_equal(paint_without_light(item.stamp, item.result, CONFIG), item.stamp.host)
    assert [rows[0][f"src_flux_{band}_nmgy"] for band in "grz"] == [0.0, 0.0, 0.0]
    assert {name: value for name, value in rows[0].items() if "flux" not in name} == {
        name: value for name, value in item.stamp.truth.items() if "flux" not in name
    }
