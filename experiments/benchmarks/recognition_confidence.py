"""GAP of recognition by votes, and confidences of known and unknown landmarks.

    python experiments/benchmarks/recognition_confidence.py --first_seed=3
    python experiments/benchmarks/recognition_confidence.py --photos=DIR

Photos of rendered landmarks are indexed with their landmark as metadata; others
of the same landmarks, and photos of landmarks that are not indexed, are
queries. The model is the one of an index without --workdir. The control has
descriptors drawn at random.

With --photos, whose folders are landmarks, each photo is a query twice: with
the other photos indexed, and with those of other landmarks only.
"""

import functools
import pathlib
from collections.abc import Callable

import numpy as np
from absl import app, flags
from measuring import print_table
from rendered_photos import jpeg, rendered_photos

from agem_tf.evaluation.protocols.gldv2 import global_average_precision
from agem_tf.library.photo_models import model_for_photos
from agem_tf.library.recognition import Recognition, Voting, vote
from agem_tf.photos.listing import list_folder
from agem_tf.retrieval.indexes import ExactIndex

_SEEDS = flags.DEFINE_integer("seeds", 3, "Seeds of the rendered photos.")
_FIRST = flags.DEFINE_integer("first_seed", 0, "The first of them.")
_KNOWN = flags.DEFINE_integer("known", 40, "Landmarks that are indexed.")
_UNKNOWN = flags.DEFINE_integer("unknown", 20, "Landmarks that are not.")
_INDEXED = flags.DEFINE_integer("indexed", 4, "Indexed photos per landmark.")
_QUERIES = flags.DEFINE_integer("queries", 2, "Queries per landmark.")
_PHOTOS = flags.DEFINE_string("photos", None, "Folder of real photos.")
# The recognition of each query and its true landmarks.
Recognized = list[tuple[Recognition, set[str]]]
Recognizer = Callable[[Voting], Recognized]
_LEAST = (0, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)


def main(argv: list[str]) -> None:
    """Prints a table over the numbers of voters, and one over thresholds."""
    del argv
    extractor = model_for_photos().extractor()
    if _PHOTOS.value:
        paths = [pathlib.Path(path) for path in list_folder(_PHOTOS.value)]
        rows = extractor.encoded([path.read_bytes() for path in paths])
        folders = [path.parent.name for path in paths]
        real = [functools.partial(_recognized_in_turn, rows, folders)]
        print_table(iter([_row("pretrained", real, Voting())]))
        print()
        print_table(_threshold_row(real, least) for least in _LEAST)
        return
    shape = _shape(extractor.dimension)
    sets = [
        extractor.encoded(_photos(seed)).reshape(shape)
        for seed in range(_FIRST.value, _FIRST.value + _SEEDS.value)
    ]
    rng = np.random.default_rng(0)
    control = rng.normal(size=shape)
    control /= np.linalg.norm(control, axis=-1, keepdims=True)
    rendered = [functools.partial(_recognized, rows) for rows in sets]
    random = [functools.partial(_recognized, np.float32(control))]
    settings = [Voting(voters=voters) for voters in (1, 5, 10, 20)]
    table = [_row("pretrained", rendered, voting) for voting in settings]
    table += [_row("random descriptors", random, voting) for voting in settings]
    print_table(iter(table))
    print()
    print_table(_threshold_row(rendered, least) for least in _LEAST)


def _shape(dimension: int) -> tuple[int, int, int]:
    landmarks = _KNOWN.value + _UNKNOWN.value
    return landmarks, _INDEXED.value + _QUERIES.value, dimension


def _photos(seed: int) -> list[bytes]:
    landmarks, shots, _ = _shape(0)
    return [jpeg(photo) for photo in rendered_photos(seed, landmarks, shots)]


def _recognized(rows: np.ndarray, voting: Voting) -> Recognized:
    known, indexed = _KNOWN.value, _INDEXED.value
    index = ExactIndex(rows.shape[-1])
    labels = {f"{i} {n}": str(i) for i in range(known) for n in range(indexed)}
    index.add(list(labels), rows[:known, :indexed].reshape(len(labels), -1))
    queries = rows[:, indexed:].reshape(-1, rows.shape[-1])
    found = []
    for number, matches in enumerate(index.search(queries, voting.voters)):
        matches = [
            match._replace(metadata={voting.field: labels[match.name]})
            for match in matches
        ]
        landmark = number // _QUERIES.value
        truth = {str(landmark)} if landmark < known else set()
        found.append((vote(matches, voting), truth))
    return found


def _recognized_in_turn(
    rows: np.ndarray, landmarks: list[str], voting: Voting
) -> Recognized:
    """Recognises each photo with and without the others of its landmark."""
    landmarks = np.array(landmarks)
    found = []
    for number, landmark in enumerate(landmarks):
        others = np.arange(len(rows)) != number
        of_others = landmarks != landmark
        for indexed in (others, of_others):
            is_known = landmark in landmarks[indexed]
            if indexed is others and not is_known:
                continue
            places = np.flatnonzero(indexed)
            index = ExactIndex(rows.shape[1])
            index.add([str(place) for place in places], rows[places])
            (matches,) = index.search(rows[number, None], voting.voters)
            matches = [
                match._replace(
                    metadata={voting.field: landmarks[int(match.name)]}
                )
                for match in matches
            ]
            truth = {str(landmark)} if is_known else set()
            found.append((vote(matches, voting), truth))
    return found


def _row(
    name: str, sets: list[Recognizer], voting: Voting
) -> dict[str, object]:
    scores, shares = [], []
    for recognize in sets:
        found = recognize(voting)
        best = [next(iter(each.confidences), None) for each, _ in found]
        truths = [truth for _, truth in found]
        confidences = np.array([each.confidence for each, _ in found])
        scores.append(global_average_precision(best, confidences, truths))
        pairs = zip(best, truths, strict=True)
        shares.append(np.mean([b in t for b, t in pairs if t]))
    return {
        "descriptors": name,
        "voters": voting.voters,
        "GAP": _percent(scores),
        "right label of the known": _percent(shares),
    }


def _threshold_row(sets: list[Recognizer], least: float) -> dict[str, object]:
    voting = Voting(least_confidence=least)
    right, wrong, refused = [], [], []
    for recognize in sets:
        found = recognize(voting)
        known = [each.label in truth for each, truth in found if truth]
        answered = [e.label is not None for e, truth in found if truth]
        unknown = [e.label is None for e, truth in found if not truth]
        right.append(np.mean(known))
        wrong.append(np.mean(answered) - np.mean(known))
        refused.append(np.mean(unknown))
    return {
        "least confidence": least,
        "known: right": _percent(right),
        "known: wrong": _percent(wrong),
        'unknown: "none of these"': _percent(refused),
    }


def _percent(values: list[float]) -> str:
    spread = np.std(values, ddof=1) if len(values) > 1 else None
    mean = f"{100 * np.mean(values):.1f}"
    return mean if spread is None else f"{mean} ± {100 * spread:.1f}"


if __name__ == "__main__":
    app.run(main)
