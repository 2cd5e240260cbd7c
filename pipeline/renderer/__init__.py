"""Procedural portrait selfies: Gossamer's exact ground truth, and nobody's private picture.

`render` draws one selfie from factors (what must be in it) and a seed (everything else). Faces, hats, straps, light and
place are geometry; nothing is read from disk. Each part has its own stream of chance (`streams`), so two pictures with
the same seed and another headwear show the same person in the same pose, place and light: a counterfactual pair.

The rooms, in the order of a picture:
    vocabulary, streams     what can be asked for, and the chance that fills in the rest
    scene, pose             everything in one picture, and where the head is
    places (indoors, outdoors), light
    people: face (features, years), hair (cut, tresses), clothes (garments), hands, worn (glasses, masks)
    headwear: hats, wraps, helmets, straps
    brush, paths, palette   how anything is drawn
    camera                  how it is seen
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.renderer.scene import set_scene, take
from pipeline.renderer.vocabulary import HELMETS, IGNORED, VOCABULARY

__all__ = ["HELMETS", "IGNORED", "VOCABULARY", "render"]


def render(factors: Mapping[str, str], seed: int, size: tuple[int, int] = (96, 128)) -> NDArray[np.uint8]:
    """Draw one portrait selfie.

    Args:
        factors: factor -> value, each from `VOCABULARY`. What is left out, the seed chooses; headwear, face mask and a
            held thing are `none` unless asked for. Names in `IGNORED` are passed over.
        seed: any integer. The same factors, seed and size give the same bytes, in any process.
        size: width and height in pixels; geometry is relative, so any portrait size from 96x128 upward works.

    Returns:
        uint8 (height, width, 3), RGB, 0-255, sRGB.

    Raises:
        ValueError: an unknown factor or value; the message names the factor, the value found and those expected.
    """
    return take(set_scene(factors, seed), size)
