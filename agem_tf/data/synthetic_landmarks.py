"""The embedded default dataset: rendered landmarks, made anywhere by seed."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from agem_tf.data import synthetic
from agem_tf.data.landmark_builder import Example, LandmarkBuilder
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth


class SyntheticLandmarks(LandmarkBuilder, skip_registration=True):
    """Photographs of invented buildings under strong changes.

    Viewpoint, scale, light, occlusion and clutter vary; landmarks of a split
    share styles, so that look-alikes are frequent. The first
    `queries_per_landmark` photos of a landmark (all of them for training), as
    far as they show enough of it, are queries, cropped to the building; easy,
    hard and junk follow from the known geometry. Beyond the common features a
    record has the `homography` from metres on the facade to pixels, `yaw`
    (degrees), `scale` (pixels a metre), `visible_fraction` and `light`.
    """

    def __init__(
        self,
        *,
        data_dir: str,
        train_landmarks: int = 48,
        validation_landmarks: int = 10,
        test_landmarks: int = 20,
        photos_per_landmark: int = 10,
        queries_per_landmark: int = 3,
        image_size: int = 256,
        seed: int = 0,
    ):
        """Sets the size of the dataset.

        Args:
            data_dir: where the records go.
            train_landmarks, validation_landmarks, test_landmarks: landmarks of
                each split; landmarks are numbered through, so test landmarks
                do not change with the number of photos.
            photos_per_landmark: at least 2.
            queries_per_landmark: at most that many queries of a landmark.
            image_size: pixels of the longer side, at least 64.
            seed: of everything.

        Raises:
            UserError: a number is too small.
        """
        self._landmarks = {
            "train": train_landmarks,
            "validation": validation_landmarks,
            "test": test_landmarks,
        }
        self._photos, self._queries = photos_per_landmark, queries_per_landmark
        self._image_size, self._seed = image_size, seed
        self._views: dict[str, synthetic.View] = {}
        _check_at_least(2, photos_per_landmark=photos_per_landmark)
        _check_at_least(1, queries_per_landmark=queries_per_landmark)
        _check_at_least(64, image_size=image_size)
        _check_at_least(
            0,
            seed=seed,
            train_landmarks=train_landmarks,
            validation_landmarks=validation_landmarks,
            test_landmarks=test_landmarks,
        )
        super().__init__(data_dir=data_dir)

    def extra_features(self) -> dict[str, Any]:
        return {
            "homography": tfds.features.Tensor(shape=(3, 3), dtype=np.float64),
            "yaw": tfds.features.Scalar(np.float64),
            "scale": tfds.features.Scalar(np.float64),
            "visible_fraction": tfds.features.Scalar(np.float64),
            "light": tfds.features.Text(),
        }

    def examples(self) -> Mapping[str, Iterator[Example]]:
        splits, first = {}, 0
        for split, count in self._landmarks.items():
            if count:
                splits[split] = self._render(range(first, first + count))
            first += count
        return splits

    def ground_truth(
        self,
        split: str,
        names: list[str],
        labels: np.ndarray,
        boxes: np.ndarray,
    ) -> GroundTruth:
        views = [self._views[name] for name in names]
        # Every usable photo may train; a benchmark asks a few of each.
        limit = self._photos if split == "train" else self._queries
        queries = [
            i
            for i, view in enumerate(views)
            if view.index < limit and synthetic.relation(view, view) != "junk"
        ]
        return GroundTruth(
            names,
            [names[query] for query in queries],
            [
                _query_truth(query, views, np.flatnonzero(labels == label))
                for query, label in zip(queries, labels[queries], strict=True)
            ],
        )

    def _render(self, landmarks: range) -> Iterator[Example]:
        albums = synthetic.render_albums(
            self._seed, landmarks, self._photos, self._image_size
        )
        for album in albums:
            for encoded, view in album:
                yield self._example(encoded, view)

    def _example(self, encoded: bytes, view: synthetic.View) -> Example:
        landmark = f"landmark{view.landmark:04d}"
        name = f"{landmark}/{view.index:03d}.jpg"
        # Ground truth needs the geometry of every photo, but not its pixels.
        self._views[name] = view
        return {
            "image": encoded,
            "name": name,
            "landmark": landmark,
            "label": view.landmark,
            "box": np.asarray(view.box, np.float32),
            "homography": view.homography,
            "yaw": view.yaw,
            "scale": view.scale,
            "visible_fraction": view.visible_fraction,
            "light": view.light,
        }


def _query_truth(
    query: int, views: list[synthetic.View], same: np.ndarray
) -> QueryTruth:
    relations = {"easy": [], "hard": [], "junk": [query]}
    for photo in same:
        if photo != query:
            relation = synthetic.relation(views[query], views[photo])
            relations[relation].append(photo)
    return QueryTruth(**relations, box=views[query].box)


def _check_at_least(least: int, **numbers: int) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int) or number < least:
            raise UserError(
                f"{name} must be a whole number of at least {least}. "
                f"Received: {name}={number!r}"
            )
