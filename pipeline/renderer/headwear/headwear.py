"""Headwear of any kind: samples it, and draws its parts behind and on the head. All in head units (`pose`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pipeline.renderer.canvas import Canvas
from pipeline.renderer.headwear.hats import (
    Hat,
    cast_shadow,
    draw_beanie,
    draw_brim_hat,
    draw_cap,
    draw_headscarf,
    draw_hood,
    draw_hood_behind,
    draw_scarf_behind,
    draw_turban,
)
from pipeline.renderer.headwear.helmets import Helmet, draw_rear, draw_shell, draw_straps, make_helmet
from pipeline.renderer.palette import HEADWEAR, WHITE, from_hex, jitter, mix, scale
from pipeline.renderer.pose import Turn
from pipeline.renderer.random_streams import chance, pick, stream
from pipeline.renderer.vocabulary import HELMETS

# Kinds that hide all hair; the others leave the hair below their rim visible.
HIDES_HAIR: frozenset[str] = frozenset({"hood", "headscarf", "turban"})
Headwear = Hat | Helmet


def sample_headwear(kind: str, colour: str, seed: int) -> Headwear | None:
    """Sample headwear of a kind and colour, values of the factors of these names; None: bare-headed."""
    shade = jitter(stream(seed, "headwear/colour"), HEADWEAR[colour], 0.04)
    if kind == "none":
        return None
    if kind in HELMETS:
        return make_helmet(kind, shade, "headwear", seed)
    rng = stream(seed, "headwear")
    return Hat(
        kind=kind,
        colour=shade,
        second=pick(rng, (scale(shade, 0.5), mix(shade, WHITE, 0.6), from_hex("d8c9a8"), from_hex("2a2a30"))),
        gloss=rng.uniform(0.3, 0.8) if chance(rng, 0.4) else 0.0,
        height=rng.uniform(0.0, 1.0),
        detail=int(rng.integers(0, 3)),
        plain=chance(rng, 0.4),
    )


def draw_behind(canvas: Canvas, headwear: Headwear | None, turn: Turn) -> None:
    """Draw the parts of headwear that are behind the head."""
    if isinstance(headwear, Helmet):
        draw_rear(canvas, headwear, turn)
    elif isinstance(headwear, Hat) and headwear.kind in _BEHIND:
        _BEHIND[headwear.kind](canvas, headwear, turn)


def draw_on(canvas: Canvas, headwear: Headwear | None, turn: Turn, straps: str) -> None:
    """Draw headwear and its shadow on the forehead; `straps` matters for helmets only."""
    if headwear is None:
        return
    if isinstance(headwear, Helmet):
        cast_shadow(canvas, turn, headwear.shell)
        draw_straps(canvas, headwear, turn, straps)
        draw_shell(canvas, headwear, turn)
        return
    _ON[headwear.kind](canvas, headwear, turn)


Draw = Callable[[Canvas, Hat, Turn], None]
_BEHIND: Mapping[str, Draw] = MappingProxyType({"hood": draw_hood_behind, "headscarf": draw_scarf_behind})
_ON: Mapping[str, Draw] = MappingProxyType(
    {
        "cap": draw_cap,
        "brim_hat": draw_brim_hat,
        "beanie": draw_beanie,
        "hood": draw_hood,
        "headscarf": draw_headscarf,
        "turban": draw_turban,
    }
)
