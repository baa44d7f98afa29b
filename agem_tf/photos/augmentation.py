"""Random changes of training photos, as functions of a seed.

The same seed gives the same photo on any device, so that an interrupted epoch
resumes with equal photos and several replicas see those of one.
"""

import tensorflow as tf

from agem_tf.config import AugmentationConfig

_BLUR_RADIUS = 4
_BLUR_SIGMA = (0.3, 1.5)
_ERASED_SHARE = (0.02, 0.2)
_HUE_TURN = 0.1


class Augmentation:
    """The recipe's random changes of one photo.

    Args:
        config: Kinds and strengths of the changes.
    """

    def __init__(self, config: AugmentationConfig):
        self._config = config

    def crop(self, photo: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Cuts a random part of the photo's proportions, before resizing.

        Args:
            photo: (height, width, 3).
            seed: (2,) integers.
        """
        share = self._config.crop
        if share == 1.0:
            return photo
        kept, where = tf.unstack(tf.random.split(seed, 2))
        side = tf.sqrt(tf.random.stateless_uniform((), kept, share, 1.0))
        whole = tf.shape(photo)[:2]
        sides = tf.cast(tf.round(side * tf.cast(whole, tf.float32)), tf.int32)
        sides = tf.maximum(sides, 1)
        position = tf.random.stateless_uniform((2,), where)
        room = tf.cast(whole - sides + 1, tf.float32)
        corner = tf.minimum(tf.cast(position * room, tf.int32), whole - sides)
        return tf.slice(
            photo, tf.concat([corner, [0]], 0), tf.concat([sides, [3]], 0)
        )

    def change(self, photo: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Mirrors, recolours, blurs, adds noise, compresses and erases.

        Args:
            photo: (height, width, 3) uint8 after resizing.
            seed: (2,) integers, other than that of `crop`.

        Returns:
            As `photo`.
        """
        config = self._config
        mirror, colour, blur, noise, jpeg, erase = tf.unstack(
            tf.random.split(seed, 6)
        )
        pixels = tf.cast(photo, tf.float32) / 255.0
        if config.flip:
            pixels = _sometimes(
                config.flip, mirror, pixels, lambda x, _: x[:, ::-1]
            )
        if config.colour:
            pixels = _recolour(pixels, config.colour, colour)
        if config.blur:
            pixels = _sometimes(config.blur, blur, pixels, _blur)
        if config.noise:
            pixels = _add_noise(pixels, config.noise / 255.0, noise)
        if config.erase:
            pixels = _sometimes(config.erase, erase, pixels, _erase)
        pixels = tf.clip_by_value(pixels, 0.0, 1.0)
        changed = tf.cast(tf.round(255.0 * pixels), tf.uint8)
        if config.jpeg_quality < 100:
            changed = tf.image.stateless_random_jpeg_quality(
                changed, config.jpeg_quality, 100, jpeg
            )
        return tf.ensure_shape(changed, photo.shape)


def _sometimes(probability, seed, pixels, change):
    """Applies `change(pixels, seed)` with a probability."""
    decision, rest = tf.unstack(tf.random.split(seed, 2))
    return tf.cond(
        tf.random.stateless_uniform((), decision) < probability,
        lambda: change(pixels, rest),
        lambda: pixels,
    )


def _recolour(pixels, strength, seed):
    """Changes brightness, contrast, saturation and hue."""
    seeds = tf.unstack(tf.random.split(seed, 4))
    low, high = 1.0 - 0.8 * strength, 1.0 + 0.8 * strength
    factor = tf.random.stateless_uniform((), seeds[0], low, high)
    pixels = tf.clip_by_value(pixels * factor, 0.0, 1.0)
    pixels = tf.image.stateless_random_contrast(pixels, low, high, seeds[1])
    pixels = tf.image.stateless_random_saturation(
        tf.clip_by_value(pixels, 0.0, 1.0), low, high, seeds[2]
    )
    return tf.image.stateless_random_hue(
        tf.clip_by_value(pixels, 0.0, 1.0), _HUE_TURN * strength, seeds[3]
    )


def _blur(pixels, seed):
    """Blurs with a Gaussian of random deviation; edges are repeated."""
    sigma = tf.random.stateless_uniform((), seed, *_BLUR_SIGMA)
    offsets = tf.range(-_BLUR_RADIUS, _BLUR_RADIUS + 1, dtype=tf.float32)
    weights = tf.nn.softmax(-0.5 * (offsets / sigma) ** 2)
    kernel = tf.tile(
        weights[:, tf.newaxis, tf.newaxis, tf.newaxis], (1, 1, 3, 1)
    )
    margin = [[_BLUR_RADIUS] * 2, [_BLUR_RADIUS] * 2, [0, 0]]
    padded = tf.pad(pixels, margin, "SYMMETRIC")[tf.newaxis]
    for each in (kernel, tf.transpose(kernel, (1, 0, 2, 3))):
        padded = tf.nn.depthwise_conv2d(padded, each, (1, 1, 1, 1), "VALID")
    return padded[0]


def _add_noise(pixels, largest, seed):
    """Adds Gaussian noise of a random deviation up to `largest`."""
    strength, values = tf.unstack(tf.random.split(seed, 2))
    deviation = tf.random.stateless_uniform((), strength, 0.0, largest)
    return pixels + deviation * tf.random.stateless_normal(
        tf.shape(pixels), values
    )


def _erase(pixels, seed):
    """Fills a random rectangle of the photo's proportions with its mean."""
    size, where = tf.unstack(tf.random.split(seed, 2))
    side = tf.sqrt(tf.random.stateless_uniform((), size, *_ERASED_SHARE))
    start = tf.random.stateless_uniform((2,), where) * (1.0 - side)
    inside = tf.ones((), tf.bool)
    for axis in range(2):
        count = tf.shape(pixels)[axis]
        place = (tf.range(count, dtype=tf.float32) + 0.5) / tf.cast(
            count, tf.float32
        )
        within = (place >= start[axis]) & (place < start[axis] + side)
        inside &= tf.reshape(within, [-1, 1] if axis == 0 else [1, -1])
    mean = tf.reduce_mean(pixels, (0, 1))
    return tf.where(inside[..., tf.newaxis], mean, pixels)
