"""Scores that papers report, to stand beside ours, and why they may differ."""

from dataclasses import dataclass

from agem_tf.evaluation.evaluating import Evaluation

_BLURRED = (
    "Since June 2022 the photos are distributed with blurred faces, which "
    "shifts scores slightly against papers before."
)
_MULTI_SCALE = (
    "GeM is of three scales with learned whitening, which together give it "
    "about 12 points (ROxford, Medium) over one scale without."
)
_SHARED_LANDMARKS = {
    "ROxford": (
        "DELG and SuperGlobal are trained on Google Landmarks v2 clean, which "
        "shares landmarks with 38 of the 70 queries."
    ),
    "RParis": (
        "DELG and SuperGlobal are trained on Google Landmarks v2 clean, which "
        "shares landmarks with 36 of the 70 queries."
    ),
}
_OLD_QUERIES = "Queries are cropped to their boxes, as they must be here too."

# mAP in percent: ROxford Medium and Hard, RParis Medium and Hard.
_REVISITED = {
    "AGeM, ResNet-101 (arXiv 1811.00202)": (67.0, 40.7, 78.1, 57.3),
    "GeM, ResNet-101 (arXiv 1711.02512)": (64.7, 38.5, 77.2, 56.3),
    "R-MAC, ResNet-101, DIR (arXiv 1610.07940)": (60.9, 32.4, 78.9, 59.4),
    "MAC, ResNet-101 off the shelf": (41.7, 18.0, 66.2, 44.1),
    "SPoC, ResNet-101 off the shelf": (39.8, 12.4, 69.2, 44.7),
    "CroW, ResNet-101 off the shelf": (42.4, 13.3, 70.4, 47.2),
    "DELF-ASMK* + SP": (67.8, 43.1, 76.9, 55.4),
    "HesAff-rSIFT-ASMK* + SP": (60.6, 36.7, 61.4, 35.0),
    "DELG, ResNet-101 + RANSAC (arXiv 2001.05027)": (81.2, 64.0, 87.2, 72.8),
    "SuperGlobal, ResNet-101, re-ranked (arXiv 2308.06954)": (
        *(90.9, 80.2, 93.3, 86.7),
    ),
    "DINOv2 ViT-L, frozen": (None, 54.0, None, None),
    "DINOv2 ViT-g, frozen": (None, 52.3, None, None),
}

# mAP in percent: Oxford5k, Oxford105k, Paris6k, Paris106k.
_OLD = {
    "DIR": (86.1, 82.8, 94.5, 90.6),
    "DIR + QE": (87.1, 85.2, 95.3, 91.8),
    "siaMAC": (77.1, 69.5, 83.9, 76.3),
    "siaMAC + QE": (81.7, 76.6, 86.2, 79.8),
    "CONGAS": (70.8, 61.1, 67.1, 56.8),
    "LIFT": (54.0, None, 53.6, None),
    "DELF+FT+ATT": (83.8, 82.6, 85.0, 81.7),
    "DELF+FT+ATT+DIR+QE": (90.0, 88.5, 95.7, 92.8),
}


@dataclass(frozen=True)
class PublishedScores:
    """What papers report of one dataset.

    Attributes:
        dataset: its name.
        rows: method -> part -> mAP in percent, None if it is not reported.
        caveats: sentences.
    """

    dataset: str
    rows: dict[str, dict[str, float | None]]
    caveats: tuple[str, ...]


def published_scores(evaluation: Evaluation) -> PublishedScores | None:
    """What was published of the dataset that was evaluated, if anything.

    Benchmarks are told by their protocol and by how many queries, photos and
    distractors there are. Of revisited Oxford and Paris with the million
    distractors no numbers are kept here.
    """
    truth = evaluation.ground_truth
    photos = len(truth.database_names)
    sizes = (
        evaluation.protocol,
        len(truth.queries),
        photos,
        len(evaluation.database_names) - photos,
    )
    return _BY_SIZES.get(sizes)


def _revisited(name: str, columns: slice) -> PublishedScores:
    rows = {
        method: dict(zip(("medium", "hard"), values[columns], strict=True))
        for method, values in _REVISITED.items()
    }
    caveats = (_MULTI_SCALE, _SHARED_LANDMARKS[name], _BLURRED)
    return PublishedScores(name, rows, caveats)


def _old(name: str, column: int) -> PublishedScores:
    rows = {method: {"all": values[column]} for method, values in _OLD.items()}
    return PublishedScores(name, rows, (_OLD_QUERIES, _BLURRED))


# Protocol, queries, photos, distractors -> what was published.
_BY_SIZES = {
    ("revisited", 70, 4993, 0): _revisited("ROxford", slice(0, 2)),
    ("revisited", 70, 6322, 0): _revisited("RParis", slice(2, 4)),
    ("oxford", 55, 5063, 0): _old("Oxford5k", 0),
    ("oxford", 55, 5063, 100_071): _old("Oxford105k", 1),
    ("oxford", 55, 6392, 0): _old("Paris6k", 2),
    ("oxford", 55, 6392, 100_071): _old("Paris106k", 3),
}
