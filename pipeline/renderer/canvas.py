"""The brush: shaded fills, soft blobs and strokes on a transparent sheet, drawn by skia-python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import skia
from numpy.typing import NDArray

from pipeline.renderer.palette import WHITE, Colour, mix, tint
from pipeline.renderer.paths import Disc, Path, Point, polyline

# Shade is warmer than mere darkness: skin and cloth lose blue before red.
_SHADE: Colour = (0.80, 0.72, 0.70)


def argb(colour: Colour, alpha: float = 1.0) -> int:
    """Return a colour as the library's 32-bit integer."""
    red, green, blue = colour
    return (_byte(alpha) << 24) | (_byte(red) << 16) | (_byte(green) << 8) | _byte(blue)


def _byte(share: float) -> int:
    return 0 if share <= 0.0 else 255 if share >= 1.0 else int(share * 255 + 0.5)


class Brush:
    """Draws on a transparent sheet, knowing where the light comes from.

    Args:
        size: width and height of the sheet, pixels.
        key: direction of the main light in the plane of the picture, x to the right, y down, length up to 1.
        contrast: how much darker the side away from it is, 0 to 1.
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
        """Return the sheet: uint8 (height, width, 4), RGBA, colour premultiplied by alpha."""
        return self._pixels

    def fill_all(self, colour: Colour) -> None:
        """Cover the whole sheet with one colour."""
        self._canvas.clear(argb(colour))

    def fill(self, path: Path, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a path with one flat colour."""
        self._paint.setColor(argb(colour, alpha))
        self._canvas.drawPath(path, self._paint)

    def shade(self, path: Path, colour: Colour, disc: Disc, gloss: float = 0.0) -> None:
        """Fill a path as a rounded body: bright towards the light, falling into shade away from it.

        Args:
            path: the outline.
            colour: the colour where light meets it evenly.
            disc: the body's middle and reach.
            gloss: 0 for cloth, up to 1 for polished plastic.
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

    def ramp(self, path: Path, ends: tuple[Point, Point], colours: Sequence[Colour], alphas: Sequence[float]) -> None:
        """Fill a path with a straight gradient from the first end to the second."""
        stops = [argb(colour, alpha) for colour, alpha in zip(colours, alphas, strict=True)]
        paint = skia.Paint(AntiAlias=True, Shader=skia.GradientShader.MakeLinear(list(ends), stops))
        self._canvas.drawPath(path, paint)

    def blob(self, disc: Disc, colour: Colour, alpha: float) -> None:
        """Lay a soft spot that fades to nothing at its rim."""
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
        """Fill a rectangle, given as left, top, right, bottom."""
        self._paint.setColor(argb(colour, alpha))
        self._canvas.drawRect(skia.Rect.MakeLTRB(*corners), self._paint)

    def stroke(self, path: Path, colour: Colour, width: float, alpha: float = 1.0) -> None:
        """Draw along a path with a round pen."""
        self._pen.setColor(argb(colour, alpha))
        self._pen.setStrokeWidth(width)
        self._canvas.drawPath(path, self._pen)

    def lines(self, lines: Sequence[Sequence[Point]], colour: Colour, width: float, alpha: float = 1.0) -> None:
        """Draw several smooth lines in one go."""
        self.stroke(polyline(lines), colour, width, alpha)

    @contextmanager
    def inside(self, path: Path) -> Iterator[None]:
        """Keep what is drawn in this block within a path."""
        self._canvas.save()
        self._canvas.clipPath(path, doAntiAlias=True)
        yield
        self._canvas.restore()

    @contextmanager
    def within(self, corners: tuple[float, float, float, float]) -> Iterator[None]:
        """Keep what is drawn in this block within a rectangle: left, top, right, bottom."""
        self._canvas.save()
        self._canvas.clipRect(skia.Rect.MakeLTRB(*corners))
        yield
        self._canvas.restore()

    @contextmanager
    def placed(self, at: Point, unit: float, degrees: float = 0.0) -> Iterator[None]:
        """Draw this block in its own coordinates: origin, scale and turn."""
        self._canvas.save()
        self._canvas.translate(*at)
        self._canvas.rotate(degrees)
        self._canvas.scale(unit, unit)
        yield
        self._canvas.restore()

    @contextmanager
    def stretched(self, across: float) -> Iterator[None]:
        """Draw this block with the x axis stretched or squeezed."""
        self._canvas.save()
        self._canvas.scale(across, 1.0)
        yield
        self._canvas.restore()
