from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.renderer import HELMETS, IGNORED, VOCABULARY, render
from pipeline.renderer.palette import SKIN_TONES, luminance
from pipeline.renderer.scene import build_scene

Picture = NDArray[np.uint8]

PORTRAIT = {
    "skin_tone": "monk_05",
    "age": "young",
    "gender": "feminine",
    "hair_colour": "brown",
    "hair_style": "short",
    "clothing": "jumper",
    "clothing_colour": "blue",
    "headwear": "none",
    "headwear_colour": "red",
    "straps": "fastened",
    "glasses": "none",
    "face_mask": "none",
    "light": "day",
    "place": "park",
    "framing": "close_up",
    "held": "none",
}
SEEDS = range(40, 47)
SIZE = (96, 128)


def difference(first: Picture, second: Picture) -> float:
    return float(np.abs(first.astype(np.float32) - second.astype(np.float32)).mean())


def luma(picture: Picture) -> NDArray[np.float64]:
    return picture.astype(np.float64) @ (0.299, 0.587, 0.114)


def face_of(picture: Picture, seed: int, factors: dict[str, str]) -> Picture:
    """Return the middle of the face: both cheeks, the nose and the lids."""
    (x, y), unit = build_scene(factors, seed).pose.pixels((picture.shape[1], picture.shape[0]))
    top, bottom = max(0, int(y + 0.1 * unit)), max(1, int(y + 0.45 * unit))
    return picture[top:bottom, max(0, int(x - 0.4 * unit)) : max(1, int(x + 0.4 * unit))]


def corner_noise(picture: Picture) -> float:
    """Return the spread between neighbouring pixels, relative to how bright they are: sensor noise, not shape."""
    grey = luma(picture)
    return float(np.median(np.abs(np.diff(grey, axis=1))) / (grey.mean() + 1))


def seeds_in_full_view(framing: str, count: int) -> list[int]:
    """Return seeds whose head is neither cropped nor half outside the picture."""
    return [seed for seed in range(400) if not build_scene({"framing": framing}, seed).pose.cropped][:count]


@pytest.mark.parametrize("size", [(96, 128), (192, 256), (101, 135), (384, 512), (120, 213)])
def test_a_picture_has_the_requested_size(size: tuple[int, int]) -> None:
    picture = render(PORTRAIT, 3, size)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8


def test_the_same_input_gives_the_same_bytes() -> None:
    assert np.array_equal(render(PORTRAIT, 11), render(dict(reversed(PORTRAIT.items())), 11))


def test_a_fresh_process_gives_the_same_bytes() -> None:
    factors = {"headwear": "road_helmet", "light": "night", "place": "street", "held": "helmet"}
    code = (
        "import hashlib; from pipeline.renderer import render; "
        f"print(hashlib.sha256(render({factors!r}, 77).tobytes()).hexdigest())"
    )
    digest = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert digest == hashlib.sha256(render(factors, 77).tobytes()).hexdigest()


def test_a_picture_does_not_depend_on_what_was_drawn_before() -> None:
    alone = render(PORTRAIT, 5)
    np.random.default_rng(0)
    render({"headwear": "turban", "light": "night"}, 6)
    assert np.array_equal(alone, render(PORTRAIT, 5))


def test_pictures_of_different_seeds_differ() -> None:
    pictures = [render(PORTRAIT, seed) for seed in SEEDS]
    gaps = [difference(a, b) for at, a in enumerate(pictures) for b in pictures[:at]]
    assert min(gaps) > 6


def test_negative_and_huge_seeds_work() -> None:
    assert difference(render(PORTRAIT, -1), render(PORTRAIT, 1)) > 6
    assert difference(render(PORTRAIT, 2**80), render(PORTRAIT, 2**80 + 1)) > 6


@pytest.mark.parametrize("factor", sorted(VOCABULARY))
def test_every_value_of_a_factor_changes_the_picture(factor: str) -> None:
    base = {**PORTRAIT, "headwear": "urban_helmet" if factor in {"straps", "headwear_colour"} else "none"}
    base["framing"] = "half_body" if factor == "clothing" else "close_up"
    pictures = [render({**base, factor: value}, 8) for value in VOCABULARY[factor]]
    gaps = [difference(a, b) for at, a in enumerate(pictures) for b in pictures[:at]]
    assert min(gaps) > 0.08, factor


