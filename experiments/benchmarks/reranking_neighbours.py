"""mAP of re-ranking a small library, by the number of neighbours.

    python experiments/benchmarks/reranking_neighbours.py

Every photo of rendered landmarks is a query for the others of its landmark. The
model is the one of an index without --workdir; the control has descriptors
drawn at random.
"""

import numpy as np
from absl import app, flags
from measuring import print_table
from rendered_photos import jpeg, rendered_photos

from agem_tf.evaluation.ground_truth import GroundTruth
from agem_tf.evaluation.places import search_database
from agem_tf.evaluation.protocols import find_protocol
from agem_tf.library.photo_models import model_for_photos
from agem_tf.retrieval import reranking

_SEEDS = flags.DEFINE_integer("seeds", 3, "Seeds of the rendered photos.")
_LANDMARKS = flags.DEFINE_integer("landmarks", 60, "Rendered landmarks.")
_SHOTS = flags.DEFINE_integer("shots", 6, "Photos per landmark.")
_TEXTS = (
    ("qe:{},3", "dba:{},1", "k_reciprocal:{},3", "diffusion:{},3"),
    (3, 5, 10, 20),
)


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    extractor = model_for_photos().extractor()
    sets = [extractor.encoded(_photos(seed)) for seed in range(_SEEDS.value)]
    control = np.random.default_rng(0).normal(size=sets[0].shape)
    control /= np.linalg.norm(control, axis=-1, keepdims=True)
    print_table(rows_of_table(sets, control.astype(np.float32)))


def rows_of_table(sets, control):
    """Yields a row per step and number of neighbours."""
    steps, numbers = _TEXTS
    yield _row("none", sets, control)
    for step in steps:
        for number in numbers:
            yield _row(step.format(number), sets, control)


def _row(text: str, sets, control) -> dict[str, object]:
    scores = [_score(rows, text) for rows in sets]
    return {
        "--rerank": text,
        "mAP": f"{np.mean(scores):.1f} ± {np.std(scores, ddof=1):.1f}",
        "at random": f"{_score(control, text):.1f}",
    }


def _score(rows: np.ndarray, text: str) -> float:
    landmarks = np.arange(len(rows)) // _SHOTS.value
    truth = GroundTruth.from_labels(
        [str(number) for number in range(len(rows))], landmarks
    )
    steps = reranking.parse_rerank([] if text == "none" else [text])
    queries, database, reorder = reranking.transform(rows, rows, steps)
    found = search_database(queries, database, truth.queries, 1, reorder)
    scores = find_protocol("leave_one_out").score(found, truth)
    (part,) = scores.parts().values()
    return 100 * next(iter(part.metrics.values()))


def _photos(seed: int) -> list[bytes]:
    photos = rendered_photos(seed, _LANDMARKS.value, _SHOTS.value)
    return [jpeg(photo) for photo in photos]


if __name__ == "__main__":
    app.run(main)
