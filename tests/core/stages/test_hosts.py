"""Hosts: where a stamp is cut, what stands outside the file, where the PSF size comes from, what is lost."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS

from halo_core.constants import BANDS, OUTSIDE_MASK_BIT
from halo_core.flags import LOSSES, Flag, for_band, names
from halo_core.stages import hosts as hosts_module
from halo_core.stages.hosts import PSF_FROM_BRICK, PSF_FROM_MAP, BrickPlanes, Host, cut_hosts, plane_flags
from halo_core.stages.metrics import judge_view
from halo_core.survey.coadds import CoaddPlane, open_plane
from halo_core.survey.layout import plane_key
from halo_core.survey.mock import MockBrick, MockSurvey, mock_bricks
from halo_core.survey.mock_files import write_plane
from tests.core.stages.injection_scenes import planes_of

Tiny = tuple[MockSurvey, Path]
SIDE = 224
INNER = [(112.0, 110.0), (111.4999, 109.5001), (80.03, 140.97)]
EDGES = [(20.2, 100.0), (210.6, 100.3), (100.0, 5.0), (99.5, 222.9), (3.0, 3.0), (-30.0, 60.0)]


@pytest.fixture
def brick(tiny_survey: Tiny) -> MockBrick:
    """A wholly observed brick."""
    return mock_bricks(tiny_survey[0])[0]


_OF_PSF = Flag.PSF_FROM_BRICK | Flag.PSF_UNUSABLE_G | Flag.PSF_UNUSABLE_R | Flag.PSF_UNUSABLE_Z


def wcs_of(planes: BrickPlanes) -> WCS:
    name, path = next(iter(planes.paths.items()))
    with open_plane(path, name) as plane:
        return plane.wcs


def targets(planes: BrickPlanes, positions: list[tuple[float, float]], **values: Any) -> list[dict[str, Any]]:
    """Return targets at pixel positions of the file."""
    ra, dec = wcs_of(planes).all_pix2world([x for x, _ in positions], [y for _, y in positions], 0)
    common = {f"psfsize_{band}_arcsec": None for band in BANDS} | values
    return [{"host_id": f"h{i}", "ra": float(ra[i]), "dec": float(dec[i])} | common for i in range(len(positions))]


def cut(planes: BrickPlanes, positions: list[tuple[float, float]], *, size_pix: int = 64, **values: Any) -> list[Host]:
    return cut_hosts(targets(planes, positions, **values), planes, bands=BANDS, size_pix=size_pix)


def whole(planes: BrickPlanes, name: str) -> np.ndarray:
    with open_plane(planes.paths[name], name) as plane:
        return plane.read()


@pytest.mark.parametrize("size", [64, 96, 63, 101])
def test_a_stamp_starts_at_the_rounded_position_less_half_its_size(tiny_survey: Tiny, brick: MockBrick, size: int) -> None:
    planes = planes_of(tiny_survey[1], brick.brickname)
    image = whole(planes, "image-r")
    for (x, y), host in zip(INNER, cut(planes, INNER, size_pix=size), strict=True):
        assert (host.x0_pix, host.y0_pix) == (int(np.floor(x + 0.5)) - size // 2, int(np.floor(y + 0.5)) - size // 2)
        assert (host.host_x_pix, host.host_y_pix) == pytest.approx((x - host.x0_pix, y - host.y0_pix), abs=1e-6)
        assert np.array_equal(host.image["r"], image[host.y0_pix : host.y0_pix + size, host.x0_pix : host.x0_pix + size])


@pytest.mark.parametrize(("big", "small", "start"), [(96, 64, 16), (96, 63, 17), (101, 64, 18), (101, 63, 19), (64, 64, 0)])
def test_a_smaller_stamp_is_the_crop_of_the_bigger_one(tiny_survey: Tiny, brick: MockBrick, big: int, small: int, start: int) -> None:
    planes = planes_of(tiny_survey[1], brick.brickname)
    for one, other in zip(cut(planes, INNER, size_pix=big), cut(planes, INNER, size_pix=small), strict=True):
        window = slice(start, start + small)
        assert (other.x0_pix - one.x0_pix, other.y0_pix - one.y0_pix) == (start, start)
        for name in ("image", "invvar"):
            for band in BANDS:
                assert np.array_equal(getattr(one, name)[band][window, window], getattr(other, name)[band])
        assert one.maskbits is not None
        assert np.array_equal(one.maskbits[window, window], other.maskbits)


def test_pixels_outside_the_file_have_no_light_no_weight_and_a_mark(tiny_survey: Tiny, brick: MockBrick) -> None:
    planes = planes_of(tiny_survey[1], brick.brickname)
    padded = {name: np.pad(whole(planes, name), 96) for name in ("image-g", "invvar-z", "maskbits")}
    for host in cut(planes, EDGES):
        rows, columns = np.mgrid[host.y0_pix : host.y0_pix + 64, host.x0_pix : host.x0_pix + 64]
        outside = (rows < 0) | (columns < 0) | (rows >= SIDE) | (columns >= SIDE)
        there = {name: pixels[rows + 96, columns + 96] for name, pixels in padded.items()}
        assert outside.any()
        assert host.maskbits is not None
        assert np.array_equal((host.maskbits & OUTSIDE_MASK_BIT) != 0, outside)
        assert np.array_equal(host.maskbits[~outside], there["maskbits"][~outside])
        assert np.array_equal(host.image["g"], np.where(outside, 0.0, there["image-g"]))
        assert np.array_equal(host.invvar["z"], np.where(outside, 0.0, there["invvar-z"]))


def test_no_bit_of_the_survey_is_the_mark_of_the_outside(tiny_survey: Tiny, brick: MockBrick) -> None:
    assert not np.any(whole(planes_of(tiny_survey[1], brick.brickname), "maskbits") & OUTSIDE_MASK_BIT)


@pytest.mark.parametrize(("position", "fitting"), [((112.0, 110.0), (48, 64, 63)), ((26.0, 100.0), (48,)), ((199.0, 100.0), (48,))])
def test_whether_a_size_fits_is_judged_per_size(tiny_survey: Tiny, brick: MockBrick, position: tuple[float, float], fitting: Any) -> None:
    (host,) = cut(planes_of(tiny_survey[1], brick.brickname), [position], size_pix=64)
    assert tuple(size for size in (48, 64, 63) if host.fits(size)) == fitting


@pytest.mark.parametrize(("x", "size"), [(24.0, 48), (200.0, 48), (31.0, 63), (192.0, 63)])
def test_a_stamp_that_touches_the_edge_fits_and_one_pixel_further_does_not(
    tiny_survey: Tiny, brick: MockBrick, x: float, size: int
) -> None:
    step = -1.0 if x < SIDE / 2 else 1.0
    inside, beyond = cut(planes_of(tiny_survey[1], brick.brickname), [(x, 110.0), (x + step, 110.0)], size_pix=80)
    assert inside.fits(size)
    assert not beyond.fits(size)


def test_whole_planes_and_sections_give_the_same_bytes(tiny_survey: Tiny, brick: MockBrick, monkeypatch: pytest.MonkeyPatch) -> None:
    planes, read = planes_of(tiny_survey[1], brick.brickname), []
    monkeypatch.setattr(CoaddPlane, "read", lambda self, original=CoaddPlane.read: read.append(self.plane) or original(self))
    made = []
    for is_whole in (True, False):
        monkeypatch.setattr(hosts_module, "_read_whole", lambda *_, answer=is_whole: answer)
        made.append(cut(planes, INNER + EDGES))
        assert bool(read) == is_whole
        read.clear()
    for one, other in zip(*made, strict=True):
        assert one.psf_fwhm_arcsec == other.psf_fwhm_arcsec
        assert one.maskbits is not None
        assert other.maskbits is not None
        assert one.maskbits.tobytes() == other.maskbits.tobytes()
        for band in BANDS:
            assert one.image[band].tobytes() == other.image[band].tobytes()
            assert one.invvar[band].tobytes() == other.invvar[band].tobytes()


@pytest.mark.parametrize(
    ("shape", "n_hosts", "is_whole"), [((3600, 3600), 259, False), ((3600, 3600), 260, True), ((224, 224), 1, False), ((224, 224), 2, True)]
)
def test_a_plane_is_read_whole_from_one_host_per_five_tiles_on(shape: tuple[int, int], n_hosts: int, is_whole: bool) -> None:
    assert hosts_module._read_whole(shape, n_hosts) == is_whole


def test_each_plane_is_opened_once_and_closed_before_the_next(tiny_survey: Tiny, brick: MockBrick, monkeypatch: pytest.MonkeyPatch) -> None:
    planes, events = planes_of(tiny_survey[1], brick.brickname), list[str]()
    asked, leave = targets(planes, INNER + EDGES), CoaddPlane.__exit__
    monkeypatch.setattr(hosts_module, "open_plane", lambda path, name: events.append(name) or open_plane(path, name))
    monkeypatch.setattr(CoaddPlane, "__exit__", lambda self, *given: events.append("closed") or leave(self, *given))
    cut_hosts(asked, planes, bands=BANDS, size_pix=64)
    assert sorted(events[::2]) == sorted(planes.paths)
    assert events[1::2] == ["closed"] * len(planes.paths)


def with_psf_map(tiny: Tiny, brick: MockBrick, folder: Path, value: float) -> BrickPlanes:
    """Return a brick's planes with another r PSF map: one value everywhere."""
    path = folder / plane_key(brick.brickname, "psfsize-r")
    write_plane(path, "psfsize-r", np.full((SIDE, SIDE), value, dtype=np.float32), parameters=tiny[0], brick=brick)
    planes = planes_of(tiny[1], brick.brickname)
    return BrickPlanes(planes.brickname, {**planes.paths, "psfsize-r": path}, {})


