"""Boxes (x1, y1, x2, y2) in pixels, x to the right and y down."""

from agem_tf.errors import UserError

Box = tuple[float, float, float, float]


def check_box(box: Box, size: tuple[int, int], path: str, remedy: str) -> None:
    """Checks that a box lies inside its photo.

    Args:
        box: x1, y1, x2, y2.
        size: Width and height of the photo.
        path: Path of the photo, for the error.
        remedy: What the user can do, which ends the error.

    Raises:
        UserError: The box is empty, or not inside the photo.
    """
    x1, y1, x2, y2 = box
    width, height = size
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise UserError(
            f"The box {box} is not inside the {width} x {height} pixels of "
            f"{path}; {remedy}."
        )
