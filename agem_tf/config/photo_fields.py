"""The fields of a recipe on photos: preprocessing and augmentation."""

import dataclasses

from agem_tf.option_fields import option

# The sides of a canvas are multiples of it, so that the "same" padding of
# strided layers is equal for every canvas.
CANVAS_MULTIPLE = 32
MINIMUM_SIZE = 32
# A canvas of this side takes 0.8 GB.
MAXIMUM_SIZE = 1 << 14
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos3")
RESIZES = ("square", "aspect")


@dataclasses.dataclass(slots=True)
class ImageConfig:
    """The preprocessing of photos."""

    size: int = option(
        128,
        "Longer side in pixels.",
        minimum=MINIMUM_SIZE,
        maximum=MAXIMUM_SIZE,
    )
    resize: str = option(
        "square",
        "square stretches every photo to size x size; aspect keeps its "
        "proportions.",
        choices=RESIZES,
    )
    enlarge: bool = option(
        False,
        "Whether aspect enlarges photos smaller than size. The GeM reference "
        "never does.",
    )
    interpolation: str = option(
        "bicubic",
        "Pillow's resampling filter. The GeM reference uses lanczos3.",
        choices=INTERPOLATIONS,
    )
    buckets: tuple[tuple[int, ...], ...] = option(
        (),
        "Canvases (height, width) that aspect pads photos to, for compilers "
        "that need static shapes, such as a TPU's. Each photo takes the "
        f"smallest that holds it; sides are multiples of {CANVAS_MULTIPLE}. "
        "Descriptors do not depend on the padding. Empty: photos of equal "
        "shape are batched together.",
    )


@dataclasses.dataclass(slots=True)
class AugmentationConfig:
    """Random changes of the photos that are trained on; by default none.

    They follow from training.seed, the epoch, the photo and the query of its
    tuple. Mining, validation and tests see the photos as they are.
    """

    crop: float = option(
        1.0,
        "Least share of the area that a random crop of the same proportions "
        "keeps; 1: no crop.",
        above=0,
        maximum=1,
    )
    flip: float = option(
        0.0, "Probability of mirroring left to right.", minimum=0, maximum=1
    )
    colour: float = option(
        0.0,
        "Strength of random changes of brightness, contrast and saturation, by "
        "at most 80%, and hue, by at most 36 degrees.",
        minimum=0,
        maximum=1,
    )
    blur: float = option(
        0.0,
        "Probability of a Gaussian blur of 0.3 to 1.5 pixels.",
        minimum=0,
        maximum=1,
    )
    noise: float = option(
        0.0,
        "Largest standard deviation of Gaussian noise, in grey levels.",
        minimum=0,
        maximum=255,
    )
    jpeg_quality: int = option(
        100,
        "Lowest quality of a random JPEG compression; 100: none.",
        minimum=1,
        maximum=100,
    )
    erase: float = option(
        0.0,
        "Probability of filling a random rectangle of 2 to 20% of the area "
        "with the mean colour.",
        minimum=0,
        maximum=1,
    )


def default_image() -> ImageConfig:
    """Returns the quickstart's photos, which keep their proportions."""
    return ImageConfig(160, "aspect")
