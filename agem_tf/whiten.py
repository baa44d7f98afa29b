"""Learns a whitening from extracted descriptors.

    python -m agem_tf.whiten --descriptors=descriptors/train --split=train \
        --data_dir=runs/quickstart/data --output=whitening

A whitening belongs to the model, image size and scales of its descriptors and
is refused elsewhere.
"""

from __future__ import annotations

from absl import app

from agem_tf import cli
from agem_tf.errors import UserError

descriptor_sets = cli.lazy("agem_tf.descriptors.descriptor_set")
whitenings = cli.lazy("agem_tf.descriptors.linear_whitening")
prepared = cli.lazy("agem_tf.datasets.prepared")
whitening = cli.lazy("agem_tf.descriptors.whitening_learning")

_FLAGS = cli.Flags()
_DESCRIPTORS = _FLAGS.string(
    "descriptors", None, "Descriptor set to learn from.", required=True
)
_DATA_DIR = _FLAGS.string(
    "data_dir", None, "Prepared dataset that knows the landmarks."
)
_SPLIT = _FLAGS.string("split", "train", "Split of the descriptors.")
_METHOD = _FLAGS.enum(
    "method", "learned", ["learned", "pca"], "learned needs --data_dir."
)
_SHRINKAGE = _FLAGS.float(
    "shrinkage", 0.0, "0 to 1, for learned whitening from few photos."
)
_OUTPUT = _FLAGS.string(
    "output", None, "Directory of the whitening.", required=True
)


def main(
    descriptors: str,
    output: str,
    method: str = "learned",
    data_dir: str | None = None,
    split: str = "train",
    shrinkage: float = 0.0,
) -> whitenings.LinearWhitening:
    """Learns and saves a whitening; see the flags of the same names.

    Raises:
        UserError: "learned" without a dataset, or descriptors of other photos.
    """
    descriptor_set = descriptor_sets.DescriptorSet.load(descriptors)
    labels = pairs = None
    if method == "learned":
        if data_dir is None:
            raise UserError(
                "--method=learned needs --data_dir, which knows the "
                "landmarks; or take --method=pca."
            )
        photos = prepared.PreparedDataset(data_dir).split(split)
        rows = photos.find(descriptor_set.names)
        labels, pairs = photos.labels[rows], photos.pairs_among(rows)
    learned = whitening.learn_by_method(
        method, descriptor_set, labels, shrinkage, pairs
    )
    learned.save(output)
    return learned


def _run() -> None:
    output, dimension = main(**_FLAGS.flag_values_dict()).projection.shape
    print(f"Whitening, {dimension} to {output} dimensions: {_OUTPUT.value}")


if __name__ == "__main__":
    app.run(cli.command(_run), flags_parser=_FLAGS.parse)
