"""All photos of several landmarks, rendered in parallel on all cores."""

import concurrent.futures
import functools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence

import cv2

from agem_tf.rendered_landmarks.building import make_landmark
from agem_tf.rendered_landmarks.photo import View, render
from agem_tf.rendered_landmarks.scene_settings import SceneSettings

_JPEG_QUALITY = 90

Album = list[tuple[bytes, View]]


def render_album(
    seed: int, count: int, size: int, settings: SceneSettings, index: int
) -> Album:
    """Renders the first photos of one landmark.

    Args:
        seed: seed of the dataset.
        count: number of photos.
        size: longer side of each photo in pixels.
        settings: distribution of viewpoint, light, clutter and image quality.
        index: index of the landmark in the dataset.

    Returns:
        (JPEG file, view) of each photo.
    """
    landmark = make_landmark(seed, index)
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    album = []
    for number in range(count):
        photo = render(landmark, number, size, settings)
        encoded = cv2.imencode(".jpg", photo.image[..., ::-1], options)[1]
        album.append((encoded.tobytes(), photo.view))
    return album


def render_albums(
    seed: int,
    indices: Sequence[int],
    count: int,
    size: int,
    settings: SceneSettings,
    initializer: Callable[[], None] | None = None,
) -> Iterator[Album]:
    """Yields the album of each landmark, in order.

    Landmarks are distributed over worker processes. The photos do not depend
    on the number of processes.

    Args:
        seed: seed of the dataset.
        indices: indices of the landmarks in the dataset.
        count: number of photos per landmark.
        size: longer side of each photo in pixels.
        settings: distribution of viewpoint, light, clutter and image quality.
        initializer: called once in every worker process, if given.
    """
    # Spawned: a fork of a process that runs TensorFlow can deadlock.
    with concurrent.futures.ProcessPoolExecutor(
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(initializer,),
    ) as pool:
        task = functools.partial(render_album, seed, count, size, settings)
        yield from pool.map(task, indices)


def _start_worker(initializer: Callable[[], None] | None) -> None:
    # One process per core is enough; OpenCV's threads would compete.
    cv2.setNumThreads(1)
    if initializer is not None:
        initializer()