@pytest.mark.parametrize("value", [0.0, float("nan"), 0.59, 3.51, -1.0])
def test_a_map_without_a_believable_size_gives_way_to_the_brick(tiny_survey: Tiny, brick: MockBrick, tmp_path: Path, value: float) -> None:
    planes = with_psf_map(tiny_survey, brick, tmp_path, value)
    (host,) = cut(planes, INNER[:1], psfsize_r_arcsec=1.3, psfsize_g_arcsec=2.0)
    assert (host.psf_fwhm_arcsec["r"], host.psf_source["r"]) == (1.3, PSF_FROM_BRICK)
    assert (host.psf_source["g"], host.psf_source["z"]) == (PSF_FROM_MAP, PSF_FROM_MAP)
    assert host.psf_fwhm_arcsec["g"] != 2.0
    assert judge_view(host, BANDS, 48) & _OF_PSF == Flag.PSF_FROM_BRICK
    assert judge_view(host, ("g", "z"), 48) & _OF_PSF == Flag(0), "flags of another band do not count"


@pytest.mark.parametrize("of_brick", [None, 0.0, float("nan"), 0.3, 9.0])
def test_a_band_without_any_size_is_lost_and_never_gets_another_bands(
    tiny_survey: Tiny, brick: MockBrick, tmp_path: Path, of_brick: float | None
) -> None:
    planes = with_psf_map(tiny_survey, brick, tmp_path, 0.0)
    (host,) = cut(planes, INNER[:1], psfsize_r_arcsec=of_brick, psfsize_g_arcsec=1.4, psfsize_z_arcsec=1.4)
    assert "r" not in host.psf_fwhm_arcsec
    assert "r" not in host.psf_source
    assert judge_view(host, BANDS, 48) & _OF_PSF == Flag.PSF_UNUSABLE_R
    assert set(host.psf_fwhm_arcsec) == {"g", "z"}


