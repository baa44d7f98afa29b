"""Decodes photos to the network's input inside the TensorFlow graph.

Training, extraction, indexing, queries and the exported model call these
functions, so that a photo gives the same pixels everywhere. The number of
pixels is read from the header and bounded before anything is decoded.
"""

import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.photos import limits
from agem_tf.photos.augmentation import Augmentation
from agem_tf.photos.encoded_bytes import count_scans, most_scans
from agem_tf.photos.exif_orientation import exif_orientation, turned_upright
from agem_tf.photos.png_decoding import decode_seen_png

# Networks of stride 32 that pool without padding, such as VGG, fail below it.
MIN_SIDE = 32
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER_BYTES = 24


def photo_on_canvas(
    encoded: tf.Tensor,
    config: ImageConfig,
    box: tf.Tensor | None = None,
    canvas: tuple[int, int] | None = None,
    upright: bool = False,
    augmentation: Augmentation | None = None,
    seed: tf.Tensor | None = None,
) -> dict[str, tf.Tensor]:
    """Decodes, crops, resizes and pads a photo as a recipe says.

    Args:
        encoded: scalar string, a JPEG or PNG.
        config: target size and interpolation.
        box: (4,) float x1, y1, x2, y2 in pixels of the photo, cut out at full
            resolution. The box is scaled as the whole photo would be, as in the
            reference implementation of GeM.
        canvas: height and width to pad to; by default a square of
            `config.size`.
        upright: see `decode_photo`.
        augmentation: random changes of a training photo; its shape stays.
        seed: (2,) integers that determine these changes.

    Returns:
        {"image": (*canvas, 3) uint8, "valid": (2,) int32 height and width of
        the part that is not padding}.

    Raises:
        tf.errors.InvalidArgumentError: see `decode_photo`.
    """
    photo = decode_photo(encoded, upright)
    size = tf.cast(config.size, tf.float32)
    if box is not None:
        longer_side = _longer_side(photo)
        halved = tf.reduce_prod(encoded_shape(encoded)) > limits.MAX_PIXELS
        photo = crop(photo, tf.where(halved, box / 2, box))
        size *= _longer_side(photo) / longer_side
    sides = (config.size, config.size)
    if config.resize == "aspect":
        sides = _aspect_sides(photo, size, config.enlarge)
    if augmentation:
        crop_seed, change_seed = tf.unstack(tf.random.split(seed, 2))
        photo = augmentation.crop(photo, crop_seed)
    photo = _resample(photo, sides, config.interpolation)
    if augmentation:
        photo = augmentation.change(photo, change_seed)
    canvas = canvas or (config.size, config.size)
    return {"image": pad(photo, canvas), "valid": tf.shape(photo)[:2]}


def decode_photo(encoded: tf.Tensor, upright: bool = False) -> tf.Tensor:
    """Decodes a JPEG or PNG photo.

    A JPEG of more than `limits.MAX_PIXELS` is decoded at half its sides.

    Args:
        encoded: scalar string.
        upright: whether to apply the EXIF orientation, and to decode a PNG as
            `decode_seen_png` does. The photos that `photos.encoding` gives are
            so already, and those of public benchmarks keep the orientation in
            which they were annotated.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        tf.errors.InvalidArgumentError: the photo has another format, is broken
            or has more pixels than `limits` allows, which a PNG of a few
            hundred bytes can state.
    """
    is_jpeg = tf.io.is_jpeg(encoded)
    shape = encoded_shape(encoded)
    pixels = tf.reduce_prod(shape)
    most = tf.where(is_jpeg, limits.MAX_JPEG_PIXELS, limits.MAX_PIXELS)
    with tf.control_dependencies(
        [
            tf.debugging.Assert(
                pixels <= tf.cast(most, tf.int64), ["too many pixels", shape]
            )
        ]
    ):
        image = tf.cond(
            is_jpeg,
            lambda: tf.cond(
                pixels > limits.MAX_PIXELS,
                lambda: _decode_jpeg(encoded, 2),
                lambda: _decode_jpeg(encoded, 1),
            ),
            lambda: (
                decode_seen_png(encoded)
                if upright
                else tf.io.decode_png(encoded, channels=3)
            ),
        )
    if upright:
        image = turned_upright(image, exif_orientation(encoded))
    return tf.ensure_shape(image, (None, None, 3))


