"""What a model finds and where it looks, drawn over the dataset's photos."""

import io
from collections.abc import Sequence

import keras
import numpy as np
import PIL.Image
import tensorflow as tf

from agem_tf.config import ImageConfig
from agem_tf.datasets.photo_pipeline import PhotoPipeline
from agem_tf.datasets.prepared import Split
from agem_tf.evaluation.evaluating import Evaluation
from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.models import AGeM
from agem_tf.pages import drawing
from agem_tf.pages.rank_lists import judge, query_scores
from agem_tf.pages.report import Picture


def load_photo(split: Split, index: int) -> PIL.Image.Image:
    """Returns a photo as it was prepared."""
    example = tf.train.Example.FromString(split.read(index))
    encoded = example.features.feature["image"].bytes_list.value[0]
    return PIL.Image.open(io.BytesIO(encoded)).convert("RGB")


def evenly_spaced(total: int, count: int) -> np.ndarray:
    """Returns `count` indices below `total`, or all if there are fewer."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(int)


def load_squares(
    split: Split, image: ImageConfig, indices: Sequence[int]
) -> np.ndarray:
    """Loads photos stretched to (photos, size, size, 3) uint8."""
    pipeline = PhotoPipeline(split, ImageConfig(image.size, "square"))
    with pipeline.errors_named():
        elements = pipeline.photos(np.asarray(indices)).as_numpy_iterator()
        return np.stack([element["image"] for element in elements])


def draw_attention(model: AGeM, photos: np.ndarray) -> list[np.ndarray]:
    """Lays the model's attention over photos.

    Args:
        model: see `AGeM.attention_maps`.
        photos: (photos, height, width, 3) uint8.

    Returns:
        (height, width, 3) uint8 for each photo.
    """
    maps = keras.ops.convert_to_numpy(
        model.attention_maps(photos.astype(np.float32))
    )
    return [
        drawing.overlay(photo, heat)
        for photo, heat in zip(photos, maps, strict=True)
    ]


def attention_pictures(
    model: AGeM, split: Split, image: ImageConfig, count: int = 8
) -> list[Picture]:
    """Draws the attention over evenly spaced photos, each beside its photo."""
    indices = evenly_spaced(len(split), count)
    photos = load_squares(split, image, indices)
    overlays = draw_attention(model, photos)
    return [
        Picture(
            drawing.contact_sheet([photo, drawn], columns=2),
            caption=split.names[index],
        )
        for index, photo, drawn in zip(indices, photos, overlays, strict=True)
    ]


def rank_list_pictures(
    evaluation: Evaluation,
    ground_truth: GroundTruth,
    split: Split,
    count: int = 6,
    top: int = 10,
) -> list[Picture]:
    """Draws what queries found, from the best to the worst scored query.

    Args:
        evaluation: rankings of `ground_truth`.
        ground_truth: the queries.
        split: where their photos are.
        count: queries drawn, evenly spaced over their average precisions.
        top: photos of each ranking.
    """
    scores = query_scores(evaluation)
    scored = np.flatnonzero(~np.isnan(scores))
    order = scored[np.argsort(-scores[scored], kind="stable")]
    return [
        _rank_list(evaluation, ground_truth, split, int(query), top)
        for query in order[evenly_spaced(len(order), count)]
    ]


def _rank_list(
    evaluation: Evaluation,
    ground_truth: GroundTruth,
    split: Split,
    query: int,
    top: int,
) -> Picture:
    truth, name = ground_truth.queries[query], ground_truth.query_names[query]
    # The query itself is junk, and would only repeat the first picture.
    found = [
        index
        for index in evaluation.ranks[query][: top + 1]
        if ground_truth.database_names[index] != name
    ][:top]
    names = [ground_truth.database_names[index] for index in found]
    results = [
        drawing.RankedPhoto(
            load_photo(split, position),
            verdict,
            evaluation.similarity(query, index),
            split.names[position],
        )
        for position, index, verdict in zip(
            split.find(names),
            found,
            judge(found, truth),
            strict=True,
        )
    ]
    photo = load_photo(split, int(split.find([name])[0]))
    if truth.box is not None:
        photo = photo.crop(truth.box)
    score = query_scores(evaluation)[query]
    return Picture(
        drawing.rank_list(photo, results, name),
        title=f"{name}: scored {100 * score:.1f} %",
    )
