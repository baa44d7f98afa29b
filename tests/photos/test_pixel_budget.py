"""Threads hold no more pixels at once than the budget."""

import concurrent.futures
import threading

import pytest

from agem_tf.photos.pixel_budget import PixelBudget


def test_pixels_at_once_are_bounded():
    budget, lock = PixelBudget(10), threading.Lock()
    held, peak = 0, 0

    def decode(pixels):
        nonlocal held, peak
        with budget.held(pixels):
            with lock:
                held += min(pixels, 10)
                peak = max(peak, held)
            with lock:
                held -= min(pixels, 10)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, [1, 3, 6, 10, 30] * 40))
    assert 0 < peak <= 10
    assert held == 0


def test_an_error_frees_the_pixels():
    budget = PixelBudget(10)
    for _ in range(3):
        with pytest.raises(KeyError), budget.held(10):
            raise KeyError
    with budget.held(10):
        pass
