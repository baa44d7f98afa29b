r"""Learn a whitening from extracted descriptors.

    python -m agem_tf.whiten --descriptors=descriptors/train --split=train \
        --data_dir=runs/quickstart/data --output=whitening

A whitening belongs to the model, image size and scales of its descriptors and
is refused elsewhere.
"""

from __future__ import annotations

from agem_tf import cli
from agem_tf.errors import UserError

descriptor_sets = cli.lazy("agem_tf.descriptors.descriptor_set")
linear_whitening = cli.lazy("agem_tf.descriptors.linear_whitening")
prepared = cli.lazy("agem_tf.datasets.prepared")
whitening_learning = cli.lazy("agem_tf.descriptors.whitening_learning")


@cli.options
class WhitenOptions:
    """Options for learning a whitening."""

    descriptors: str = cli.required("Descriptor set to learn from.")
    output: str = cli.required("Directory to write the whitening to.")
    method: str = cli.option(
        "learned",
        "Whitening from pairs of one landmark (needs --data_dir), or PCA.",
        choices=("learned", "pca"),
    )
    data_dir: str | None = cli.option(
        None, "Prepared dataset that has the landmarks of the photos."
    )
    split: str = cli.option("train", "Split of the descriptors.")
    shrinkage: float = cli.option(
        0.0,
        "Shrinkage of the covariance, for learned whitening from few photos.",
        minimum=0,
        maximum=1,
    )


def main(options: WhitenOptions) -> linear_whitening.LinearWhitening:
    """Learns and saves a whitening.

    Raises:
        UserError: "learned" without a dataset, or descriptors of other photos.
    """
    descriptor_set = descriptor_sets.DescriptorSet.load(options.descriptors)
    labels = pairs = None
    if options.method == "learned":
        if options.data_dir is None:
            raise UserError(
                "--method=learned needs --data_dir, which has the landmarks; "
                "add it, or give --method=pca."
            )
        photos = prepared.PreparedDataset(options.data_dir).split(options.split)
        rows = photos.find(descriptor_set.names)
        labels, pairs = photos.labels[rows], photos.pairs_among(rows)
    learned = whitening_learning.learn_by_method(
        options.method, descriptor_set, labels, options.shrinkage, pairs
    )
    learned.save(options.output)
    kept, dimension = learned.projection.shape
    cli.print_line(
        f"Whitening, {dimension} to {kept} dimensions: {options.output}"
    )
    return learned


if __name__ == "__main__":
    cli.run(main, WhitenOptions)