def test_the_seed_chooses_omitted_factors_and_leaves_the_head_bare() -> None:
    scenes = [build_scene({}, seed).factors for seed in range(60)]
    assert {chosen["headwear"] for chosen in scenes} == {"none"}
    assert {chosen["face_mask"] for chosen in scenes} == {"none"}
    assert {chosen["held"] for chosen in scenes} == {"none"}
    for factor in ("skin_tone", "gender", "light", "place", "clothing"):
        assert {chosen[factor] for chosen in scenes} == set(VOCABULARY[factor]), factor


def test_passing_the_chosen_values_explicitly_changes_nothing() -> None:
    chosen = dict(build_scene({}, 21).factors)
    assert np.array_equal(render({}, 21), render(chosen, 21))


def test_an_ignored_factor_changes_nothing() -> None:
    assert "scenario" in IGNORED
    assert np.array_equal(render(PORTRAIT, 4), render({**PORTRAIT, "scenario": "commuter"}, 4))


def test_the_error_for_an_unknown_value_lists_the_known_values() -> None:
    with pytest.raises(ValueError, match=r"'light'.*'moonlight'.*day, dusk, night, indoor, backlit"):
        render({"light": "moonlight"}, 0)


def test_the_error_for_an_unknown_factor_lists_the_known_factors() -> None:
    with pytest.raises(ValueError, match=r"'shoes'.*'boots'.*unknown factor.*skin_tone, age"):
        render({"shoes": "boots"}, 0)


def test_skin_tones_are_ordered_from_light_to_dark() -> None:
    seeds = seeds_in_full_view("close_up", 4)
    means = []
    for tone in VOCABULARY["skin_tone"]:
        factors = {**PORTRAIT, "skin_tone": tone}
        means.append(np.mean([np.median(luma(face_of(render(factors, seed), seed, factors))) for seed in seeds]))
    # Monk's second and third tones are as light as each other; the rest fall in order.
    order = [means[0], (means[1] + means[2]) / 2, *means[3:]]
    assert order == sorted(order, reverse=True)
    assert means[0] - means[-1] > 110


@pytest.mark.parametrize("tone", sorted(SKIN_TONES))
def test_skin_in_daylight_is_near_its_monk_tone(tone: str) -> None:
    factors = {**PORTRAIT, "skin_tone": tone, "place": "office"}
    faces = [face_of(render(factors, seed), seed, factors) for seed in seeds_in_full_view("close_up", 8)]
    middle = np.median([np.median(face.reshape(-1, 3), axis=0) for face in faces], axis=0)
    assert np.abs(middle - np.array(SKIN_TONES[tone]) * 255).max() < 38, middle


def test_night_is_darker_and_noisier_than_day() -> None:
    for seed in SEEDS:
        day, night = (render({**PORTRAIT, "light": light}, seed) for light in ("day", "night"))
        assert night.mean() < 0.6 * day.mean()
    noisier = [
        corner_noise(render({**PORTRAIT, "light": "night"}, s)) > corner_noise(render(PORTRAIT, s)) for s in SEEDS
    ]
    assert sum(noisier) >= len(noisier) - 1


def test_a_backlit_face_is_far_darker_than_its_background() -> None:
    for seed in seeds_in_full_view("arm_length", 8):
        factors = {**PORTRAIT, "light": "backlit", "framing": "arm_length", "skin_tone": "monk_03", "place": "home"}
        picture = render(factors, seed)
        assert np.median(luma(face_of(picture, seed, factors))) < 0.5 * np.median(luma(picture[:, [0, 1, -2, -1]][:40]))


def test_each_light_has_its_own_level() -> None:
    level = {
        name: np.mean([render({**PORTRAIT, "light": name}, s).mean() for s in SEEDS]) for name in VOCABULARY["light"]
    }
    assert level["night"] < level["dusk"] < level["indoor"] < level["day"]


@pytest.mark.parametrize("headwear", [value for value in VOCABULARY["headwear"] if value != "none"])
def test_a_counterfactual_pair_differs_only_on_the_head(headwear: str) -> None:
    for seed in seeds_in_full_view("arm_length", 2):
        factors = {**PORTRAIT, "framing": "arm_length"}
        bare, hatted = render(factors, seed), render({**factors, "headwear": headwear}, seed)
        (x, y), unit = build_scene(factors, seed).pose.pixels(SIZE)
        rows, columns = np.mgrid[0:128, 0:96]
        far = np.hypot(columns - x, rows - y) > 2.9 * unit
        head = (np.abs(columns - x) < 0.6 * unit) & (rows > y - 1.2 * unit) & (rows < y - 0.5 * unit)
        gap = np.abs(bare.astype(np.float32) - hatted.astype(np.float32)).mean(axis=2)
        assert gap[far].mean() < 0.5
        assert gap[head].mean() > 12


