"""A transparent RGBA canvas with shaded fills, soft blobs and strokes; drawn by skia-python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import skia
from numpy.typing import NDArray

from pipeline.renderer.palette import WHITE, Colour, mix, tint
from pipeline.renderer.paths import Disc, Path, Point, polyline

# Shadow is not just darker but warmer: skin and cloth lose blue before red.
_SHADE: Colour = (0.80, 0.72, 0.70)


def argb(colour: Colour, alpha: float = 1.0) -> int:
    """Return a colour as skia's 32-bit ARGB integer."""
    red, green, blue = colour
    return (_byte(alpha) << 24) | (_byte(red) << 16) | (_byte(green) << 8) | _byte(blue)


def _byte(share: float) -> int:
    return 0 if share <= 0.0 else 255 if share >= 1.0 else int(share * 255 + 0.5)


class Canvas:
    """A transparent sheet of pixels, with the main light that its shaded fills use.

    Args:
        size: (width, height) in pixels.
        key: Direction towards the main light in the picture plane, x to the right, y down, length up to 1.
        contrast: How much darker the side away from the light is, 0..1.
    """

    def __init__(self, size: tuple[int, int], key: Point = (0.0, -0.5), contrast: float = 0.4) -> None:
        width, height = size
        self._pixels: NDArray[np.uint8] = np.zeros((height, width, 4), np.uint8)
        self._surface = skia.Surface(self._pixels, skia.kRGBA_8888_ColorType, skia.kPremul_AlphaType)
        self._canvas = self._surface.getCanvas()
        self._paint = skia.Paint(AntiAlias=True)
        self._pen = skia.Paint(
            AntiAlias=True,
            Style=skia.Paint.kStroke_Style,
            StrokeCap=skia.Paint.kRound_Cap,
            StrokeJoin=skia.Paint.kRound_Join,
        )
        self.key = key
        self.contrast = contrast

    def pixels(self) -> NDArray[np.uint8]:
        """Return the pixels, not a copy: uint8 (height, width, 4), RGBA, colour premultiplied by alpha."""
        return self._pixels

    def clear(self, colour: Colour) -> None:
        """Cover the whole canvas, or the current clip, with one opaque colour."""
        self._canvas.clear(argb(colour))

    def fill(self, path: Path, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a path with one flat colour."""
        self._paint.setColor(argb(colour, alpha))
        self._canvas.drawPath(path, self._paint)

    def shade(self, path: Path, colour: Colour, disc: Disc, gloss: float = 0.0) -> None:
        """Fill a path like a rounded body: a radial gradient, bright towards the light and dark away from it.

        Args:
            path: Outline.
            colour: Colour in even light.
            disc: Ellipse that sets centre and size of the gradient.
            gloss: Strength of the highlight: 0 for cloth, up to 1 for polished plastic.
        """
        bright = mix(colour, WHITE, 0.05 + 0.10 * self.contrast + 0.35 * gloss)
        dark = mix(colour, tint(colour, _SHADE), 1.0)
        depth = 1.0 - 0.55 * self.contrast
        deep = (dark[0] * depth, dark[1] * depth, dark[2] * depth)
        x, y = disc.x + self.key[0] * disc.rx * 0.6, disc.y + self.key[1] * disc.ry * 0.6
        stops = [argb(bright), argb(colour), argb(mix(colour, deep, 0.75)), argb(deep)]
        matrix = skia.Matrix().setScale(1.0, disc.ry / disc.rx, x, y)
        paint = skia.Paint(
            AntiAlias=True,
            Shader=skia.GradientShader.MakeRadial(
                (x, y), disc.rx * 1.42, stops, [0.0, 0.36, 0.78, 1.0], localMatrix=matrix
            ),
        )
        self._canvas.drawPath(path, paint)

    def gradient(
        self, path: Path, ends: tuple[Point, Point], colours: Sequence[Colour], alphas: Sequence[float]
    ) -> None:
        """Fill a path with a linear gradient from the first end to the second."""
        stops = [argb(colour, alpha) for colour, alpha in zip(colours, alphas, strict=True)]
        paint = skia.Paint(AntiAlias=True, Shader=skia.GradientShader.MakeLinear(list(ends), stops))
        self._canvas.drawPath(path, paint)

    def blob(self, disc: Disc, colour: Colour, alpha: float) -> None:
        """Draw a soft ellipse whose opacity falls from `alpha` at the centre to 0 at the rim."""
        stops = [argb(colour, alpha), argb(colour, alpha * 0.55), argb(colour, 0.0)]
        matrix = skia.Matrix().setScale(1.0, disc.ry / disc.rx, disc.x, disc.y)
        paint = skia.Paint(
            AntiAlias=True,
            Shader=skia.GradientShader.MakeRadial(
                (disc.x, disc.y), disc.rx, stops, [0.0, 0.5, 1.0], localMatrix=matrix
            ),
        )
        rect = skia.Rect.MakeLTRB(disc.x - disc.rx, disc.y - disc.ry, disc.x + disc.rx, disc.y + disc.ry)
        self._canvas.drawRect(rect, paint)

    def oval(self, disc: Disc, colour: Colour, alpha: float = 1.0) -> None:
        """Fill an ellipse with one flat colour."""
        self._paint.setColor(argb(colour, alpha))
        rect = skia.Rect.MakeLTRB(disc.x - disc.rx, disc.y - disc.ry, disc.x + disc.rx, disc.y + disc.ry)
        self._canvas.drawOval(rect, self._paint)

    def box(self, corners: tuple[float, float, float, float], colour: Colour, alpha: float = 1.0) -> None:
        """Fill a rectangle: (left, top, right, bottom)."""
        self._paint.setColor(argb(colour, alpha))
        self._canvas.drawRect(skia.Rect.MakeLTRB(*corners), self._paint)

    def stroke(self, path: Path, colour: Colour, width: float, alpha: float = 1.0) -> None:
        """Stroke a path with a round pen."""
        self._pen.setColor(argb(colour, alpha))
        self._pen.setStrokeWidth(width)
        self._canvas.drawPath(path, self._pen)

    def lines(self, lines: Sequence[Sequence[Point]], colour: Colour, width: float, alpha: float = 1.0) -> None:
        """Stroke several lines, each a smooth curve through its points."""
        self.stroke(polyline(lines), colour, width, alpha)

    @contextmanager
    def clipped_to(self, path: Path) -> Iterator[None]:
        """Clip what the block draws to a path."""
        self._canvas.save()
        self._canvas.clipPath(path, doAntiAlias=True)
        yield
        self._canvas.restore()

    @contextmanager
    def clipped_to_box(self, corners: tuple[float, float, float, float]) -> Iterator[None]:
        """Clip what the block draws to a rectangle: (left, top, right, bottom)."""
        self._canvas.save()
        self._canvas.clipRect(skia.Rect.MakeLTRB(*corners))
        yield
        self._canvas.restore()

    @contextmanager
    def placed(self, at: Point, unit: float, degrees: float = 0.0) -> Iterator[None]:
        """Give the block its own coordinates: origin, pixels (or outer units) per unit, and clockwise rotation."""
        self._canvas.save()
        self._canvas.translate(*at)
        self._canvas.rotate(degrees)
        self._canvas.scale(unit, unit)
        yield
        self._canvas.restore()

    @contextmanager
    def scaled_horizontally(self, across: float) -> Iterator[None]:
        """Scale the x axis for the block."""
        self._canvas.save()
        self._canvas.scale(across, 1.0)
        yield
        self._canvas.restore()
