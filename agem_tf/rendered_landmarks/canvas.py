"""A drawing board in metres that holds colour, relief and material at once.

Facades are drawn as flat shapes that each stand out from the wall by some
centimetres; the light of a photograph then falls on that relief, which is what
makes a drawn window look like a window.
"""

import cv2
import numpy as np

Color = tuple[int, int, int]

NOTHING, WALL, PLAIN, GLASS, ROOF = range(5)
SUPERSAMPLING = 2
RELIEF_ZERO = 100
RELIEF_PER_METRE = 100.0
SUBPIXEL_BITS = 4


class Canvas:
    """An image whose shapes are given in metres, y up from the ground.

    Args:
      left, right, top: the extent in metres; the bottom is the ground, y = 0.
      pixels_per_metre: resolution of the finished surface.
    """

    def __init__(
        self, left: float, right: float, top: float, pixels_per_metre: float
    ):
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
          relief: how far it stands out of the wall in metres, in [-1, 1.5].
          material: one of the module's material constants.
          pane: for glass the window's number in [1, 255], which decides
            whether a lamp burns behind it.
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
        """Fills the rectangle with the lower left corner (x, y)."""
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
        """Draws a half cylinder that stands out most along its middle."""
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
        """Writes words; (x, y) is the left end of the baseline."""
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
    """A lighter (factor above 1) or darker tone of a colour."""
    return tuple(int(np.clip(channel * factor, 0, 255)) for channel in color)


def ellipse_points(
    x: float,
    y: float,
    radius_x: float,
    radius_y: float,
    start: float = 0.0,
    end: float = 360.0,
) -> np.ndarray:
    """Points (33, 2) on an ellipse's arc, anticlockwise, degrees from +x."""
    angles = np.radians(np.linspace(start, end, 33))
    return np.column_stack(
        [x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)]
    )
