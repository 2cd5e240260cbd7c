from __future__ import annotations

import numpy as np
import pytest

from pipeline.renderer.camera import Camera, expose, sample_camera
from pipeline.renderer.light import Light
from pipeline.renderer.places.place import Place

PLAIN = Camera(exposure=1.0, cast=(1.0, 1.0, 1.0), vignette=0.0, focus=0.0, shake=0.0, upright=True, seed=1)
EVEN = Light(
    key=(0.0, -0.5),
    contrast=0.0,
    subject=(1.0, 1.0, 1.0),
    surround=(1.0, 1.0, 1.0),
    rim=(0.0, 0.0, 0.0),
    slope=0.0,
    noise=0.0,
    lamps=0.0,
)


def with_light(**changes: object) -> Light:
    values = {name: getattr(EVEN, name) for name in Light.__slots__}
    return Light(**{**values, **changes})


def with_camera(**changes: object) -> Camera:
    values = {name: getattr(PLAIN, name) for name in Camera.__slots__}
    return Camera(**{**values, **changes})


def person(level: int, cover: int = 255) -> np.ndarray:
    """Return a sheet at twice 24x32 pixels, its left half covered by a grey person."""
    sheet = np.zeros((64, 48, 4), np.uint8)
    sheet[:, :24] = (level * cover // 255, level * cover // 255, level * cover // 255, cover)
    return sheet


def place(level: int, glow: int | None = None) -> Place:
    flat = np.full((32, 24, 3), level, np.uint8)
    return Place(flat, None if glow is None else np.full((32, 24, 3), glow, np.uint8))


def test_even_light_does_not_change_colours() -> None:
    picture = expose(person(120), place(60), EVEN, PLAIN)
    assert picture.shape == (32, 24, 3)
    assert np.abs(picture[:, :11].astype(int) - 120).max() <= 1
    assert np.abs(picture[:, 13:].astype(int) - 60).max() <= 1


def test_person_and_background_are_lit_independently() -> None:
    dark = (0.04, 0.04, 0.04)
    silhouette = expose(person(200), place(200), with_light(subject=dark), PLAIN)
    assert silhouette[16, 5].max() < 60
    assert silhouette[16, 20].min() > 195


def test_a_half_covered_pixel_mixes_person_and_background() -> None:
    picture = expose(person(255, cover=128), place(0), EVEN, PLAIN)
    assert 160 < picture[16, 5, 0] < 200  # half of linear white


def test_rim_light_catches_the_edge_and_not_the_middle() -> None:
    plain, rimmed = (expose(person(30), place(0), with_light(rim=(r, r, r)), PLAIN).astype(int) for r in (0.0, 0.8))
    assert (rimmed - plain)[16, 11].max() > 8
    assert (rimmed - plain)[16, 3].max() < 5


def test_the_glow_of_lamps_is_added_to_the_place() -> None:
    picture = expose(person(0, 0), place(0, glow=255), with_light(lamps=0.5), PLAIN)
    assert 170 < picture.mean() < 190


def test_noise_depends_on_the_seed_alone() -> None:
    grainy = with_light(noise=0.08)
    first, again, other = (expose(person(90), place(90), grainy, with_camera(seed=s)) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_noise_grows_more_slowly_than_the_light() -> None:
    grainy = with_light(noise=0.05)
    spread = {
        level: float(np.square(expose(person(0, 0), place(level), grainy, PLAIN) / 255.0).std()) for level in (60, 200)
    }
    assert spread[60] < spread[200] < (200 / 60) ** 2 * spread[60]


def test_exposure_brightens_and_a_cast_tints() -> None:
    brighter = expose(person(100), place(100), EVEN, with_camera(exposure=1.4))
    warmer = expose(person(100), place(100), EVEN, with_camera(cast=(1.3, 1.0, 0.7)))
    assert brighter.mean() > 110
    assert warmer[16, 5, 0] > 110
    assert warmer[16, 5, 2] < 90


def test_a_vignette_darkens_the_corners() -> None:
    picture = expose(person(0, 0), place(200), EVEN, with_camera(vignette=0.5))
    assert picture[0, 0, 0] < picture[16, 12, 0] - 30


@pytest.mark.parametrize("change", [{"focus": 0.05}, {"shake": 0.15, "upright": False}])
def test_blur_softens_an_edge(change: dict[str, object]) -> None:
    sharp, soft = (expose(person(0), place(255), EVEN, camera).astype(int) for camera in (PLAIN, with_camera(**change)))
    assert np.abs(np.diff(soft[16, :, 0])).max() < 0.7 * np.abs(np.diff(sharp[16, :, 0])).max()


def test_cameras_are_mostly_steady() -> None:
    cameras = [sample_camera(seed) for seed in range(300)]
    assert 5 < sum(camera.shake > 0 for camera in cameras) < 45
    assert all(0.7 < camera.exposure < 1.4 for camera in cameras)
