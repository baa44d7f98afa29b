"""Lighting conditions: sun, sky, haze and lamps at several hours and weathers.

Light is linear, in units in which white paper in the noon sun is about 1. The
exposure of the photo is applied later, by `photometry`.
"""

from dataclasses import dataclass

import numpy as np

from agem_tf.rendered_landmarks.scene_settings import SceneSettings

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Condition:
    """Lighting condition, from which the light of a photo is sampled.

    Attributes:
        sun: colour and strength of the sun, linear RGB.
        ambient: light from the whole sky, linear RGB.
        zenith, horizon: colours of the sky.
        cloud: colour of clouds.
        elevation: range of the sun's elevation in degrees.
        cloudiness: range of the share of the sky under cloud, in [0, 1].
        haze: range of the optical depth of 100 m of air.
        lamps: strength of lamps and lit windows.
        exposure: stops above or below a mean brightness of middle grey.
    """

    sun: Rgb
    ambient: Rgb
    zenith: Rgb
    horizon: Rgb
    cloud: Rgb
    elevation: tuple[float, float]
    cloudiness: tuple[float, float]
    haze: tuple[float, float]
    lamps: float
    exposure: float


CONDITIONS: dict[str, Condition] = {
    "noon": Condition(
        sun=(1.4, 1.31, 1.16),
        ambient=(0.26, 0.31, 0.4),
        zenith=(0.1, 0.24, 0.58),
        horizon=(0.5, 0.64, 0.82),
        cloud=(0.95, 0.95, 0.96),
        elevation=(32.0, 62.0),
        cloudiness=(0.05, 0.6),
        haze=(0.02, 0.1),
        lamps=0.0,
        exposure=0.1,
    ),
    "golden": Condition(
        sun=(1.25, 0.77, 0.37),
        ambient=(0.2, 0.2, 0.26),
        zenith=(0.14, 0.24, 0.46),
        horizon=(0.86, 0.6, 0.36),
        cloud=(0.96, 0.66, 0.46),
        elevation=(8.0, 22.0),
        cloudiness=(0.1, 0.6),
        haze=(0.05, 0.18),
        lamps=0.03,
        exposure=-0.1,
    ),
    "overcast": Condition(
        sun=(0.0, 0.0, 0.0),
        ambient=(0.5, 0.53, 0.57),
        zenith=(0.46, 0.5, 0.56),
        horizon=(0.74, 0.76, 0.78),
        cloud=(0.62, 0.65, 0.69),
        elevation=(40.0, 60.0),
        cloudiness=(0.75, 1.0),
        haze=(0.06, 0.2),
        lamps=0.01,
        exposure=0.0,
    ),
    "haze": Condition(
        sun=(0.22, 0.2, 0.17),
        ambient=(0.42, 0.44, 0.46),
        zenith=(0.56, 0.6, 0.64),
        horizon=(0.74, 0.74, 0.73),
        cloud=(0.74, 0.75, 0.75),
        elevation=(20.0, 45.0),
        cloudiness=(0.3, 0.7),
        haze=(0.2, 0.6),
        lamps=0.02,
        exposure=0.25,
    ),
    "dusk": Condition(
        sun=(0.03, 0.015, 0.015),
        ambient=(0.09, 0.1, 0.16),
        zenith=(0.05, 0.08, 0.2),
        horizon=(0.42, 0.26, 0.26),
        cloud=(0.24, 0.16, 0.2),
        elevation=(3.0, 8.0),
        cloudiness=(0.1, 0.7),
        haze=(0.05, 0.2),
        lamps=0.3,
        exposure=-0.5,
    ),
    "night": Condition(
        sun=(0.0, 0.0, 0.0),
        ambient=(0.018, 0.02, 0.03),
        zenith=(0.004, 0.006, 0.014),
        horizon=(0.03, 0.026, 0.03),
        cloud=(0.022, 0.02, 0.024),
        elevation=(40.0, 60.0),
        cloudiness=(0.0, 0.8),
        haze=(0.04, 0.15),
        lamps=0.5,
        exposure=-1.0,
    ),
}

# Darkness of each condition, from broad daylight (0) to night (1).
DARKNESS = {
    "noon": 0.0,
    "golden": 0.35,
    "overcast": 0.25,
    "haze": 0.45,
    "dusk": 0.75,
    "night": 1.0,
}


@dataclass(frozen=True, eq=False)
class Light:
    """Light of one photo.

    Attributes:
        name: name of the condition.
        condition: the condition.
        direction: (3,) unit vector to the sun in world axes.
        cloudiness: share of the sky under cloud, in [0, 1].
        haze: optical depth of 100 m of air.
        floodlight: linear RGB strength of lamps at the foot of the facade.
        lit_windows: share of lit windows, in [0, 1].
        cast_shadow: whether something outside the frame shades the facade.
    """

    name: str
    condition: Condition
    direction: np.ndarray
    cloudiness: float
    haze: float
    floodlight: np.ndarray
    lit_windows: float
    cast_shadow: bool


def draw_light(rng: np.random.Generator, settings: SceneSettings) -> Light:
    """Samples the light of one photo."""
    names, shares = zip(*settings.light_shares, strict=True)
    shares = np.array(shares) / np.sum(shares)
    name = names[int(rng.choice(len(names), p=shares))]
    condition = CONDITIONS[name]
    elevation = np.radians(rng.uniform(*condition.elevation))
    azimuth = np.radians(rng.normal(0, 65))
    direction = np.array(
        [
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
            np.cos(elevation) * np.cos(azimuth),
        ]
    )
    warmth = rng.uniform(0.2, 0.7)
    flood = condition.lamps * rng.uniform(0.3, 1.2)
    return Light(
        name=name,
        condition=condition,
        direction=direction,
        cloudiness=float(rng.uniform(*condition.cloudiness)),
        haze=float(rng.uniform(*condition.haze)),
        floodlight=flood * np.array([1.0, 1 - 0.5 * warmth, 1 - warmth]),
        lit_windows=float(min(1.0, condition.lamps * rng.uniform(0.3, 1.8))),
        cast_shadow=bool(rng.random() < settings.cast_shadow_share),
    )
