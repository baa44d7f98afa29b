"""The embedded default dataset: landmarks rendered from a seed."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from agem_tf import rendered_landmarks
from agem_tf.datasets.landmark_builder import (
    LandmarkBuilder,
    Skip,
    shuffling_key,
)
from agem_tf.datasets.prepared import Split
from agem_tf.distribution.processes import end_with_parent
from agem_tf.errors import UserError
from agem_tf.evaluation.ground_truth import GroundTruth, QueryTruth
from agem_tf.photos.listing import Example
from agem_tf.progress import Progress
from agem_tf.rendered_landmarks.album import render_albums


class RenderedSplit(NamedTuple):
    """The landmarks of one split, an item of the dataset.

    Attributes:
        split: Name of the split.
        seed: Seed of the dataset.
        first, landmarks: Number of the first landmark, and how many follow.
        photos: Photos per landmark.
        size: Longer side of a photo in pixels.
        scene: Fields of `rendered_landmarks.SceneSettings` that differ from
            their defaults.
    """

    split: str
    seed: int
    first: int
    landmarks: int
    photos: int
    size: int
    scene: Mapping[str, Any]


class _Photo(NamedTuple):
    name: str
    jpeg: bytes
    view: rendered_landmarks.View


class SyntheticLandmarks(LandmarkBuilder, skip_registration=True):
    """Photographs of invented buildings under strong changes.

    Viewpoint, scale, light, occlusion and clutter vary; landmarks of a split
    share styles, so that look-alikes are frequent. The first
    `queries_per_landmark` photos of a landmark (all of them for training) that
    show enough of it are queries, cropped to the building; easy, hard and junk
    follow from the known geometry. Beyond the common features a record has the
    fields of `rendered_landmarks.View`: the `homography` from metres on the
    facade to pixels, `visible`, `visible_fraction`, `yaw` (degrees), `scale`
    (pixels per metre) and `light`.
    """

    units = "splits"
    # A split is rendered as a whole, by several processes.
    items_per_file = 1

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
        scene: Mapping[str, Any] | None = None,
    ):
        """Sets the size of the dataset.

        Args:
            data_dir: Directory to write the records to.
            train_landmarks, validation_landmarks, test_landmarks: Landmarks of
                each split. They are numbered consecutively, so the landmarks
                of the test do not change with the number of photos.
            photos_per_landmark: Photos of each landmark, at least 2.
            queries_per_landmark: Largest number of queries per landmark.
            image_size: Longer side of a photo in pixels, at least 64.
            seed: Seed of all landmarks and photos.
            scene: Fields of `rendered_landmarks.SceneSettings` that differ
                from their defaults, for example {"mean_trees": 4.0} for more
                clutter.

        Raises:
            UserError: A number is too small, or `scene` has an unknown field.
        """
        self._landmarks = {
            "train": train_landmarks,
            "validation": validation_landmarks,
            "test": test_landmarks,
        }
        self._photos, self._queries = photos_per_landmark, queries_per_landmark
        self._image_size, self._seed = image_size, seed
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
        self._scene = dict(scene or {})
        _scene_settings(self._scene)
        super().__init__(data_dir=data_dir)

    @classmethod
    def extra_features(cls) -> dict[str, Any]:
        return {
            "homography": tfds.features.Tensor(shape=(3, 3), dtype=np.float64),
            "visible": tfds.features.Tensor(
                shape=(rendered_landmarks.GRID, rendered_landmarks.GRID),
                dtype=np.bool_,
            ),
            "yaw": tfds.features.Scalar(np.float64),
            "scale": tfds.features.Scalar(np.float64),
            "visible_fraction": tfds.features.Scalar(np.float64),
            "light": tfds.features.Text(),
        }

    def listing(self) -> Mapping[str, list[RenderedSplit]]:
        listed, first = {}, 0
        for split, count in self._landmarks.items():
            if count:
                settings = (self._photos, self._image_size, self._scene)
                listed[split] = [
                    RenderedSplit(split, self._seed, first, count, *settings)
                ]
            first += count
        return listed

    @classmethod
    def examples(cls, item: Sequence[Any], skip: Skip) -> Iterator[Example]:
        del skip  # Rendered photos are never bad.
        rendered = RenderedSplit(*item)
        albums = render_albums(
            rendered.seed,
            range(rendered.first, rendered.first + rendered.landmarks),
            rendered.photos,
            rendered.size,
            _scene_settings(rendered.scene),
            initializer=end_with_parent,
        )
        photos = []
        total = rendered.landmarks * rendered.photos
        with Progress(f"Rendering {rendered.split}", total) as progress:
            for album in albums:
                for jpeg, view in album:
                    name = f"landmark{view.landmark:04d}/{view.index:03d}.jpg"
                    photos.append(_Photo(name, jpeg, view))
                progress.update(len(album))
        for photo in sorted(
            photos, key=functools.partial(shuffling_key, rendered.split)
        ):
            yield _example(photo)

    def ground_truth(self, split: Split) -> GroundTruth:
        views = [read_view(split, i) for i in range(len(split))]
        # Every usable photo may train; a benchmark has a few queries each.
        limit = self._photos if split.name == "train" else self._queries
        queries = [
            i
            for i, view in enumerate(views)
            if view.index < limit
            and rendered_landmarks.relation(view, view) != "junk"
        ]
        labels = split.labels
        return GroundTruth(
            split.names,
            [split.names[query] for query in queries],
            [
                _query_truth(query, views, np.flatnonzero(labels == label))
                for query, label in zip(queries, labels[queries], strict=True)
            ],
        )


def _example(photo: _Photo) -> Example:
    view = photo.view
    return {
        "image": photo.jpeg,
        "name": photo.name,
        "landmark": photo.name.partition("/")[0],
        "label": view.landmark,
        "box": np.asarray(view.box, np.float32),
        "homography": view.homography,
        "visible": view.visible,
        "yaw": view.yaw,
        "scale": view.scale,
        "visible_fraction": view.visible_fraction,
        "light": view.light,
    }


def read_view(split: Split, photo: int) -> rendered_landmarks.View:
    """Reads the view of a photo, by its number in a prepared split."""
    features = tf.train.Example.FromString(split.read(photo)).features.feature
    yaw, scale, visible_fraction = (
        features[name].float_list.value[0]
        for name in ("yaw", "scale", "visible_fraction")
    )
    homography = np.array(features["homography"].float_list.value)
    visible = np.array(features["visible"].int64_list.value, bool)
    return rendered_landmarks.View(
        landmark=int(split.labels[photo]),
        index=int(split.names[photo].partition("/")[2].removesuffix(".jpg")),
        homography=homography.reshape(3, 3),
        box=tuple(split.boxes[photo].tolist()),
        visible=visible.reshape(
            rendered_landmarks.GRID, rendered_landmarks.GRID
        ),
        visible_fraction=visible_fraction,
        yaw=yaw,
        scale=scale,
        light=features["light"].bytes_list.value[0].decode(),
    )


def _query_truth(
    query: int, views: list[rendered_landmarks.View], same: np.ndarray
) -> QueryTruth:
    relations = {"easy": [], "hard": [], "junk": [query]}
    for photo in same:
        if photo != query:
            relation = rendered_landmarks.relation(views[query], views[photo])
            relations[relation].append(photo)
    return QueryTruth(**relations, box=views[query].box)


def _scene_settings(
    scene: Mapping[str, Any],
) -> rendered_landmarks.SceneSettings:
    try:
        return rendered_landmarks.SceneSettings(**scene)
    except TypeError:
        fields = dataclasses.fields(rendered_landmarks.SceneSettings)
        known = {field.name for field in fields}
        raise UserError(
            f"The option `scene` has unknown fields: "
            f"{', '.join(sorted(set(scene) - known))}. "
            f"Known: {', '.join(sorted(known))}."
        ) from None


def _check_at_least(least: int, **numbers: int) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int) or number < least:
            raise UserError(
                f"{name} must be a whole number of at least {least}. "
                f"Received: {name}={number!r}"
            )
