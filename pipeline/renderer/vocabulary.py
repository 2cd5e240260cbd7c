"""Factors that the renderer can draw, their values, and the choice of values for factors that the caller leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.renderer.palette import CLOTH, HAIR, HEADWEAR, SKIN_TONES
from pipeline.renderer.random_streams import stream_seed

HELMETS: tuple[str, ...] = ("road_helmet", "urban_helmet", "mountain_helmet")
VOCABULARY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "skin_tone": tuple(SKIN_TONES),
        "age": ("young", "middle_aged", "senior"),
        "gender": ("feminine", "masculine", "androgynous"),
        "hair_colour": tuple(HAIR),
        "hair_style": ("short", "long", "curly", "tied_back", "shaved"),
        "clothing": ("t_shirt", "hoodie", "shirt", "jacket", "rain_jacket", "hi_vis_vest", "jumper"),
        "clothing_colour": tuple(CLOTH),
        "headwear": ("none", "cap", "brim_hat", "beanie", "hood", "headscarf", "turban", *HELMETS),
        "headwear_colour": tuple(HEADWEAR),
        "straps": ("fastened", "loose", "none"),
        "glasses": ("none", "clear", "sunglasses"),
        "face_mask": ("none", "surgical", "cloth", "ffp2"),
        "light": ("day", "dusk", "night", "indoor", "backlit"),
        "place": ("street", "park", "office", "home", "shop", "garage", "bridge", "forest"),
        "framing": ("close_up", "arm_length", "half_body", "off_centre"),
        "held": ("none", "helmet"),
    }
)

# `scenario` names the situation that a prompt belongs to; the other factors describe how it looks.
IGNORED: frozenset[str] = frozenset({"scenario"})

# Values of factors that are left out; the seed chooses all others.
_DEFAULTS: Mapping[str, str] = {"headwear": "none", "face_mask": "none", "held": "none"}
# Values that the seed chooses from, where they are not equally likely: a repeated value is more likely.
_LIKELY: Mapping[str, tuple[str, ...]] = {
    "glasses": ("none", "none", "none", "clear", "sunglasses"),
    "straps": ("fastened", "fastened", "fastened", "loose", "none"),
    "light": ("day", "day", "day", "indoor", "dusk", "night", "backlit"),
    "framing": ("close_up", "arm_length", "arm_length", "half_body", "off_centre"),
}


def resolve(factors: Mapping[str, str], seed: int) -> dict[str, str]:
    """Return a value for every factor: the caller's where given, else a default or a choice of the seed.

    Args:
        factors: Factor -> value; names in `IGNORED` are skipped.
        seed: Seed of the picture.

    Returns:
        Factor -> value, for every factor of `VOCABULARY`.

    Raises:
        ValueError: The renderer cannot draw a factor or a value.
    """
    for factor, value in factors.items():
        _check(factor, value)
    chosen = {name: factors.get(name) or _choose(name, seed) for name in VOCABULARY}
    if chosen["age"] == "senior" and "hair_colour" not in factors:
        chosen["hair_colour"] = "grey" if stream_seed(seed, "choice/senior") % 10 < 7 else chosen["hair_colour"]
    return chosen


def _check(factor: str, value: str) -> None:
    if factor in IGNORED:
        return
    if factor not in VOCABULARY:
        raise ValueError(f"factor {factor!r}, value {value!r}: unknown factor; expected one of {', '.join(VOCABULARY)}")
    if value not in VOCABULARY[factor]:
        raise ValueError(f"factor {factor!r}, value {value!r}: expected one of {', '.join(VOCABULARY[factor])}")


def _choose(factor: str, seed: int) -> str:
    if factor in _DEFAULTS:
        return _DEFAULTS[factor]
    choices = _LIKELY.get(factor, VOCABULARY[factor])
    return choices[stream_seed(seed, f"choice/{factor}") % len(choices)]
