"""Export of local features with the signatures of the published models.

A client of https://tfhub.dev/google/delf/1 runs it unchanged:

    delf = hub.load(directory).signatures["default"]
    result = delf(
        image=image,  # (height, width, 3) float32 in [0, 1]
        score_threshold=tf.constant(0.0),
        image_scales=tf.constant([0.25, 0.3536, 0.5, 0.7071, 1.0, 1.4142, 2.0]),
        max_feature_num=tf.constant(1000),
    )

The result has "boxes" (n, 4), the receptive fields y0, x0, y1, x1 in pixels;
"locations" (n, 2), their centres y, x; "scales" (n,), the inverse of the scale
at which a feature was found; "scores" (n,); "features" (n, channels), the
positions of the map; and "descriptors" (n, dimension), normalized and, with a
whitening, reduced. All are float32, the best feature first; n may be 0.

Scores of two trained networks are not comparable: the threshold 100 of the
published module keeps nothing of most others. Pass 0 and let max_feature_num
select.

Signatures:
    default: as above.
    serving_default: that of the exports of DELF and DELG in tensorflow/models.
        input_image (height, width, 3) uint8, input_scales (scales,) float32,
        input_max_feature_num int32, input_abs_thres float32 and, of the joint
        model, input_global_scales_ind (k,) int32 positions in input_scales
        -> boxes, scales, scores and features, here normalized and reduced, and
        of the joint model global_descriptors (k, global dimension).
    encoded_local_features: encoded_images (batch,) strings and max_feature_num
        int32 -> counts (batch,) int32, boxes, locations, scales, scores and
        descriptors (batch, max_feature_num, ...), zeros after the counts, and
        status (batch,) int32, a `PhotoStatus`. Photos are turned and resized as
        in extraction, and coordinates are pixels of the upright photo.
    encoded_images, encoded_crops: Global descriptors, with the joint model
        only; see `retrieval_model`.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from agem_tf.config import ExtractionConfig, ImageConfig
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.descriptors.local_features import LocalFeatures
from agem_tf.errors import UserError
from agem_tf.extraction.local_extractor import (
    DELF_SCALES,
    checked_local_provenance,
    local_image,
)
from agem_tf.extraction.local_pyramid import LocalPyramid
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.locations import Location, as_location
from agem_tf.files.manifest import write_manifest
from agem_tf.models import AGeM
from agem_tf.photos.decoding import upright_shape
from agem_tf.photos.screening import decode_valid
from agem_tf.saved_models.retrieval_model import (
    KIND,
    ExportableModel,
    load_checked,
)
from agem_tf.saved_models.warmup import write_warmup

_IMAGE = tf.TensorSpec((None, None, 3), tf.float32, "image")
_SCALES = tf.TensorSpec((None,), tf.float32, "image_scales")
_PUBLISHED = (
    tf.TensorSpec((None, None, 3), tf.uint8, "input_image"),
    tf.TensorSpec((None,), tf.float32, "input_scales"),
    tf.TensorSpec((), tf.int32, "input_max_feature_num"),
    tf.TensorSpec((), tf.float32, "input_abs_thres"),
)
_SIGNATURE = "encoded_local_features"
_PADDED = ("boxes", "locations", "scales", "scores", "descriptors")


def export_local_model(
    model: AGeM,
    directory: str | os.PathLike,
    image: ImageConfig,
    scales: Sequence[float] = DELF_SCALES,
    whitening: LinearWhitening | None = None,
    joint: ExtractionConfig | None = None,
) -> Location:
    """Writes a SavedModel that computes what `DelfExtractor` computes.

    A client of the published signatures chooses scales and resizes its photos;
    `image` and `scales` are those that the whitening was learned with.

    Args:
        model: The network.
        directory: Replaced as a whole if it holds an earlier export.
        image: How photos are resized in extraction.
        scales: Factors on the sides of the resized photos in extraction.
        whitening: PCA of the local features, if given.
        joint: To export the global descriptors too, their extraction.

    Returns:
        The directory.

    Raises:
        UserError: The whitening belongs to another model or other settings, or
            the directory holds other files.
    """
    made = checked_local_provenance(model, image, scales, whitening)
    pyramid = LocalPyramid(model, whitening)
    variables = [*model.variables, *pyramid.whitening_variables]
    functions = {
        "default": _hub_function(pyramid),
        "serving_default": _published_function(pyramid),
        _SIGNATURE: _encoded_function(pyramid, local_image(image), scales),
    }
    if joint is not None:
        exportable = ExportableModel(model, image, joint)
        both = LocalPyramid(model, whitening, joint=True)
        functions["serving_default"] = _joint_function(both)
        functions |= exportable.encoded_functions()
        variables += [*exportable.variables, *both.whitening_variables]
        # Indexes compare that of the global descriptors.
        made = exportable.provenance | {"local": made}
    root = tf.train.Checkpoint()
    root.variables = [variable.value for variable in variables]
    with atomic_directory(directory, KIND) as temporary:
        tf.saved_model.save(root, str(temporary), signatures=functions)
        request = {
            "image": np.full((64, 64, 3), 0.5, np.float32),
            "score_threshold": np.float32(0),
            "image_scales": np.ones(1, np.float32),
            "max_feature_num": np.int32(1),
        }
        write_warmup(temporary, {"default": request})
        write_manifest(temporary, KIND, provenance=made)
    return as_location(directory, "--output")


class ExportedLocalFeatures:
    """Extracts local features with an export; see `LocalExtractor`.

    Args:
        directory: An export of this module.
        most: Most features per photo, those of the highest scores.

    Raises:
        UserError: The export is missing, altered or of another kind, or its
            graph has operations that no export has.
    """

    def __init__(self, directory: str | os.PathLike, most: int):
        self._model, made = load_checked(directory)
        signature = self._model.signatures.get(_SIGNATURE)
        self.provenance = made.get("local", made)
        if (
            signature is None
            or not {"counts", *_PADDED} <= set(signature.structured_outputs)
            or not {"size", "enlarge"} <= set(self.provenance.get("image", ()))
        ):
            raise UserError(
                f"The model {directory} has no signature {_SIGNATURE} with its "
                "outputs and settings; export the run with --kind=local."
            )
        self._most = most
        self.dimension = signature.structured_outputs["descriptors"].shape[-1]

    def features(self, photos: Sequence[np.ndarray]) -> list[LocalFeatures]:
        """Returns the features of photos (height, width, 3) uint8 RGB."""
        return [self._features_of(photo) for photo in photos]

    def _features_of(self, photo: np.ndarray) -> LocalFeatures:
        found = self._model.signatures[_SIGNATURE](
            encoded_images=tf.io.encode_png(photo)[tf.newaxis],
            max_feature_num=tf.constant(self._most),
        )
        count = int(found["counts"][0])
        of_photo = {name: found[name][0, :count].numpy() for name in _PADDED}
        image, side = self.provenance["image"], max(photo.shape[:2])
        resized = (
            image["size"] if image["enlarge"] else min(side, image["size"])
        )
        return LocalFeatures(
            of_photo["locations"][:, ::-1],
            of_photo["descriptors"],
            of_photo["scores"],
            side / resized * of_photo["scales"],
            photo.shape[:2],
        )


def _hub_function(pyramid: LocalPyramid) -> Callable[..., Any]:
    @tf.function(
        input_signature=[
            _IMAGE,
            tf.TensorSpec((), tf.float32, "score_threshold"),
            _SCALES,
            tf.TensorSpec((), tf.int32, "max_feature_num"),
        ],
        autograph=False,
    )
    def describe(image, score_threshold, image_scales, max_feature_num):
        maps = pyramid.maps(
            255.0 * image[tf.newaxis], image_scales, tf.shape(image)[:2]
        )
        return pyramid.select(maps, 0, max_feature_num, score_threshold)

    return describe


def _published_function(pyramid: LocalPyramid) -> Callable[..., Any]:
    @tf.function(input_signature=_PUBLISHED, autograph=False)
    def describe_local(
        input_image, input_scales, input_max_feature_num, input_abs_thres
    ):
        maps = _maps_of(pyramid, input_image, input_scales)
        found = pyramid.select(maps, 0, input_max_feature_num, input_abs_thres)
        return _published_names(found)

    return describe_local


def _joint_function(pyramid: LocalPyramid) -> Callable[..., Any]:
    indices = tf.TensorSpec((None,), tf.int32, "input_global_scales_ind")

    @tf.function(input_signature=(*_PUBLISHED, indices), autograph=False)
    def describe_jointly(
        input_image,
        input_scales,
        input_max_feature_num,
        input_abs_thres,
        input_global_scales_ind,
    ):
        maps = _maps_of(pyramid, input_image, input_scales)
        found = pyramid.select(maps, 0, input_max_feature_num, input_abs_thres)
        return _published_names(found) | {
            "global_descriptors": tf.gather(
                maps.descriptors[0], input_global_scales_ind
            )
        }

    return describe_jointly


def _maps_of(pyramid, image, scales):
    photo = tf.cast(image, tf.float32)[tf.newaxis]
    return pyramid.maps(photo, scales, tf.shape(image)[:2])


def _published_names(found):
    names = ("boxes", "scales", "scores")
    features = {"features": found["descriptors"]}
    return {name: found[name] for name in names} | features


def _encoded_function(
    pyramid: LocalPyramid, image: ImageConfig, scales: Sequence[float]
) -> Callable[..., Any]:
    """Returns the function of a batch of which any photo may be bad."""
    dimensions = {
        "boxes": (4,),
        "locations": (2,),
        "descriptors": (pyramid.dimension,),
    }

    @tf.function(
        input_signature=[
            tf.TensorSpec((None,), tf.string, "encoded_images"),
            tf.TensorSpec((), tf.int32, "max_feature_num"),
        ],
        autograph=False,
    )
    def describe_encoded(encoded_images, max_feature_num):
        whole = tf.zeros((tf.size(encoded_images), 4))
        photos = decode_valid(encoded_images, whole, image)
        shapes = {name: dimensions.get(name, ()) for name in _PADDED}

        def add_photo(number, counts, rows):
            position = photos.positions[number]
            height, width = tf.unstack(photos.valid[number])
            pixels = photos.pixels[number, :height, :width]
            maps = pyramid.maps(
                tf.cast(pixels, tf.float32)[tf.newaxis],
                tf.constant(scales, tf.float32),
                tf.cast(upright_shape(encoded_images[position]), tf.int32),
            )
            found = pyramid.select(maps, 0, max_feature_num, 0.0)
            missing = max_feature_num - tf.size(found["scores"])
            padded = {
                name: tf.pad(
                    found[name], [(0, missing), *[(0, 0)] * len(shapes[name])]
                )[tf.newaxis]
                for name in _PADDED
            }
            return (
                number + 1,
                tf.concat([counts, tf.shape(found["scores"])], 0),
                {n: tf.concat([rows[n], padded[n]], 0) for n in _PADDED},
            )

        _, counts, rows = tf.while_loop(
            lambda number, *_: number < tf.size(photos.positions),
            add_photo,
            (
                0,
                tf.zeros((0,), tf.int32),
                {
                    name: tf.zeros((0, max_feature_num, *shape))
                    for name, shape in shapes.items()
                },
            ),
            shape_invariants=(
                tf.TensorShape(()),
                tf.TensorShape((None,)),
                {
                    name: tf.TensorShape((None, None, *shape))
                    for name, shape in shapes.items()
                },
            ),
        )

        return {
            **{name: photos.spread(values) for name, values in rows.items()},
            "counts": photos.spread(counts),
            "status": photos.status,
        }

    return describe_encoded
