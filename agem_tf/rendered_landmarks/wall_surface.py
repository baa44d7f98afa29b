"""Walls: drawn as flat shapes in metres, then finished with grain and dirt.

A `WallDrawing` holds colour, relief and material. Its shapes stand out from
the wall by some centimetres; lighting this relief is what makes a drawn window
look like a window. `finish` adds the texture of the material and weathering,
at a scale in metres that does not depend on the resolution, and gives a
`Surface`, which also provides reduced copies of itself.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from agem_tf.rendered_landmarks.noise import noise_field

Color = tuple[int, int, int]

NOTHING, WALL, PLAIN, GLASS, ROOF = range(5)
SUPERSAMPLING = 2
RELIEF_ZERO = 100
RELIEF_PER_METRE = 100.0
SUBPIXEL_BITS = 4


class WallDrawing:
    """Drawing of a wall; shapes are given in metres, y up from the ground.

    Args:
        left, right, top: extent in metres; the bottom is the ground, y = 0.
        pixels_per_metre: resolution of the finished surface.
        rng: random generator of everything drawn.
    """

    def __init__(
        self,
        left: float,
        right: float,
        top: float,
        pixels_per_metre: float,
        rng: np.random.Generator,
    ):
        self.rng = rng
        self.left = float(left)
        self.top = float(top)
        self.resolution = float(pixels_per_metre) * SUPERSAMPLING
        height = int(np.ceil(top * pixels_per_metre)) * SUPERSAMPLING
        width = int(np.ceil((right - left) * pixels_per_metre)) * SUPERSAMPLING
        self.color = np.zeros((height, width, 3), np.uint8)
        self.data = np.zeros((height, width, 3), np.uint8)
        self.data[:] = RELIEF_ZERO, NOTHING, 0

    def polygon(
        self,
        points: np.ndarray,
        color: Color,
        relief: float = 0.0,
        material: int = PLAIN,
        pane: int = 0,
    ) -> None:
        """Fills a polygon.

        Args:
            points: (N, 2) corners in metres.
            color: sRGB in [0, 255].
            relief: distance in metres by which the shape stands out of the
                wall, in [-1, 1.5].
            material: one of this module's material constants.
            pane: for glass, the number of the window in [1, 255], by which lit
                windows are chosen at night.
        """
        offset = np.asarray(points, np.float64) - (self.left, self.top)
        pixels = offset * (self.resolution, -self.resolution) - 0.5
        corners = np.round(pixels * (1 << SUBPIXEL_BITS)).astype(np.int32)
        code = RELIEF_ZERO + relief * RELIEF_PER_METRE
        code = float(np.clip(round(code), 0, 255))
        paint = tuple(float(np.clip(channel, 0, 255)) for channel in color)
        cv2.fillPoly(self.color, [corners], paint, shift=SUBPIXEL_BITS)
        cv2.fillPoly(
            self.data, [corners], (code, material, pane), shift=SUBPIXEL_BITS
        )

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        color: Color,
        relief: float = 0.0,
        material: int = PLAIN,
        pane: int = 0,
    ) -> None:
        """Fills a rectangle whose lower left corner is (x, y)."""
        x2, y2 = x + width, y + height
        points = np.array([(x, y), (x2, y), (x2, y2), (x, y2)])
        self.polygon(points, color, relief, material, pane)

    def rounded_column(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        color: Color,
        relief: float,
    ) -> None:
        """Draws a half cylinder; the relief is largest along its axis."""
        strips = 7
        for strip in range(strips):
            offset = (strip + 0.5) / strips * 2 - 1
            bulge = relief * np.sqrt(1 - offset * offset)
            self.rectangle(
                x + width * strip / strips,
                y,
                width / strips,
                height,
                color,
                bulge,
            )

    def text(
        self, words: str, x: float, y: float, height: float, color: Color
    ) -> None:
        """Draws text; (x, y) is the left end of its baseline."""
        scale = height * self.resolution / 22.0
        position = (
            round((x - self.left) * self.resolution),
            round((self.top - y) * self.resolution),
        )
        thickness = max(1, round(scale * 2))
        cv2.putText(
            self.color,
            words,
            position,
            cv2.FONT_HERSHEY_DUPLEX,
            scale,
            color,
            thickness,
            cv2.LINE_AA,
        )


def shade(color: Color, factor: float) -> Color:
    """Scales the brightness of a colour; a factor above 1 lightens it."""
    return tuple(int(np.clip(channel * factor, 0, 255)) for channel in color)


def ellipse_points(
    x: float,
    y: float,
    radius_x: float,
    radius_y: float,
    start: float = 0.0,
    end: float = 360.0,
) -> np.ndarray:
    """Points (33, 2) on an elliptic arc, in degrees anticlockwise from +x."""
    angles = np.radians(np.linspace(start, end, 33))
    return np.column_stack(
        [x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)]
    )


# Width and height in metres of the blocks of a wall pattern.
BLOCKS = {"ashlar": (1.1, 0.5), "brick": (0.5, 0.17), "panel": (3.0, 1.7)}


@dataclass(frozen=True, eq=False)
class Surface:
    """Flat wall with relief, ready to be lit.

    Attributes:
        albedo: (rows, columns, 3) uint8 sRGB.
        relief: (rows, columns) uint8; RELIEF_ZERO is the plane of the wall,
            RELIEF_PER_METRE the unit.
        openness: (rows, columns) uint8; 255 where the whole sky is visible.
        coverage: (rows, columns) uint8; 0 outside the silhouette.
        panes: (rows, columns) uint8; 0, or the number of a window.
        pixels_per_metre: resolution.
        left, top: plane coordinates of the image's upper left corner in metres.
    """

    albedo: np.ndarray
    relief: np.ndarray
    openness: np.ndarray
    coverage: np.ndarray
    panes: np.ndarray
    pixels_per_metre: float
    left: float
    top: float

    @cached_property
    def half(self) -> "Surface":
        """This surface at half the resolution."""
        rows, columns = self.relief.shape
        size = (max(columns // 2, 1), max(rows // 2, 1))

        def smaller(image: np.ndarray) -> np.ndarray:
            return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

        return Surface(
            smaller(self.albedo),
            smaller(self.relief),
            smaller(self.openness),
            smaller(self.coverage),
            cv2.resize(self.panes, size, interpolation=cv2.INTER_NEAREST),
            self.pixels_per_metre * size[0] / columns,
            self.left,
            self.top,
        )

    def at_resolution(self, pixels_per_metre: float) -> "Surface":
        """Smallest copy that has at least about the given resolution."""
        surface = self
        while (
            surface.pixels_per_metre > 1.6 * pixels_per_metre
            and min(surface.relief.shape) > 16
        ):
            surface = surface.half
        return surface

    @property
    def corners(self) -> np.ndarray:
        """(4, 2) corners of the image in metres on the plane."""
        width = self.relief.shape[1] / self.pixels_per_metre
        height = self.relief.shape[0] / self.pixels_per_metre
        steps = np.array([(0, 0), (width, 0), (width, -height), (0, -height)])
        return steps + (self.left, self.top)

    def to_plane(self) -> np.ndarray:
        """(3, 3) map from continuous pixels to metres on the plane."""
        step = 1 / self.pixels_per_metre
        return np.array([[step, 0, self.left], [0, -step, self.top], [0, 0, 1]])


def finish(drawing: WallDrawing, pattern: str, weathering: float) -> Surface:
    """Adds grain and weathering to a drawing and reduces it to its resolution.

    Args:
        drawing: the finished drawing.
        pattern: wall pattern; see `building_styles.Style`.
        weathering: amount of dirt in [0, 1].
    """
    rows, columns = drawing.data.shape[:2]
    size = (columns // SUPERSAMPLING, rows // SUPERSAMPLING)

    def reduced(image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    relief, material, panes = cv2.split(drawing.data)
    material = material[1::SUPERSAMPLING, 1::SUPERSAMPLING]
    panes = panes[1::SUPERSAMPLING, 1::SUPERSAMPLING]
    coverage = reduced(
        np.where(drawing.data[..., 1] > NOTHING, 255, 0).astype(np.uint8)
    )
    relief = reduced(relief)
    scale = drawing.resolution / SUPERSAMPLING
    tone = _grain(drawing.rng, material, scale, pattern)
    tone *= _dirt(drawing.rng, material.shape, scale, weathering)
    tone = np.where(material == GLASS, 1.0, tone).astype(np.float32)
    drawn = reduced(drawing.color)
    tinted = drawn * tone[..., None]
    albedo = np.clip(tinted, 0, 255).astype(np.uint8)
    return Surface(
        albedo,
        relief,
        _openness(relief, scale),
        coverage,
        panes,
        scale,
        drawing.left,
        drawing.top,
    )


def _grain(
    rng: np.random.Generator, material: np.ndarray, scale: float, pattern: str
) -> np.ndarray:
    """Brightness factors of the texture of each material."""
    fine = noise_field(rng, material.shape, 1.0, 0.5) * 0.035
    coarse = noise_field(rng, material.shape, 4.0 / scale * 6, 1.2) * 0.05
    tone = 1 + fine + coarse
    if pattern in BLOCKS:
        stones = _blocks(rng, material.shape, scale, *BLOCKS[pattern])
        tone = np.where(material == WALL, tone * stones, tone)
    tiles = _blocks(rng, material.shape, scale, 0.7, 0.42)
    return np.where(material == ROOF, tone * tiles, tone)


def _blocks(
    rng: np.random.Generator,
    shape: tuple[int, int],
    scale: float,
    width: float,
    height: float,
) -> np.ndarray:
    """Courses of blocks, each of its own tone, with joints between them."""
    height = max(height, 3.2 / scale)
    width = max(width, 5.0 / scale)
    y = np.arange(shape[0], dtype=np.float32) / (scale * height)
    course = y.astype(np.int32)
    shift = rng.uniform(0, 1, 64)[course % 64].astype(np.float32)
    x = np.arange(shape[1], dtype=np.float32)[None] / (scale * width)
    x = x + shift[:, None]
    stone = x.astype(np.int32)
    table = rng.normal(1.0, 0.06, (64, 64)).astype(np.float32)
    tones = table[(course % 64)[:, None], stone % 64]
    joint = 1.1 / scale
    gap = (x - stone < joint / width) | ((y - course < joint / height)[:, None])
    return np.where(gap, np.float32(0.8), tones)


def _dirt(
    rng: np.random.Generator,
    shape: tuple[int, int],
    scale: float,
    weathering: float,
) -> np.ndarray:
    """Brightness factors: vertical streaks, patches, splashes at the ground."""
    streaks = noise_field(rng, shape, (30 / scale, 2.5 / scale), 1.0)
    patches = noise_field(rng, shape, 8 / scale, 1.3)
    height = np.arange(shape[0], 0, -1, dtype=np.float32)[:, None] / scale
    splash = 0.35 * np.exp(-height / 1.2)
    amount = 0.09 * np.clip(streaks, -0.5, 2) + 0.07 * np.clip(patches, -1, 2)
    return 1 - weathering * (amount + splash)


def _openness(relief: np.ndarray, scale: float) -> np.ndarray:
    """Visible share of the sky; below 255 in recesses and corners."""
    heights = relief.astype(np.float32)
    hidden = np.zeros_like(heights)
    for radius in (0.35, 1.2):
        around = cv2.blur(heights, (2 * int(radius * scale) + 1,) * 2)
        hidden += np.clip(around - heights, 0, None)
    share = 1 / (1 + 1.6 * hidden / RELIEF_PER_METRE)
    return np.clip(255 * share, 0, 255).astype(np.uint8)


def relief_metres(surface: Surface) -> np.ndarray:
    """Relief of each pixel in metres, float32."""
    return (surface.relief.astype(np.float32) - RELIEF_ZERO) * np.float32(
        1 / RELIEF_PER_METRE
    )
