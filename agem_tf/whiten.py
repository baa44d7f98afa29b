r"""Learn a whitening from extracted descriptors.

    python -m agem_tf.whiten --descriptors=descriptors/train --split=train \
        --data_dir=runs/quickstart/data --output=whitening

A whitening belongs to the model, image size and scales of its descriptors and
is refused elsewhere. Local features are reduced by PCA, as DELF's to 40
dimensions; --power=0 rotates them only:

    python -m agem_tf.whiten --descriptors=features/train --method=pca \
        --power=0 --dimension=40 --output=pca
"""

from __future__ import annotations

import dataclasses

from agem_tf import cli
from agem_tf.errors import UserError

descriptor_sets = cli.lazy("agem_tf.descriptors.descriptor_set")
linear_whitening = cli.lazy("agem_tf.descriptors.linear_whitening")
local_features = cli.lazy("agem_tf.descriptors.local_features")
prepared = cli.lazy("agem_tf.datasets.prepared")
whitening_learning = cli.lazy("agem_tf.descriptors.whitening_learning")

# Local features that PCA is learned from; more change no digit that matters.
_SAMPLE = 200_000


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
    split: str | None = cli.option(
        None, "Split of the descriptors; default: train."
    )
    power: float = cli.option(
        0.5,
        "With --method=pca, exponent of the variances that directions are "
        "divided by; 0.5 whitens, 0 only rotates.",
        minimum=0,
        maximum=1,
    )
    dimension: int | None = cli.option(
        None,
        "Dimensions to keep, those of most variance; default: all.",
        minimum=1,
    )
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
    if options.method == "learned" and options.power != 0.5:
        raise UserError("--power is for --method=pca; leave it out.")
    if options.method == "pca" and (options.data_dir or options.split):
        raise UserError(
            "--method=pca learns from all descriptors that are given, without "
            "their landmarks; leave out --data_dir and --split."
        )
    if local_features.is_local_feature_set(options.descriptors):
        descriptor_set = _sample_of_local_features(options)
    else:
        descriptor_set = descriptor_sets.DescriptorSet.load(options.descriptors)
    labels = pairs = None
    if options.method == "learned":
        if options.data_dir is None:
            raise UserError(
                "--method=learned needs --data_dir, which has the landmarks; "
                "add it, or give --method=pca."
            )
        dataset = prepared.PreparedDataset(options.data_dir)
        made = descriptor_set.provenance
        # With photos left out, the fingerprint is that of the others.
        made_of = None if made.get("lost") else made.get("dataset")
        if made_of not in (None, dataset.fingerprint):
            raise UserError(
                f"{options.descriptors} was extracted from another dataset "
                f"than {options.data_dir}; give the one that it is of."
            )
        photos = dataset.split(options.split or "train")
        rows = photos.find(descriptor_set.names)
        labels, pairs = photos.labels[rows], photos.pairs_among(rows)
    learned = whitening_learning.learn_by_method(
        options.method,
        descriptor_set,
        labels,
        options.shrinkage,
        pairs,
        options.power,
    )
    kept = learned.output_dimension(options.dimension)
    learned = dataclasses.replace(learned, projection=learned.projection[:kept])
    learned.save(options.output)
    kept, dimension = learned.projection.shape
    cli.print_line(
        f"Whitening, {dimension} to {kept} dimensions: {options.output}"
    )
    return learned


def _sample_of_local_features(options):
    if options.method == "learned":
        raise UserError(
            "Local features have no pairs to learn from; give --method=pca."
        )
    features = local_features.LocalFeatureSet.load(options.descriptors)
    sample = features.sample_descriptors(_SAMPLE)
    return descriptor_sets.DescriptorSet(
        [f"feature {number}" for number in range(len(sample))],
        sample,
        features.provenance,
    )


if __name__ == "__main__":
    cli.run(main, WhitenOptions)
