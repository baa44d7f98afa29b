"""Scores descriptors against a dataset's ground truth.

    python -m agem_tf.evaluate --descriptors=descriptors/test --split=test \
        --data_dir=runs/quickstart/data --output=scores \
        --rerank=dba:20,1 --rerank=qe:10,0

Easy, Medium and Hard follow the protocol of revisited Oxford and Paris.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from absl import app

from agem_tf import cli
from agem_tf.errors import UserError

artifacts = cli.lazy("agem_tf.artifacts")
prepared = cli.lazy("agem_tf.data.prepared")
reranking = cli.lazy("agem_tf.search.reranking")
scoring = cli.lazy("agem_tf.evaluation.descriptors")
tables = cli.lazy("agem_tf.evaluation.tables")

_FLAGS = cli.Flags()
_DESCRIPTORS = _FLAGS.string(
    "descriptors", None, "Descriptor set of the database.", required=True
)
_QUERIES = _FLAGS.string(
    "queries", None, "Descriptor set of cropped queries, if they have boxes."
)
_DATA_DIR = _FLAGS.string(
    "data_dir", None, "Prepared dataset with the ground truth.", required=True
)
_SPLIT = _FLAGS.string("split", "test", "Split that is scored.")
_WHITENING = _FLAGS.string("whitening", None, "Whitening to apply.")
_DIMENSION = _FLAGS.integer(
    "dimension", None, "Dimensions kept by the whitening; default: all."
)
_RERANK = _FLAGS.multi_string("rerank", [], "Steps or a preset, in order.")
_OUTPUT = _FLAGS.string("output", None, "For metrics.json and the ranking.")


def main(
    descriptors: str,
    data_dir: str,
    split: str = "test",
    queries: str | None = None,
    whitening: str | None = None,
    dimension: int | None = None,
    rerank: Sequence[str] = (),
    output: str | None = None,
) -> scoring.Evaluation:
    """Scores descriptors; see the flags of the same names."""
    if dimension is not None and whitening is None:
        raise UserError("--dimension shortens whitened descriptors; give one.")
    steps = reranking.parse_rerank(rerank)
    paths = [descriptors] if queries is None else [descriptors, queries]
    sets = [artifacts.DescriptorSet.load(path) for path in paths]
    if whitening is not None:
        learned = artifacts.Whitening.load(whitening)
        sets = [learned.apply_to(each, dimension) for each in sets]
    truth = prepared.PreparedDataset(data_dir).ground_truth(split)
    search = functools.partial(reranking.rerank, steps=steps)
    evaluation = scoring.evaluate_descriptors(
        sets[0], truth, *sets[1:], search=search
    )
    if output is not None:
        provenance = {**sets[0].provenance, "rerank": list(rerank)}
        evaluation.save(output, truth, provenance)
    return evaluation


def _run() -> None:
    evaluation = main(**_FLAGS.flag_values_dict())
    name = " ".join([_DESCRIPTORS.value, *_RERANK.value])
    print(tables.format_table([tables.scores_row(name, evaluation.scores)]))


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
