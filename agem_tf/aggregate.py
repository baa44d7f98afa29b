r"""Find photos by all their local features: codebooks and indexes of features.

    python -m agem_tf.aggregate --features=features/train --codebook=words
    python -m agem_tf.aggregate --features=features/test --method=asmk_binary \
        --words=words --output=features.asmk
    python -m agem_tf.aggregate --features=more --add=features.asmk
    python -m agem_tf.aggregate --index=features.asmk --remove=a.jpg

    python -m agem_tf.evaluate --local_index=features.asmk \
        --query_features=features/queries --data_dir=data/mine

vlad writes one descriptor per photo, for agem_tf.evaluate, index and whiten;
asmk, asmk_binary and votes write an index of local features.
"""

from __future__ import annotations

from agem_tf import cli
from agem_tf.errors import UserError

aggregation = cli.lazy("agem_tf.retrieval.local_indexes")
local_features = cli.lazy("agem_tf.descriptors.local_features")
descriptor_sets = cli.lazy("agem_tf.descriptors.descriptor_set")

_FEATURES = "Local features, by agem_tf.extract."
_SAMPLE = 1_000_000


@cli.options
class AggregateOptions:
    """Options of an aggregation."""

    features: str = cli.required(_FEATURES)
    method: str = cli.option(
        "asmk_binary",
        "asmk and asmk_binary compare the residuals of photos word by word, "
        "the latter by one bit per dimension; votes finds the nearest features "
        "of each feature; vlad makes one descriptor of a photo.",
        choices=("asmk", "asmk_binary", "votes", "vlad"),
    )
    words: str | None = cli.option(
        None, "Codebook, for every method but votes."
    )
    factory: str | None = cli.option(
        None,
        "For votes: FAISS factory string of an inverted file; default: by the "
        "number of features, with one byte for four dimensions, or half "
        "precision for less than 10,000 features.",
    )
    neighbours: int | None = cli.option(
        None,
        "For votes: nearest features that each feature of a query finds; "
        "default: 60, which suits millions of features.",
        minimum=1,
    )
    output: str = cli.required("Directory to write the index or VLADs to.")

    def __post_init__(self) -> None:
        votes = self.method == "votes"
        if votes and self.words:
            raise UserError("--method=votes has no --words; leave it out.")
        if not votes and not self.words:
            raise UserError(
                f"--method={self.method} needs --words=DIR; learn them with "
                "--codebook=DIR."
            )
        for name in ("factory", "neighbours"):
            if not votes and getattr(self, name) is not None:
                raise UserError(
                    f"--{name} is for --method=votes; leave it out."
                )


@cli.options
class CodebookOptions:
    """Learn a codebook."""

    features: str = cli.required(
        "Local features to learn from, by agem_tf.extract; best of other "
        "photos than those that are searched."
    )
    codebook: str = cli.required("Directory to write the codebook to.")
    num_words: int = cli.option(
        1024, "Number of words; 65536 in the ASMK paper.", minimum=1
    )
    seed: int = cli.option(0, "Seed of the clustering.", minimum=0)


@cli.options
class FeatureAddOptions:
    """Add the photos that an index of local features lacks."""

    features: str = cli.required(_FEATURES)
    add: str = cli.required("Index of local features to add to.")


@cli.options
class FeatureRemoveOptions:
    """Remove photos from an index of local features."""

    index: str = cli.required("Index of local features.")
    remove: tuple[str, ...] = cli.required("Name of a photo to remove.")


def main(
    options: AggregateOptions
    | CodebookOptions
    | FeatureAddOptions
    | FeatureRemoveOptions,
) -> None:
    """Makes or changes a codebook, an index of local features or VLADs.

    Raises:
        UserError: features, codebook and index do not fit each other.
    """
    if isinstance(options, CodebookOptions):
        _learn_codebook(options)
    elif isinstance(options, FeatureAddOptions):
        features = _load(options.features)
        with aggregation.changed_feature_index(options.add) as index:
            added = index.add(features)
        _report(index, options.add, f"{added} added")
    elif isinstance(options, FeatureRemoveOptions):
        with aggregation.changed_feature_index(options.index) as index:
            removed = index.remove(options.remove)
        _report(index, options.index, f"{removed} removed")
    elif options.method == "vlad":
        _write_vlads(options)
    else:
        features = _load(options.features)
        index = _create(options, features)
        added = index.add(features)
        index.save(options.output)
        _report(index, options.output, f"{added} added")


def _learn_codebook(options: CodebookOptions) -> None:
    features = _load(options.features)
    codebook = aggregation.Codebook.learn(
        features.sample_descriptors(_SAMPLE, options.seed),
        options.num_words,
        options.seed,
        features.provenance,
    )
    codebook.save(options.codebook)
    cli.print_line(
        f"{len(codebook)} words of {codebook.dimension} dimensions: "
        f"{options.codebook}"
    )


def _create(
    options: AggregateOptions, features: local_features.LocalFeatureSet
) -> aggregation.FeatureIndex:
    if options.method == "votes":
        return aggregation.VotingIndex.learn(
            features.sample_descriptors(_SAMPLE),
            options.factory,
            features.provenance,
            options.neighbours or aggregation.NEIGHBOURS,
        )
    return aggregation.CodebookIndex(
        aggregation.Codebook.load(options.words),
        binary=options.method == "asmk_binary",
    )


def _write_vlads(options: AggregateOptions) -> None:
    features = _load(options.features)
    codebook = aggregation.Codebook.load(options.words)
    codebook.check_fits(features)
    provenance = {
        **features.provenance,
        "aggregation": f"vlad {codebook.fingerprint}",
    }
    dimension = codebook.words.size
    with descriptor_sets.DescriptorWriter(
        options.output, features.names, dimension, provenance
    ) as writer:
        for each in features:
            row = aggregation.vlad(each.descriptors, codebook)
            writer.write(row[None])
    cli.print_line(
        f"{len(features)} VLADs of {dimension} dimensions: {options.output}"
    )


def _report(index, directory: str, change: str) -> None:
    kilobytes = index.num_bytes / max(len(index), 1) / 1e3
    cli.print_line(
        f"{change}; {len(index)} photos, {kilobytes:.1f} kB per photo: "
        f"{directory}"
    )


def _load(directory: str) -> local_features.LocalFeatureSet:
    return local_features.LocalFeatureSet.load(directory)


if __name__ == "__main__":
    cli.run(
        main,
        AggregateOptions,
        codebook=CodebookOptions,
        add=FeatureAddOptions,
        remove=FeatureRemoveOptions,
    )