def test_a_counterfactual_pair_shares_person_pose_light_and_clothes() -> None:
    for seed in SEEDS:
        bare, helmet = (build_scene({"headwear": worn}, seed) for worn in ("none", "road_helmet"))
        assert (bare.person, bare.pose, bare.light, bare.outfit) == (
            helmet.person,
            helmet.pose,
            helmet.light,
            helmet.outfit,
        )


def test_the_face_below_a_helmet_is_the_same_face() -> None:
    seed = seeds_in_full_view("close_up", 1)[0]
    bare, helmet = (render({**PORTRAIT, "headwear": worn, "straps": "none"}, seed) for worn in ("none", "urban_helmet"))
    assert difference(face_of(bare, seed, PORTRAIT), face_of(helmet, seed, PORTRAIT)) < 3


@pytest.mark.parametrize("headwear", [value for value in VOCABULARY["headwear"] if value not in HELMETS])
def test_straps_appear_only_with_helmets(headwear: str) -> None:
    factors = {**PORTRAIT, "headwear": headwear}
    pictures = [render({**factors, "straps": straps}, 31) for straps in VOCABULARY["straps"]]
    assert np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[0], pictures[2])


@pytest.mark.parametrize("helmet", HELMETS)
def test_straps_run_down_the_cheeks_of_a_helmet_wearer(helmet: str) -> None:
    for seed in seeds_in_full_view("close_up", 2):
        factors = {**PORTRAIT, "headwear": helmet}
        bare, strapped = (render({**factors, "straps": straps}, seed) for straps in ("none", "fastened"))
        (_, y), unit = build_scene(factors, seed).pose.pixels(SIZE)
        gap = np.abs(bare.astype(np.float32) - strapped.astype(np.float32)).mean(axis=2)
        assert gap[int(y) : int(y + 1.3 * unit)].max() > 20
        assert gap[: max(1, int(y - 1.0 * unit))].max(initial=0.0) < 20


def test_a_held_helmet_lies_low_and_leaves_the_head_alone() -> None:
    for seed in seeds_in_full_view("arm_length", 6):
        factors = {**PORTRAIT, "framing": "arm_length"}
        empty, held = render(factors, seed), render({**factors, "held": "helmet"}, seed)
        gap = np.abs(empty.astype(np.float32) - held.astype(np.float32)).mean(axis=2)
        assert gap[80:].mean() > 4
        assert gap[:50].mean() < 0.8


def test_headwear_has_its_colour() -> None:
    seed = seeds_in_full_view("close_up", 1)[0]
    factors = {**PORTRAIT, "headwear": "beanie"}
    (x, y), unit = build_scene(factors, seed).pose.pixels(SIZE)
    crown = slice(int(y - 1.0 * unit), int(y - 0.75 * unit)), slice(int(x - 0.2 * unit), int(x + 0.2 * unit))
    crown_colour = {
        c: render({**factors, "headwear_colour": c}, seed)[crown].mean(axis=(0, 1)) for c in ("red", "green", "blue")
    }
    assert [int(np.argmax(crown_colour[colour])) for colour in ("red", "green", "blue")] == [0, 1, 2]


def test_a_close_up_shows_more_face_than_a_half_body() -> None:
    near = [build_scene({"framing": "close_up"}, seed).pose.unit for seed in SEEDS]
    far = [build_scene({"framing": "half_body"}, seed).pose.unit for seed in SEEDS]
    assert min(near) > 1.6 * max(far)


def test_a_larger_picture_shows_the_same_scene() -> None:
    small = render({**PORTRAIT, "place": "office"}, 13).astype(np.float32)
    large = render({**PORTRAIT, "place": "office"}, 13, (192, 256)).astype(np.float32)
    halved = large.reshape(128, 2, 96, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - halved).mean() < 8


def test_skin_tones_span_the_monk_scale() -> None:
    tones = [luminance(colour) for colour in SKIN_TONES.values()]
    assert len(tones) == 10
    assert tones[0] > 0.9
    assert tones[-1] < 0.2
