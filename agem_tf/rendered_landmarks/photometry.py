"""Development of light into a photo: lens, exposure, sensor, tone curve."""

from dataclasses import dataclass

import cv2
import numpy as np

from agem_tf.rendered_landmarks.scene_settings import SceneSettings

_MIDDLE_GREY = 0.22
_TONE_STEPS = 4096
# Weights of red, green and blue in the brightness, (1, 3).
_AVERAGE = np.full((1, 3), 1 / 3)


@dataclass(frozen=True, eq=False)
class Development:
    """Parameters of lens, sensor and development of one photo.

    Attributes:
        exposure: stops above or below the automatic exposure.
        balance: (3,) white-balance factors of red, green and blue.
        contrast: slope of the tone curve at middle grey, about 1.
        saturation: factor of the saturation; 1 leaves colours unchanged.
        vignette: share of the light lost in the corners.
        noise: standard deviation of the sensor noise, for intensities in [0,
            1].
        defocus: standard deviation of the blur divided by the longer side.
        motion: (x, y) motion blur divided by the longer side.
    """

    exposure: float
    balance: np.ndarray
    contrast: float
    saturation: float
    vignette: float
    noise: float
    defocus: float
    motion: tuple[float, float]


def draw_development(
    rng: np.random.Generator, settings: SceneSettings
) -> Development:
    """Samples the development of one photo."""
    warmth = rng.normal(0, settings.white_balance_deviation)
    tint = rng.normal(0, settings.white_balance_deviation / 2)
    balance = np.exp([warmth, tint, -warmth])
    blurred = rng.random() < settings.defocus_share
    shaken = rng.random() < settings.motion_blur_share
    angle, length = rng.uniform(0, np.pi), rng.uniform(0.006, 0.02)
    motion = (length * np.cos(angle), length * np.sin(angle))
    return Development(
        exposure=float(rng.normal(0, settings.exposure_deviation)),
        balance=balance,
        contrast=float(rng.uniform(1.0, 1.35)),
        saturation=float(rng.uniform(0.75, 1.25)),
        vignette=float(rng.uniform(0.0, 0.3)),
        noise=float(rng.uniform(*settings.noise_deviation)),
        defocus=float(rng.uniform(0.002, 0.006)) if blurred else 0.0,
        motion=motion if shaken else (0.0, 0.0),
    )


def develop(
    frame: np.ndarray,
    development: Development,
    bias: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Develops linear light into an sRGB photo.

    Args:
        frame: (height, width, 3) float32 linear RGB.
        development: parameters of the development.
        bias: exposure bias of the scene in stops, negative at night.
        rng: random generator of the noise.

    Returns:
        (height, width, 3) uint8.
    """
    frame = _lens(frame, development)
    frame *= _gain(frame, development, bias)
    mix = development.saturation * np.eye(3)
    mix += (1 - development.saturation) * _AVERAGE
    frame = np.clip(cv2.transform(frame, mix), 0, None)
    picture = _tone(frame, development.contrast)
    grain = rng.standard_normal(frame.shape[:2], np.float32)
    color = cv2.resize(
        rng.standard_normal(
            (frame.shape[0] // 2 + 1, frame.shape[1] // 2 + 1, 3), np.float32
        ),
        (frame.shape[1], frame.shape[0]),
    )
    deviation = np.float32(255 * development.noise)
    picture += (grain[..., None] + 0.5 * color) * deviation
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def _lens(frame: np.ndarray, development: Development) -> np.ndarray:
    """Applies glare, defocus, motion blur and vignetting."""
    longer = max(frame.shape)
    threshold = np.float32(2.2 * frame.mean() + 0.02)
    bright = np.clip(frame - threshold, 0, 4 * threshold)
    small = cv2.resize(
        bright, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA
    )
    small = cv2.GaussianBlur(small, (0, 0), 0.006 * longer)
    frame = frame + 0.22 * cv2.resize(small, frame.shape[1::-1])
    if development.defocus:
        frame = cv2.GaussianBlur(frame, (0, 0), development.defocus * longer)
    if any(development.motion):
        kernel = _streak(np.array(development.motion) * longer)
        frame = cv2.filter2D(frame, -1, kernel)
    rows = np.linspace(-1, 1, frame.shape[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, frame.shape[1], dtype=np.float32)[None]
    corner = (rows**2 + columns**2) / 2
    frame *= (1 - np.float32(development.vignette) * corner)[..., None]
    return frame


def _streak(motion: np.ndarray) -> np.ndarray:
    """Returns the filter kernel of a linear motion blur."""
    radius = int(np.ceil(np.abs(motion).max() / 2)) + 1
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    middle = np.array([radius, radius])
    ends = np.round(
        np.stack([middle - motion / 2, middle + motion / 2]) * 16
    ).astype(int)
    cv2.line(
        kernel,
        tuple(map(int, ends[0])),
        tuple(map(int, ends[1])),
        1.0,
        1,
        shift=4,
    )
    return kernel / kernel.sum()


def _gain(
    frame: np.ndarray, development: Development, bias: float
) -> np.ndarray:
    """Returns the factors of the channels for exposure and white balance."""
    luminance = cv2.transform(frame[::4, ::4], _AVERAGE)
    mean = np.exp(np.mean(np.log(luminance + 1e-3)))
    stops = bias + development.exposure
    gain = _MIDDLE_GREY / mean * 2.0**stops
    return (gain * development.balance).astype(np.float32)


def _tone(frame: np.ndarray, contrast: float) -> np.ndarray:
    """Applies a film-like tone curve; returns float32 in [0, 255]."""
    light = np.linspace(0, 4, _TONE_STEPS)
    scaled = _MIDDLE_GREY * (light / _MIDDLE_GREY) ** contrast
    curve = scaled * (1 + scaled / 6.0) / (1 + scaled * 0.62)
    table = 255 * np.clip(curve * 1.12, 0, 1) ** (1 / 2.2)
    index = np.clip(frame * ((_TONE_STEPS - 1) / 4), 0, _TONE_STEPS - 1)
    return table.astype(np.float32)[index.astype(np.int32)]
