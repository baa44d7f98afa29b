"""Find the photos of an index that resemble a photo.

    python -m agem_tf.search photo.jpg --index=photos.index
    python -m agem_tf.search a.jpg b.jpg --index=photos.index --output=page.html

--box=x1,y1,x2,y2 searches for the contents of a box, in pixels of the photo as
seen. --descriptors searches by an extracted descriptor set instead of photos.
"""

from __future__ import annotations

from agem_tf import cli
from agem_tf.config import loading
from agem_tf.errors import UserError

answers = cli.lazy("agem_tf.library.answers")
storages = cli.lazy("agem_tf.retrieval.indexes")
verified_answers = cli.lazy("agem_tf.library.verified_answers")


@cli.options
class SearchOptions:
    """Options of a search."""

    photos: tuple[str, ...] = cli.option(
        (), "Photos to search by.", positional=True
    )
    index: str = cli.required("Directory of the index, or milvus:ADDRESS.")
    descriptors: str | None = cli.option(
        None, "Descriptor set to search by instead of photos."
    )
    top: int | None = cli.option(
        None, "Number of photos to find per query; default: 10."
    )
    box: tuple[float, ...] | None = cli.option(
        None, "Part of the photo to search for: x1,y1,x2,y2 in pixels."
    )
    output: str | None = cli.option(None, "HTML page to write.")
    folder: str | None = cli.option(
        None, "Folder of the indexed photos for --output, if it has moved."
    )
    parameter: tuple[str, ...] = cli.option(
        (), "Search parameter of FAISS or Milvus, for example nprobe=32."
    )
    rerank: str | None = cli.option(
        None, "verify:100 orders the 100 best by shared local features."
    )
    local_features: str | None = cli.option(
        None,
        "Local features of the indexed photos, for --rerank; by default the "
        "best photos' files are read.",
    )
    model: str | None = cli.option(
        None, "For Milvus: directory of the SavedModel, if it has moved."
    )


def main(options: SearchOptions) -> list[answers.Answer]:
    """Searches an index and prints what it finds.

    Raises:
        UserError: options do not go together, or the index, a query or a
            parameter is at fault.
    """
    photos, box = options.photos, options.box
    if bool(photos) == bool(options.descriptors):
        raise UserError("Give photos to search by, or --descriptors=DIR.")
    if box is not None and (len(photos) != 1 or len(box) != 4):
        raise UserError("--box takes x1,y1,x2,y2 of exactly one photo.")
    if options.folder is not None and not (options.output or options.rerank):
        raise UserError("--folder is for --output; give both.")
    if options.local_features is not None and options.rerank is None:
        raise UserError("--local_features is for --rerank; give both.")
    verification = None
    if options.rerank is not None:
        verification = verified_answers.parse_verification(options.rerank)
        if options.descriptors:
            raise UserError(
                "--rerank=verify compares photos; give photos to search by."
            )
    stored = storages.storage_at(options.index, options.model).open()
    stored.index.tune(loading.parse_assignments(options.parameter))
    top = kept = stored.index.num_found(options.top)
    if verification is not None:
        candidates = min(verification.num_candidates, len(stored.index))
        top = max(top, candidates)
    if options.descriptors:
        found = answers.search_by_descriptors(stored, options.descriptors, top)
    else:
        found = answers.search_by_photos(stored, photos, top, box)
    folder = options.folder or stored.origin.photos
    if verification is not None:
        found = verified_answers.verified_answers(
            found, verification, kept, folder, options.local_features
        )
    if options.output is not None:
        answers.save_answers_page(options.output, found, folder)
    for answer in found:
        cli.print_line(answer.lines())
    if options.output is not None:
        cli.print_line(f"Page: {options.output}")
    return found


if __name__ == "__main__":
    cli.run(main, SearchOptions)
