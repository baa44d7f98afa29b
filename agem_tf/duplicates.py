"""Find photos of an index that show the same, or that two indexes share.

    python -m agem_tf.duplicates --index=photos.index --output=copies.html
    python -m agem_tf.duplicates --index=test.index --other=train.index

Photos are grouped that are connected by pairs of at least --min_similarity.
With --other, the photos of the first index that the second holds too are
listed, for example photos for a test that were trained on.
"""

from __future__ import annotations

from agem_tf import cli
from agem_tf.errors import UserError

answers = cli.lazy("agem_tf.library.answers")
copies = cli.lazy("agem_tf.library.copies")
descriptor_files = cli.lazy("agem_tf.evaluation.descriptor_files")
storages = cli.lazy("agem_tf.retrieval.indexes")


@cli.options
class DuplicatesOptions:
    """Options of a search for duplicates."""

    index: str = cli.required("Directory of an exact index.")
    other: str | None = cli.option(
        None, "Exact index of other photos, made with the same model."
    )
    min_similarity: float = cli.option(
        0.9, "Least similarity of a pair.", minimum=-1, maximum=1
    )
    format: str = cli.option(
        "text",
        "What to print; json is one object per line.",
        choices=("text", "json", "csv"),
    )
    output: str | None = cli.option(None, "HTML page to write.")
    folder: str | None = cli.option(
        None, "Folder of the indexed photos for --output, if it has moved."
    )

    def __post_init__(self) -> None:
        if self.folder is not None and self.output is None:
            raise UserError("--folder is for --output; give both.")


def main(options: DuplicatesOptions) -> list[answers.Answer]:
    """Finds duplicates and prints them.

    Raises:
        UserError: an index is missing, not exact or of another model.
    """
    photos = descriptor_files.load_descriptors(options.index)
    if options.other is None:
        found = copies.groups_of_copies(photos, options.min_similarity)
    else:
        others = descriptor_files.load_descriptors(options.other)
        found = copies.copies_between(photos, others, options.min_similarity)
    if options.format == "csv":
        cli.print_line("photo,rank,similarity,copy")
    for answer in found:
        if options.format == "text":
            cli.print_line(answer.lines())
        elif options.format == "json":
            cli.print_line(answer.to_json())
        else:
            cli.print_line(answer.to_csv())
    if options.output is not None:
        folder = options.folder or _folder(options.index)
        answers.save_answers_page(
            options.output,
            found,
            folder if options.other is None else _folder(options.other),
            query_folder=folder,
            title="Duplicates",
            noun="photo with copies",
            nouns="photos with copies",
        )
    if options.format == "text":
        copied = sum(len(answer.matches) for answer in found)
        groups = "groups" if options.other is None else "photos"
        cli.print_line(
            f"{len(found)} {groups} with {copied} copies among "
            f"{len(photos.names)} photos"
        )
        if options.output is not None:
            cli.print_line(f"Page: {options.output}")
    return found


def _folder(index: str) -> str | None:
    return storages.storage_at(index).open().origin.photos


if __name__ == "__main__":
    cli.run(main, DuplicatesOptions)
