"""All photographs of some landmarks, rendered by every core of the machine."""

import concurrent.futures
import functools
import multiprocessing
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from agem_tf.datasets.runners import end_with_parent
from agem_tf.rendered_landmarks.building import make_landmark
from agem_tf.rendered_landmarks.photo import View, render

_JPEG_QUALITY = 90

Album = list[tuple[bytes, View]]


def render_album(seed: int, count: int, size: int, index: int) -> Album:
    """Takes the first photographs of one landmark.

    Args:
        seed: of the dataset.
        count: photographs.
        size: pixels of the longer side.
        index: of the landmark.

    Returns:
        (JPEG file, view) of each.
    """
    landmark = make_landmark(seed, index)
    photos = [render(landmark, number, size) for number in range(count)]
    return [(_encode(photo.image), photo.view) for photo in photos]


def render_albums(
    seed: int, indices: Sequence[int], count: int, size: int
) -> Iterator[Album]:
    """Yields the album of each landmark, in order.

    Landmarks are spread over processes; what they give does not depend on how
    many there are.
    """
    # Spawned, for a fork of a process that runs TensorFlow can deadlock.
    with concurrent.futures.ProcessPoolExecutor(
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
    ) as pool:
        task = functools.partial(render_album, seed, count, size)
        yield from pool.map(task, indices)


def _start() -> None:
    end_with_parent()
    cv2.setNumThreads(1)


def _encode(image: np.ndarray) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    return cv2.imencode(".jpg", image[..., ::-1], options)[1].tobytes()
