"""What the renderer can draw, factor by factor, and how it fills in what a caller left open."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.renderer.palette import CLOTH, HAIR, HEADWEAR, SKIN_TONES
from pipeline.renderer.random_streams import draw

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

# `scenario` names the situation a prompt belongs to; its look is carried by the other factors.
IGNORED: frozenset[str] = frozenset({"scenario"})

# What a portrait has when nobody asks for more.
_DEFAULTS: Mapping[str, str] = {"headwear": "none", "face_mask": "none", "held": "none"}
# Values that weigh more than the rest when the seed chooses.
_LIKELY: Mapping[str, tuple[str, ...]] = {
    "glasses": ("none", "none", "none", "clear", "sunglasses"),
    "straps": ("fastened", "fastened", "fastened", "loose", "none"),
    "light": ("day", "day", "day", "indoor", "dusk", "night", "backlit"),
    "framing": ("close_up", "arm_length", "arm_length", "half_body", "off_centre"),
}


def resolve(factors: Mapping[str, str], seed: int) -> dict[str, str]:
    """Return a value for every factor: the caller's where given, else a plausible one that the seed chooses.

    Args:
        factors: factor -> value; names in `IGNORED` are passed over.
        seed: the picture's seed.

    Returns:
        factor -> value, one for each factor of `VOCABULARY`.

    Raises:
        ValueError: a factor or a value that the renderer cannot draw.
    """
    for factor, value in factors.items():
        _check(factor, value)
    chosen = {name: factors.get(name) or _choose(name, seed) for name in VOCABULARY}
    if chosen["age"] == "senior" and "hair_colour" not in factors:
        chosen["hair_colour"] = "grey" if draw(seed, "choice/senior") % 10 < 7 else chosen["hair_colour"]
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
    return choices[draw(seed, f"choice/{factor}") % len(choices)]
