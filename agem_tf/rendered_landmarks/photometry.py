"""From light to a photograph: exposure, lens, sensor and development."""

from dataclasses import dataclass

import cv2
import numpy as np

from agem_tf.rendered_landmarks.settings import SceneSettings

MIDDLE_GREY = 0.22
TONE_STEPS = 4096
AVERAGE = np.full((1, 3), 1 / 3)
"""Weights of red, green and blue in the brightness."""


@dataclass(frozen=True, eq=False)
class Development:
    """What camera and photographer do to the light.

    Attributes:
      exposure: stops above or below the automatic exposure.
      balance: (3,) factors of red, green and blue.
      contrast: slope of the tone curve at middle grey, about 1.
      saturation: 1 leaves colours as they are.
      vignette: share of light lost in the corners.
      noise: deviation of the sensor's noise in [0, 1].
      defocus: deviation of the blur as a share of the image's longer side.
      motion: (x, y) length of the shake as a share of the longer side.
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
    """Draws the development of one photograph."""
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
    """Develops linear light into an sRGB picture.

    Args:
      frame: (height, width, 3) float32 linear RGB; it is overwritten.
      development: of the photograph.
      bias: stops that the scene asks for, negative at night.
      rng: of the noise.

    Returns:
      (height, width, 3) uint8.
    """
    frame = _lens(frame, development)
    frame *= _gain(frame, development, bias)
    frame = _saturate(frame, development.saturation)
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
    """Glow round bright light, blur and vignette."""
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
    """A line as a filter kernel."""
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
    """Factors of the three channels that set exposure and white balance."""
    luminance = cv2.transform(frame[::4, ::4], AVERAGE)
    mean = np.exp(np.mean(np.log(luminance + 1e-3)))
    stops = bias + development.exposure
    gain = MIDDLE_GREY / mean * 2.0**stops
    return (gain * development.balance).astype(np.float32)


def _saturate(frame: np.ndarray, saturation: float) -> np.ndarray:
    """Moves colours away from grey, or towards it below 1."""
    mix = saturation * np.eye(3) + (1 - saturation) * AVERAGE
    return np.clip(cv2.transform(frame, mix), 0, None)


def _tone(frame: np.ndarray, contrast: float) -> np.ndarray:
    """A film-like curve, as float32 in [0, 255]."""
    light = np.linspace(0, 4, TONE_STEPS)
    scaled = MIDDLE_GREY * (light / MIDDLE_GREY) ** contrast
    curve = scaled * (1 + scaled / 6.0) / (1 + scaled * 0.62)
    table = 255 * np.clip(curve * 1.12, 0, 1) ** (1 / 2.2)
    index = np.clip(frame * ((TONE_STEPS - 1) / 4), 0, TONE_STEPS - 1)
    return table.astype(np.float32)[index.astype(np.int32)]