def checked_photo(
    encoded: tf.Tensor, stated: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns the bytes of an unchecked photo, if they may be decoded.

    `photos.reading` and `photos.screening` check those of files and requests.

    Args:
        encoded: scalar string.
        stated: (2,) int64 height and width that it must have, if any.

    Raises:
        tf.errors.InvalidArgumentError: a JPEG has more scans than `limits`
            allows, which 300 kB can hold, the photo has other sides than
            those stated, or see `encoded_shape`.
    """
    shape = encoded_shape(encoded)
    has_few = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: count_scans(encoded) <= most_scans(tf.reduce_prod(shape)),
        lambda: tf.constant(True),
    )
    checks = [tf.debugging.Assert(has_few, ["too many scans", shape])]
    if stated is not None:
        fits = tf.reduce_all(shape == stated)
        checks.append(tf.debugging.Assert(fits, ["other sides", shape]))
    with tf.control_dependencies(checks):
        return tf.identity(encoded)


def is_supported(encoded: tf.Tensor) -> tf.Tensor:
    """Returns whether the bytes start as a JPEG or PNG does."""
    is_png = tf.strings.substr(encoded, 0, 8) == _PNG_SIGNATURE
    return tf.io.is_jpeg(encoded) | is_png


def encoded_shape(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the (2,) int64 height and width that a header states.

    Raises:
        tf.errors.InvalidArgumentError: the photo has another format, or its
            header is broken.
    """
    with tf.control_dependencies(
        [
            tf.debugging.Assert(
                is_supported(encoded), ["not a JPEG or PNG photo"]
            )
        ]
    ):
        shape = tf.cond(
            tf.io.is_jpeg(encoded),
            lambda: tf.cast(tf.io.extract_jpeg_shape(encoded)[:2], tf.int64),
            lambda: _png_shape(encoded),
        )
    return tf.ensure_shape(shape, (2,))


def upright_shape(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the (2,) int64 height and width of the upright photo.

    Raises:
        tf.errors.InvalidArgumentError: see `encoded_shape`.
    """
    shape = encoded_shape(encoded)
    return tf.where(exif_orientation(encoded) < 5, shape, shape[::-1])


def crop(image: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """Cuts out a box, clipped to the photo.

    Args:
        image: (height, width, 3).
        box: (4,) float x1, y1, x2, y2 in pixels; all zeros means the whole
            photo.

    Returns:
        (box height, box width, 3), at least one pixel per side.
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    whole = tf.stack([0, 0, width, height])
    corners = tf.where(
        tf.reduce_any(box != 0), tf.cast(tf.round(box), tf.int32), whole
    )
    left = tf.clip_by_value(corners[0], 0, width - 1)
    top = tf.clip_by_value(corners[1], 0, height - 1)
    right = tf.clip_by_value(corners[2], left + 1, width)
    bottom = tf.clip_by_value(corners[3], top + 1, height)
    return image[top:bottom, left:right]


def resize_aspect(
    image: tf.Tensor,
    size: tf.Tensor | int,
    enlarge: bool,
    interpolation: str = "bicubic",
) -> tf.Tensor:
    """Scales a photo so that its longer side is at most `size` pixels.

    No side becomes shorter than `MIN_SIDE`; a thinner or smaller photo is
    stretched to it and loses its proportions.

    Args:
        image: (height, width, 3) uint8.
        size: scalar int or float, pixels of the longer side, at least
            `MIN_SIDE`.
        enlarge: whether to scale a smaller photo up to `size`.
        interpolation: see `ImageConfig`.

    Returns:
        (new height, new width, 3) uint8.
    """
    return _resample(image, _aspect_sides(image, size, enlarge), interpolation)


def pad(image: tf.Tensor, canvas: tuple[int, int]) -> tf.Tensor:
    """Pads a photo to (*canvas, 3) with zeros below and to the right."""
    missing = tf.constant(canvas) - tf.shape(image)[:2]
    padded = tf.pad(image, [[0, missing[0]], [0, missing[1]], [0, 0]])
    return tf.ensure_shape(padded, (*canvas, 3))


def _decode_jpeg(encoded: tf.Tensor, ratio: int) -> tf.Tensor:
    # The decoder's default inverse DCT differs from libjpeg's accurate one
    # by up to 6 grey levels, and varies between platforms.
    return tf.io.decode_jpeg(
        encoded, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE"
    )


def _aspect_sides(
    image: tf.Tensor, size: tf.Tensor | int, enlarge: bool
) -> tf.Tensor:
    sides = tf.cast(tf.shape(image)[:2], tf.float32)
    factor = tf.cast(size, tf.float32) / _longer_side(image)
    if not enlarge:
        factor = tf.minimum(factor, 1.0)
    return tf.maximum(tf.cast(tf.round(sides * factor), tf.int32), MIN_SIDE)


def _longer_side(image: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.reduce_max(tf.shape(image)[:2]), tf.float32)


def _resample(
    image: tf.Tensor, sides: tf.Tensor | tuple[int, int], interpolation: str
) -> tf.Tensor:
    # TensorFlow's bicubic kernel equals Pillow's with antialias=True alone.
    resized = tf.image.resize(image, sides, interpolation, antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def _png_shape(encoded: tf.Tensor) -> tf.Tensor:
    header = tf.strings.substr(encoded, 0, _PNG_HEADER_BYTES)
    values = tf.io.decode_raw(header, tf.uint8)[16:_PNG_HEADER_BYTES]
    weights = tf.constant([1 << 24, 1 << 16, 1 << 8, 1], tf.int64)
    sides = tf.reshape(tf.cast(values, tf.int64), (2, 4)) * weights
    width, height = tf.unstack(tf.reduce_sum(sides, axis=1))
    return tf.stack([height, width])