def test_the_map_is_read_at_the_pixel_of_the_host(tiny_survey: Tiny, brick: MockBrick, tmp_path: Path) -> None:
    values = np.linspace(0.7, 2.0, SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    path = tmp_path / plane_key(brick.brickname, "psfsize-r")
    write_plane(path, "psfsize-r", values, parameters=tiny_survey[0], brick=brick)
    planes = planes_of(tiny_survey[1], brick.brickname)
    planes = BrickPlanes(planes.brickname, {**planes.paths, "psfsize-r": path}, {})
    expected = whole(planes, "psfsize-r")
    for (x, y), host in zip(INNER, cut(planes, INNER), strict=True):
        assert host.psf_fwhm_arcsec["r"] == expected[int(np.floor(y + 0.5)), int(np.floor(x + 0.5))]


def needed() -> list[str]:
    return ["maskbits", *(f"{kind}-{band}" for band in BANDS for kind in ("image", "invvar"))]


@pytest.mark.parametrize("status", ["missing", "unverified"])
@pytest.mark.parametrize("name", needed())
def test_each_lost_plane_has_its_flag(tiny_survey: Tiny, brick: MockBrick, name: str, status: str) -> None:
    planes = planes_of(tiny_survey[1], brick.brickname, without={name: status})
    kind, _, band = name.partition("-")
    expected = for_band(f"{kind.upper()}_MISSING", band) if band else Flag.MASKBITS_MISSING
    expected |= Flag.PLANE_UNVERIFIED if status == "unverified" else Flag(0)
    assert plane_flags(planes, BANDS) == expected
    assert expected & LOSSES
    (host,) = cut(planes, INNER[:1])
    assert (band not in host.image) if kind == "image" else (band not in host.invvar) if kind == "invvar" else host.maskbits is None


def test_a_plane_that_nobody_accounts_for_is_lost_all_the_same(tiny_survey: Tiny, brick: MockBrick) -> None:
    planes = planes_of(tiny_survey[1], brick.brickname, without={"invvar-z": "missing"})
    assert plane_flags(BrickPlanes(planes.brickname, planes.paths, {}), BANDS) == Flag.INVVAR_MISSING_Z


def test_a_lost_psf_map_is_no_loss_while_the_brick_knows_its_seeing(tiny_survey: Tiny, brick: MockBrick) -> None:
    planes = planes_of(tiny_survey[1], brick.brickname, without={"psfsize-z": "unverified"})
    (host,) = cut(planes, INNER[:1], psfsize_z_arcsec=1.1)
    assert judge_view(host, BANDS, 48) & _OF_PSF == Flag.PSF_FROM_BRICK
    assert host.psf_fwhm_arcsec["z"] == 1.1


def test_planes_of_bands_that_nobody_asked_for_are_not_missed(tiny_survey: Tiny, brick: MockBrick) -> None:
    planes = planes_of(tiny_survey[1], brick.brickname, without={"image-g": "missing", "invvar-g": "unverified"})
    assert plane_flags(planes, ("r", "z")) == Flag(0)


def test_a_brick_without_any_plane_is_missing_and_one_that_failed_verification_is_not_called_missing() -> None:
    none = dict.fromkeys(needed(), "missing")
    assert names(plane_flags(BrickPlanes("0001p000", {}, none), BANDS).value) == ("BRICK_MISSING",)
    damaged = plane_flags(BrickPlanes("0001p000", {}, none | {"image-r": "unverified"}), BANDS)
    assert damaged & Flag.PLANE_UNVERIFIED
    assert not damaged & Flag.BRICK_MISSING
    assert damaged & Flag.IMAGE_MISSING_G
