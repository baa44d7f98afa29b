"""Development of light into a photo."""

import dataclasses

import numpy as np

from agem_tf.rendered_landmarks.photometry import Development, develop

PLAIN = Development(
    exposure=0.0,
    balance=np.ones(3),
    contrast=1.0,
    saturation=1.0,
    vignette=0.0,
    noise=0.0,
    defocus=0.0,
    motion=(0.0, 0.0),
)


def _scene() -> np.ndarray:
    rng = np.random.default_rng(3)
    frame = rng.uniform(0.05, 0.6, (6, 8, 3)).astype(np.float32)
    return frame.repeat(12, axis=0).repeat(12, axis=1)


def _develop(bias: float = 0.0, **changes) -> np.ndarray:
    development = dataclasses.replace(PLAIN, **changes)
    rng = np.random.default_rng(0)
    return develop(_scene(), development, bias, rng).astype(float)


def test_automatic_exposure_brightens_a_dark_scene():
    bright = develop(_scene(), PLAIN, 0.0, np.random.default_rng(0))
    dark = develop(_scene() / 8, PLAIN, 0.0, np.random.default_rng(0))
    assert abs(bright.mean() - dark.mean()) < 6


def test_less_exposure_and_a_negative_bias_darken():
    assert _develop(exposure=-1.0).mean() < _develop().mean() - 20
    assert _develop(bias=-1.0).mean() < _develop().mean() - 20


def test_a_warm_white_balance_is_redder():
    plain, warm = _develop(), _develop(balance=np.array([1.2, 1.0, 0.8]))
    assert warm[..., 0].mean() > plain[..., 0].mean() + 3
    assert warm[..., 2].mean() < plain[..., 2].mean() - 3


def test_zero_saturation_is_grey():
    grey = _develop(saturation=0.0)
    assert np.ptp(grey, axis=2).max() <= 1


def test_a_vignette_darkens_corners_only():
    ratio = _develop(vignette=0.4) / _develop()
    assert ratio[:4, :4].mean() < 0.93 * ratio[30:42, 42:54].mean()


def test_blur_removes_detail_and_noise_adds_it():
    def detail(image: np.ndarray) -> float:
        return float(np.square(np.diff(image, axis=1)).mean())

    assert detail(_develop(defocus=0.03)) < 0.9 * detail(_develop())
    moved = _develop(motion=(0.08, 0.0))
    assert detail(moved) < 0.9 * detail(_develop())
    assert detail(_develop(noise=0.02)) > 1.2 * detail(_develop())
