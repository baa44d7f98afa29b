"""Scores descriptors against a ground truth.

    python -m agem_tf.evaluate --descriptors=descriptors/test --split=test \
        --data_dir=runs/quickstart/data --output=scores \
        --rerank=dba:20,1 --rerank=qe:10,0

    python -m agem_tf.evaluate --descriptors=roxford5k.npy \
        --queries=queries.npy --ground_truth=gnd_roxford5k.pkl

The protocol follows from the ground truth: Easy, Medium and Hard of revisited
Oxford and Paris where photos are labelled so.
"""

from __future__ import annotations

from typing import Any

from absl import app

from agem_tf import cli

job = cli.lazy("agem_tf.pages.scoring_job")
pictures = cli.lazy("agem_tf.pages.photo_pictures")
tables = cli.lazy("agem_tf.evaluation.tables")

_FLAGS = cli.Flags()
_DESCRIPTORS = _FLAGS.string(
    "descriptors", None, "Of the database: a set, or FILE.npy.", required=True
)
for _name, _help in {
    "queries": "Descriptors of cropped queries, if they have boxes.",
    "distractors": "Descriptors put behind the database, such as R1M.",
    "data_dir": "Prepared dataset with the ground truth.",
    "ground_truth": "Instead: a benchmark's .pkl or .mat, a .json or .csv.",
    "labels": "Landmarks of the database, for recognition on GLDv2: a .csv.",
    "protocol": "revisited, oxford, holidays, instre, leave_one_out, ukbench, "
    "gldv2, gap or precision_recall; default: what the ground truth is for.",
    "whitening": "Whitening to apply.",
    "photos": "Folder of photos for the report; default: the dataset's.",
    "output": "Directory of scores, rankings and the report.",
}.items():
    _FLAGS.string(_name, None, _help)
_SPLIT = _FLAGS.string("split", "test", "Split that is scored.")
_DIMENSION = _FLAGS.integer(
    "dimension", None, "Dimensions kept by the whitening; default: all."
)
_RERANK = _FLAGS.multi_string("rerank", [], "Steps or a preset, in order.")
_TOP = _FLAGS.integer("top", 100, "Photos kept of a ranking.", lower_bound=1)


def main(
    descriptors: str, data_dir: str | None = None, **options: Any
) -> job.Evaluation:
    """Scores descriptors; `scoring.job.Options` tells what else there is."""
    return job.run(
        job.Options(descriptors=descriptors, data_dir=data_dir, **options),
        lambda split, index: pictures.load_photo(split, index),
    )


def _run() -> None:
    evaluation = main(**_FLAGS.flag_values_dict())
    name = " ".join([_DESCRIPTORS.value, *_RERANK.value])
    print(tables.format_table([tables.scores_row(name, evaluation.scores)]))
    for note in evaluation.notes:
        print(note)


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
