"""Colour pictures: consistent stretch, band order, orientation, pixels without data."""

import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread

from halo_core.report.colour import Stretch, png_data_uri, rgb, stretch_of
from tests.fixtures.reports import stamps


def test_parts_of_a_triplet_share_one_stretch_so_equal_light_looks_equal():
    """Where there is no arc the injected stamp is the host, to the bit."""
    item = stamps(2)
    stretch = stretch_of(item.injected)
    is_dark = np.all(item.arc < 1e-12, axis=0)[::-1]
    assert is_dark.any()
    np.testing.assert_array_equal(
        rgb(item.host + np.where(item.arc < 1e-12, 0.0, item.arc), stretch)[is_dark], rgb(item.host, stretch)[is_dark]
    )


def test_brighter_light_is_never_darker():
    stretch = Stretch(0.0, 0.01, 1.0)
    ramp = np.ones((3, 1, 1)) * np.linspace(0.0, 2.0, 200)
    brightness = rgb(ramp, stretch).astype(int).max(axis=2)[0]
    assert np.all(np.diff(brightness) >= 0)
    assert (brightness[0], brightness[-1]) == (0, 255)


def test_red_is_z_and_blue_is_g():
    stretch = Stretch(0.0, 0.01, 1.0)
    z_only = np.array([0.0, 0.0, 0.1]).reshape(3, 1, 1)
    g_only = np.array([0.1, 0.0, 0.0]).reshape(3, 1, 1)
    assert rgb(z_only, stretch)[0, 0].argmax() == 0
    assert rgb(g_only, stretch)[0, 0].argmax() == 2


def test_north_is_up():
    planes = np.zeros((3, 5, 4))
    planes[:, 4, 1] = 1.0
    picture = rgb(planes, Stretch(0.0, 0.01, 1.0))
    assert picture.shape == (5, 4, 3)
    assert np.argwhere(picture.max(axis=2) > 0).tolist() == [[0, 1]]


def test_colour_does_not_depend_on_brightness():
    stretch = Stretch(0.0, 0.01, 100.0)
    colour = np.array([0.02, 0.05, 0.11]).reshape(3, 1, 1)
    faint, bright = rgb(colour, stretch)[0, 0].astype(float), rgb(30 * colour, stretch)[0, 0].astype(float)
    assert faint / faint.max() == pytest.approx(bright / bright.max(), abs=0.02)


def test_noise_is_dark_and_the_galaxy_is_not_saturated_flat():
    item = stamps(1)
    picture = rgb(item.injected, stretch_of(item.injected)).astype(int).max(axis=2)
    edge = np.concatenate([picture[:6].ravel(), picture[-6:].ravel()])
    assert np.median(edge) < 90
    assert picture.max() == 255
    assert np.mean(picture == 255) < 0.05


@pytest.mark.parametrize("planes", [np.zeros((3, 4, 4)), np.full((3, 4, 4), np.nan), np.full((3, 4, 4), 0.2)])
def test_stamp_without_contrast_or_data_has_a_picture(planes):
    picture = rgb(planes, stretch_of(planes))
    assert picture.dtype == np.uint8
    assert picture.shape == (4, 4, 3)


def test_pixels_that_are_not_finite_are_black():
    planes = np.ones((3, 2, 2))
    planes[1, 0, 0] = np.nan
    assert rgb(planes, Stretch(0.0, 0.1, 1.0))[1, 0].tolist() == [0, 0, 0]


def test_png_holds_the_picture_exactly_and_is_the_same_each_time():
    picture = rgb(stamps(0).injected, stretch_of(stamps(0).injected))
    uri = png_data_uri(picture)
    assert uri == png_data_uri(picture)
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    decoded = imread(io.BytesIO(base64.b64decode(body)), format="png")
    np.testing.assert_array_equal(np.round(255 * decoded[..., :3]).astype(np.uint8), picture)
