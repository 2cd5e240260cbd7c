"""Procedural portrait selfies, drawn with 2D vector graphics. Every factor of a picture is known exactly.

`render` draws one selfie from factors (what the picture must show) and a seed (everything else). No asset is read from
disk: faces, headwear, light and background are geometry. Each part draws its random numbers from its own stream
(`random_streams`), so two pictures with the same seed and different headwear show the same person in the same pose,
place and light: a counterfactual pair.

Modules, in the order in which a picture is made:
    vocabulary         factors and their values; values for the factors that the caller leaves out
    random_streams     one random generator per seed and part
    scene              samples all parts of one picture and draws them back to front
    pose, light        position and rotation of the head; direction, colour and strength of the light
    places/            background
    person/            face, hair, clothes, hands, glasses and masks
    headwear/          hats, and helmets with their straps
    canvas, paths, palette   drawing primitives
    camera             composites person and background, then applies lens, sensor noise and tone curve
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.renderer.scene import build_scene, draw_scene
from pipeline.renderer.vocabulary import HELMETS, IGNORED, VOCABULARY

__all__ = ["HELMETS", "IGNORED", "VOCABULARY", "render"]


def render(factors: Mapping[str, str], seed: int, size: tuple[int, int] = (96, 128)) -> NDArray[np.uint8]:
    """Draw one portrait selfie.

    Args:
        factors: Factor -> value, from `VOCABULARY`. The seed chooses the factors left out, except headwear, face mask
            and held object, which are then `none`. Names in `IGNORED` are accepted and have no effect.
        seed: Any integer. The same factors, seed and size give the same bytes in every process.
        size: (width, height) in pixels. Geometry is relative, so any portrait size from 96x128 upward works.

    Returns:
        uint8 (height, width, 3), RGB, 0..255, sRGB.

    Raises:
        ValueError: A factor or value is unknown; the message gives the factor, the value and the values expected.
    """
    return draw_scene(build_scene(factors, seed), size)
