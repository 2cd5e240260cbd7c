"""Everything worn on the head: what a seed chooses, and the order in which it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pipeline.renderer.canvas import Brush
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

# These hide the hair wholly; the others press it down to what shows below the rim.
HIDES_HAIR: frozenset[str] = frozenset({"hood", "headscarf", "turban"})
Worn = Hat | Helmet | None


def choose(kind: str, colour: str, seed: int) -> Worn:
    """Return the headwear that a seed gives, or None for a bare head."""
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


def draw_behind(brush: Brush, worn: Worn, turn: Turn) -> None:
    """Draw what lies behind the head."""
    if isinstance(worn, Helmet):
        draw_rear(brush, worn, turn)
    elif isinstance(worn, Hat) and worn.kind in _BEHIND:
        _BEHIND[worn.kind](brush, worn, turn)


def draw_on(brush: Brush, worn: Worn, turn: Turn, straps: str) -> None:
    """Draw headwear on the head, its shadow on the forehead first; straps only with a helmet."""
    if worn is None:
        return
    if isinstance(worn, Helmet):
        cast_shadow(brush, turn, worn.shell)
        draw_straps(brush, worn, turn, straps)
        draw_shell(brush, worn, turn)
        return
    _ON[worn.kind](brush, worn, turn)


Draw = Callable[[Brush, Hat, Turn], None]
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
