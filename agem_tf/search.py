"""Find the photos of an index that resemble a photo.

    python -m agem_tf.search photo.jpg --index=photos.index
    python -m agem_tf.search a.jpg b.jpg --index=photos.index --output=page.html
    python -m agem_tf.search folder --index=photos.index --format=csv
    python -m agem_tf.search a.jpg --where='year>=2020' --index=photos.index
    python -m agem_tf.search --like=a.jpg --unlike=b.jpg --index=photos.index
    python -m agem_tf.search folder --labels --index=photos.index --format=csv
    python -m agem_tf.search photo.jpg --local_index=photos.votes

A query is a photo, a folder of photos or the name of an indexed photo.
--box=x1,y1,x2,y2 searches for the contents of a box, in pixels of the photo as
seen. --descriptors searches by an extracted descriptor set instead of photos.
--labels names what a photo shows, by the photos that have a label in their
metadata. --local_index searches by all local features. In folders and lists,
photos that can't be read are left out, and the exit status is 3.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from agem_tf import cli
from agem_tf.config import loading
from agem_tf.errors import PartialResultError, UserError

answers = cli.lazy("agem_tf.library.answers")
atomic_writing = cli.lazy("agem_tf.files.atomic_writing")
feature_search = cli.lazy("agem_tf.library.feature_search")
listing = cli.lazy("agem_tf.photos.listing")
photo_index = cli.lazy("agem_tf.library.photo_index")
recognition = cli.lazy("agem_tf.library.recognition")
reranking = cli.lazy("agem_tf.retrieval.reranking")
storages = cli.lazy("agem_tf.retrieval.indexes")
verified_answers = cli.lazy("agem_tf.library.verified_answers")


@cli.options
class AnswerOptions:
    """Queries, and the presentation of the answers."""

    photos: tuple[str, ...] = cli.option(
        (), "Photos or folders to search by.", positional=True
    )
    list: str | None = cli.option(
        None, "File with a photo per line to search by; - for standard input."
    )
    top: int | None = cli.option(
        None, "Number of photos to find per query; default: 10.", minimum=1
    )
    min_similarity: float | None = cli.option(
        None, "Least similarity, or votes, of a photo to be found."
    )
    box: tuple[float, ...] | None = cli.option(
        None, "Part of the photo to search for: x1,y1,x2,y2 in pixels."
    )
    format: str = cli.option(
        "text",
        "What to print; json is one object per line, html is the page.",
        choices=("text", "json", "csv", "html"),
    )
    output: str | None = cli.option(None, "HTML page to write.")
    folder: str | None = cli.option(
        None,
        "Folder of the indexed photos, for the page and --rerank=verify, if it "
        "has moved or is not stored in the index.",
    )
    rerank: tuple[str, ...] = cli.option(
        (),
        "Re-ranking step, as of agem_tf.evaluate: qe:5 and others in an exact "
        "index; verify:100 orders the 100 best by shared local features.",
    )
    local_features: str | None = cli.option(
        None,
        "Local features of the indexed photos, for --rerank=verify; by default "
        "the best photos' files are read.",
    )
    local_model: str | None = cli.option(
        None,
        "For local features of a trained network: its export, with which "
        "queries are extracted.",
    )

    def __post_init__(self) -> None:
        is_one_photo = len(self.photos) == 1 and not os.path.isdir(
            self.photos[0]
        )
        if self.box is not None and not (is_one_photo and len(self.box) == 4):
            raise UserError("--box takes x1,y1,x2,y2 of exactly one photo.")
        if self.local_features is not None and not self.verifies:
            raise UserError(
                "--local_features is for --rerank=verify; give both."
            )

    @property
    def has_page(self) -> bool:
        """Whether the answers are written as a page."""
        return self.output is not None or self.format == "html"

    @property
    def verifies(self) -> bool:
        """Whether local features are compared."""
        return any(step.partition(":")[0] == "verify" for step in self.rerank)


@cli.options
class SearchOptions(AnswerOptions):
    """Options of a search."""

    index: str = cli.required("Directory of the index, or milvus:ADDRESS.")
    like: tuple[str, ...] = cli.option(
        (), "Photo of what to find; all of them make one query."
    )
    unlike: tuple[str, ...] = cli.option(
        (), "With --like, photo of what not to find."
    )
    descriptors: str | None = cli.option(
        None, "Descriptor set to search by instead of photos."
    )
    where: str | None = cli.option(
        None,
        "Filter of the photos by their metadata, for example 'year>=2020 and "
        "landmark!=unknown'.",
    )
    collapse: bool = cli.option(
        False, "Show copies of one shot as one result; exact index only."
    )
    labels: bool = cli.option(
        False,
        "Name what each photo shows, by a vote of the photos found that have "
        "a label; csv then is one row per query.",
    )
    label_field: str | None = cli.option(
        None, "Metadata field with the labels; default: landmark."
    )
    voters: int | None = cli.option(
        None,
        "Number of the nearest labelled photos that vote; default: 10.",
        minimum=1,
    )
    min_confidence: float | None = cli.option(
        None,
        "Confidence below which a photo shows none of the labels; default: "
        "0.3.",
        minimum=0,
        maximum=1,
    )
    exclude_self: bool = cli.option(
        False, "Leave out the query itself and exact copies of it."
    )
    parameter: tuple[str, ...] = cli.option(
        (), "Search parameter of FAISS or Milvus, for example nprobe=32."
    )
    model: str | None = cli.option(
        None, "For Milvus: directory of the SavedModel, if it has moved."
    )

    def __post_init__(self) -> None:
        sources = (self.photos, self.descriptors, self.list, self.like)
        if sum(map(bool, sources)) != 1:
            raise UserError(
                "Give photos to search by, or --descriptors=DIR, --list=FILE "
                "or --like=PHOTO."
            )
        if self.unlike and not self.like:
            raise UserError("--unlike needs --like=PHOTO.")
        AnswerOptions.__post_init__(self)
        if self.folder is not None and not (self.has_page or self.verifies):
            raise UserError(
                "--folder is for --output, --format=html and --rerank=verify; "
                "give one of them too."
            )
        if self.local_model is not None and self.local_features is None:
            raise UserError(
                "--local_model made --local_features; give both or neither."
            )
        if self.verifies and (self.descriptors or self.like):
            raise UserError(
                "--rerank=verify compares photos; give photos to search by."
            )
        for name in ("label_field", "voters", "min_confidence"):
            if getattr(self, name) is not None and not self.labels:
                raise UserError(f"--{name} is for --labels; give both.")

    @property
    def other_steps(self) -> tuple[str, ...]:
        """The steps of re-ranking before the local features."""
        return self.rerank[: len(self.rerank) - self.verifies]


@cli.options
class FeatureSearchOptions(AnswerOptions):
    """Search by all local features, without global descriptors."""

    local_index: str = cli.required(
        "Index of local features, by agem_tf.aggregate."
    )

    def __post_init__(self) -> None:
        if bool(self.photos) == bool(self.list):
            raise UserError("Give photos to search by, or --list=FILE.")
        AnswerOptions.__post_init__(self)
        if len(self.rerank) > self.verifies:
            raise UserError(
                "An index of local features has no descriptors to re-rank; "
                "--rerank=verify alone goes with it."
            )


def main(
    options: SearchOptions | FeatureSearchOptions,
) -> list[answers.Answer]:
    """Searches an index and prints what it finds.

    Raises:
        UserError: options do not go together, or the index, a query, the
            folder or a parameter is at fault.
        PartialResultError: a photo of a folder or a list can't be read; the
            answers of the others are printed.
    """
    atomic_writing.check_writable(options.output)
    listing.check_folder(options.folder)
    steps = reranking.parse_rerank(options.rerank)
    _, verification = reranking.split_verification(steps)
    if isinstance(options, FeatureSearchOptions):
        return _search_features(options, verification)
    stored = storages.storage_at(options.index, options.model).open()
    stored.index.tune(loading.parse_assignments(options.parameter))
    folder = options.folder or stored.origin.photos
    voting = _voting(options)
    top = options.top or stored.index.num_found()
    voters = 0 if voting is None else voting.voters
    candidates = 0 if verification is None else verification.num_candidates
    limits = answers.SearchLimits(
        max(top, candidates, voters),
        options.min_similarity,
        options.exclude_self,
        options.where if voting is None else voting.filter(options.where),
        options.collapse,
        options.other_steps,
    )
    unreadable: list[str] = []
    fields = ()
    if options.format == "csv":
        fields = photo_index.PhotoIndex(stored).metadata_fields
        heading = answers.csv_heading(options.verifies, fields, options.labels)
        cli.print_line(heading)
    coming = _answers(stored, options, limits, unreadable)
    if verification is not None:
        coming = verified_answers.verified_answers(
            list(coming),
            verification,
            max(top, voters),
            folder,
            options.local_features,
            options.local_model,
        )
    if voting is not None:
        coming = (answer.recognized(voting, top) for answer in coming)
    return _print_answers(coming, options, unreadable, fields, folder)


def _search_features(
    options: FeatureSearchOptions, verification: Any
) -> list[answers.Answer]:
    index = feature_search.FeatureSearch(
        options.local_index,
        options.local_model,
        options.folder,
        verification,
        options.local_features,
        options.min_similarity,
    )
    if options.format == "csv":
        cli.print_line(answers.csv_heading(options.verifies))
    unreadable: list[str] = []
    queries, is_list = _queries(options)
    top = options.top or 10
    if is_list:
        coming = index.answers(queries, top, unreadable)
    else:
        coming = (index.answer(query, top, options.box) for query in queries)
    return _print_answers(coming, options, unreadable, (), options.folder)


def _print_answers(
    coming: Iterable[answers.Answer],
    options: AnswerOptions,
    unreadable: list[str],
    fields: Sequence[str],
    folder: str | None,
) -> list[answers.Answer]:
    """Prints answers as they come; then reports what could not be read."""
    found = []
    for answer in coming:
        found.append(answer)
        # Without results there is no row.
        has_rows = answer.matches or answer.recognition is not None
        if options.format == "csv" and not has_rows:
            continue
        if options.format != "html":
            cli.print_line(answer.shown_as(options.format, fields))
    if options.format == "html":
        cli.print_line(answers.answers_page(found, folder))
    if options.output is not None:
        answers.save_answers_page(options.output, found, folder)
        if options.format == "text":
            cli.print_line(f"Page: {options.output}")
    if unreadable:
        raise PartialResultError(
            f"{len(unreadable)} of {len(unreadable) + len(found)} photos to "
            f"search by can't be read; the first: {unreadable[0]}"
        )
    return found


def _voting(options: SearchOptions) -> recognition.Voting | None:
    if not options.labels:
        return None
    given = {
        "field": options.label_field,
        "voters": options.voters,
        "least_confidence": options.min_confidence,
    }
    return recognition.Voting(
        **{key: value for key, value in given.items() if value is not None}
    )


def _queries(options: AnswerOptions) -> tuple[Sequence[str], bool]:
    """Returns the photos to search by, and whether a list or folder has them.

    Of those, photos that can't be read are left out.
    """
    if options.list:
        return answers.listed_queries(options.list), True
    queries = answers.expand_folders(options.photos)
    return queries, queries != list(options.photos)


def _answers(
    stored: storages.StoredIndex,
    options: SearchOptions,
    limits: answers.SearchLimits,
    unreadable: list[str],
) -> Iterable[answers.Answer]:
    if options.descriptors:
        return answers.search_by_descriptors(
            stored, options.descriptors, limits=limits
        )
    if options.like:
        return [
            answers.search_by_examples(
                stored, options.like, options.unlike, limits
            )
        ]
    queries, is_list = _queries(options)
    if is_list:
        return answers.search_in_batches(stored, queries, limits, unreadable)
    return answers.search_by_photos(
        stored, queries, box=options.box, limits=limits
    )


if __name__ == "__main__":
    cli.run(main, SearchOptions, local_index=FeatureSearchOptions)
