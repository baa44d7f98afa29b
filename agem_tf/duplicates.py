"""Find photos of a folder that show the same, or that two indexes share.

    python -m agem_tf.duplicates --photos=photos --output=copies.html
    python -m agem_tf.duplicates --index=photos.index --output=copies.html
    python -m agem_tf.duplicates --index=test.index --other=train.index

The index of a folder, by default FOLDER.index, is made or brought up to date
first, as `agem_tf.index` does it.

Photos are grouped that are connected by pairs of the --same shot, or thing.
With --other, the photos of the first index that the second holds too are
listed, for example photos for a test that were trained on.
"""

from __future__ import annotations

import os

from agem_tf import cli
from agem_tf.errors import UserError

answers = cli.lazy("agem_tf.library.answers")
atomic_writing = cli.lazy("agem_tf.files.atomic_writing")
collapsing = cli.lazy("agem_tf.library.collapsing")
copies = cli.lazy("agem_tf.library.copies")
descriptor_files = cli.lazy("agem_tf.evaluation.descriptor_files")
indexing = cli.lazy("agem_tf.library.indexing")
listing = cli.lazy("agem_tf.photos.listing")
report = cli.lazy("agem_tf.pages.report")
storages = cli.lazy("agem_tf.retrieval.indexes")
synchronization = cli.lazy("agem_tf.library.synchronization")


@cli.options
class DuplicatesOptions:
    """Options of a search for duplicates."""

    index: str | None = cli.option(
        None, "Directory of an exact index; by default that of --photos."
    )
    photos: str | None = cli.option(
        None, "Folder whose index is made or brought up to date first."
    )
    other: str | None = cli.option(
        None, "Exact index of other photos, made with the same model."
    )
    same: str = cli.option(
        "shot",
        "What pairs have in common: one shot, saved or edited again, or one "
        "thing, in any shot.",
        choices=("shot", "thing"),
    )
    min_similarity: float | None = cli.option(
        None,
        "Least similarity of a pair; by default that of --same with the model "
        "of an index without --workdir.",
        minimum=-1,
        maximum=1,
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
        if self.index is None and self.photos is None:
            raise UserError("Give --photos=FOLDER or --index=INDEX.")
        if self.folder is not None and self.output is None:
            raise UserError("--folder is for --output; give both.")
        if self.folder is not None and self.photos is not None:
            raise UserError("--photos is the folder already; omit --folder.")


def main(options: DuplicatesOptions) -> list[answers.Answer]:
    """Finds duplicates and prints them.

    Raises:
        UserError: an index is missing, not exact or of another model, or a
            folder is missing or can't be indexed.
    """
    atomic_writing.check_writable(options.output)
    listing.check_folder(options.folder)
    place = options.index
    if options.photos is not None:
        folder = os.path.abspath(os.path.expanduser(options.photos))
        place = options.index or f"{folder}.index"
        storage = storages.storage_at(place)
        update = indexing.index_photos
        if storage.exists:
            update = synchronization.sync_photos
        change = update(storage, folder)
        if options.format == "text":
            cli.print_line(change.summary())
            cli.print_line(f"Index: {place}")
    photos = descriptor_files.load_descriptors(place)
    least = options.min_similarity
    if least is None:
        is_shot = options.same == "shot"
        least = collapsing.SAME_SHOT if is_shot else collapsing.SAME_THING
    if options.other is None:
        found = copies.groups_of_copies(photos, least)
    else:
        others = descriptor_files.load_descriptors(options.other)
        found = copies.copies_between(photos, others, least)
    if options.format == "csv":
        cli.print_line("photo,rank,similarity,copy")
    for answer in found:
        cli.print_line(answer.shown_as(options.format))
    if options.output is not None:
        folder = options.folder or _folder(place)
        answers.save_answers_page(
            options.output,
            found,
            folder if options.other is None else _folder(options.other),
            query_folder=folder,
            title="Duplicates",
            noun="photo with copies",
            nouns="photos with copies",
            caption="first of the group" if options.other is None else "photo",
            has_leads=False,
        )
    if options.format == "text":
        count = sum(len(answer.matches) for answer in found)
        noun = "group" if options.other is None else "photo"
        cli.print_line(
            f"{report.counted(len(found), noun)} with "
            f"{report.counted(count, 'copy', 'copies')} among "
            f"{report.counted(len(photos.names), 'photo')}, from a similarity "
            f"of {least:g}"
        )
        if options.output is not None:
            cli.print_line(f"Page: {options.output}")
    return found


def _folder(index: str) -> str | None:
    return storages.storage_at(index).open().origin.photos


if __name__ == "__main__":
    cli.run(main, DuplicatesOptions)
