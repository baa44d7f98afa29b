"""Answers ordered by the local features that query and result share."""

import dataclasses
import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agem_tf import native_output, registry
from agem_tf.descriptors.local_features import LocalFeatures, LocalFeatureSet
from agem_tf.errors import UserError
from agem_tf.extraction.single_scale import (
    SingleScaleExtractor,
    single_scale_extractor,
)
from agem_tf.files.provenance import check_same_provenance
from agem_tf.library.answers import Answer, find_photo
from agem_tf.photos.boxes import Box
from agem_tf.photos.reading import read_pixels
from agem_tf.retrieval.reranking import SpatialVerification

if TYPE_CHECKING:
    from agem_tf.extraction.local_extractor import LocalExtractor

_LOG = logging.getLogger(__name__)
_DEFAULT_KIND = "xfeat"


def verified_answers(
    answers: Sequence[Answer],
    step: SpatialVerification,
    top: int,
    folder: str | None = None,
    directory: str | None = None,
    model: str | None = None,
) -> list[Answer]:
    """Orders the photos of answers by their inliers.

    Args:
        answers: answers of a search by photos, with all candidates.
        step: how they are verified.
        top: number of photos kept per answer.
        folder: folder of the candidates, whose features are extracted now,
            and of queries that are names of indexed photos.
        directory: stored local features of the candidates, which are used
            instead.
        model: export of the network that made the stored features; not needed
            for those that need no training.

    Returns:
        The answers with their numbers of inliers.

    Raises:
        UserError: a query can't be read, the local features lack a photo, the
            folder has none of the photos, or there is neither a folder nor
            local features.
    """
    if directory is not None:
        stored = LocalFeatureSet.load(directory)
        extractor = query_extractor(stored.provenance, directory, model)
        features_of: Callable[[str], LocalFeatures] = stored.__getitem__
    elif folder is not None:
        candidates = {m.name for answer in answers for m in answer.matches}
        extractor = _create(_DEFAULT_KIND)
        features_of = features_of_files(extractor, folder, candidates)
    else:
        raise UserError(
            "The index does not know the folder of its photos; give "
            "--folder=DIR or --local_features=DIR."
        )
    verified = []
    for answer in answers:
        query = query_features(extractor, answer.query, folder, answer.box)
        verified.append(verify_answer(answer, query, step, features_of, top))
    return verified


def query_features(
    extractor: "LocalExtractor",
    query: str,
    folder: str | None,
    box: Box | None,
) -> LocalFeatures:
    """Returns the features of a photo, or of a box in it.

    Args:
        extractor: extracts them.
        query: path of the photo, or name of a photo of `folder`.
        folder: folder of the indexed photos, if it is known.
        box: x1, y1, x2, y2 in pixels of the upright photo.

    Raises:
        UserError: the photo can't be read.
    """
    path = find_photo(query, "", folder)
    pixels = read_pixels(path, "give another one", box)
    return extractor.features([pixels])[0]


def verify_answer(
    answer: Answer,
    query: LocalFeatures,
    step: SpatialVerification,
    features_of: Callable[[str], LocalFeatures],
    top: int,
) -> Answer:
    """Orders the photos of one answer by their inliers.

    Args:
        answer: the answer with all candidates.
        query: features of the query.
        step: how they are verified.
        features_of: returns the features of a photo by its name.
        top: number of photos kept.
    """
    matches = answer.matches
    order, inliers = step.reorder(
        query,
        lambda place: features_of(matches[place].name),
        np.arange(len(matches)),
    )
    return dataclasses.replace(
        answer,
        matches=[matches[place] for place in order[:top]],
        inliers=inliers[:top].tolist(),
    )


def features_of_files(
    extractor: "LocalExtractor", folder: str, names: Collection[str]
) -> Callable[[str], LocalFeatures]:
    """Returns what extracts photos of a folder; unreadable ones have none.

    Args:
        extractor: extracts them.
        folder: folder of the photos.
        names: the photos that may be asked for.

    Raises:
        UserError: the folder has none of the photos.
    """
    if names and not any(
        os.path.exists(os.path.join(folder, name)) for name in names
    ):
        raise UserError(
            f"{folder} has none of the {len(names)} photos to verify; give "
            "the folder that they were indexed from as --folder=DIR, or "
            "--local_features=DIR."
        )

    def features_of(name: str) -> LocalFeatures:
        try:
            pixels = read_pixels(os.path.join(folder, name), "not verified")
        except UserError as error:
            _LOG.warning("%s", error)
            return LocalFeatures.none(extractor.dimension, (1, 1))
        return extractor.features([pixels])[0]

    return features_of


def query_extractor(
    made: Mapping[str, Any], directory: str, model: str | None = None
) -> "LocalExtractor":
    """Returns what extracts queries as stored features were.

    Args:
        made: provenance of the stored features.
        directory: their directory, for messages.
        model: export of the network that made them; not needed for those that
            need no training.

    Raises:
        UserError: they are of a trained network and there is no `model`, or of
            other software or settings.
    """
    if model is not None:
        return _trained_extractor(made, directory, model)
    if "image" in made and made["image"] is None:
        raise UserError(
            f"The local features of {directory} are of other software, which "
            "would have to extract those of a query too; verify with those of "
            "agem_tf.extract --local."
        )
    if made.get("whitening"):
        raise UserError(
            f"The local features of {directory} are reduced by a whitening, "
            "which a query needs too; extract them without --whitening."
        )
    for kind in registry.names("local_features"):
        with native_output.captured():
            factory = registry.factory("local_features", kind)
        if factory.name == made.get("model"):
            try:
                return _create(kind, made["most"], made["image"]["size"])
            except (KeyError, TypeError) as error:
                raise UserError(
                    f"The manifest of {directory} does not say how its local "
                    f"features were made ({error}); extract them again."
                ) from error
    raise UserError(
        f"The local features of {directory} are of a trained network; give its "
        "export by agem_tf.export --kind=local as --local_model=DIR."
    )


def _trained_extractor(
    made: Mapping[str, Any], directory: str, model: str
) -> "LocalExtractor":
    from agem_tf.saved_models.local_model import ExportedLocalFeatures

    selection = made.get("selection", {})
    if selection.get("score_threshold") or selection.get("iou", 1.0) != 1.0:
        raise UserError(
            f"The local features of {directory} were selected with a threshold "
            "of scores or overlaps, and an export selects by --max_features "
            "only; extract them without."
        )
    extractor = ExportedLocalFeatures(model, selection.get("most", 1000))
    check_same_provenance(made, extractor.provenance, directory, model)
    return extractor


def _create(kind: str, *settings: int) -> SingleScaleExtractor:
    with native_output.captured():
        return single_scale_extractor(kind, *settings)
