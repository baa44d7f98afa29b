"""Write a map of an index as a page, to look around in a library.

    python -m agem_tf.browse --index=photos.index --output=map.html

Photos near each other look alike. The page zooms, shows the photo under the
pointer, and opens it by a click. --layout=umap keeps similar photos closer
together (pip install '.[map]').
"""

from __future__ import annotations

from agem_tf import cli

atomic_writing = cli.lazy("agem_tf.files.atomic_writing")
listing = cli.lazy("agem_tf.photos.listing")
photo_index = cli.lazy("agem_tf.library.photo_index")
photo_map = cli.lazy("agem_tf.library.photo_map")
report = cli.lazy("agem_tf.pages.report")


@cli.options
class BrowseOptions:
    """Options of a map."""

    index: str = cli.required("Directory of an exact index.")
    output: str = cli.required("HTML page to write.")
    layout: str = cli.option(
        "pca",
        "Where photos are placed: by the two directions of most variance, or "
        "by UMAP.",
        choices=("pca", "umap"),
    )
    where: str | None = cli.option(
        None, "Filter of the photos by their metadata, as of agem_tf.search."
    )
    most: int = cli.option(
        10_000,
        "Most photos on the map; of more, as many in even steps.",
        minimum=3,
        maximum=100_000,
    )
    folder: str | None = cli.option(
        None, "Folder of the indexed photos, if it has moved."
    )


def main(options: BrowseOptions) -> int:
    """Writes the map, and returns the number of its photos.

    Raises:
        UserError: the index is missing or not exact, or has too few photos, or
            the folder is missing.
    """
    atomic_writing.check_writable(options.output)
    listing.check_folder(options.folder)
    count = photo_map.save_map_page(
        options.output,
        photo_index.PhotoIndex.open(options.index),
        layout=options.layout,
        where=options.where,
        most=options.most,
        folder=options.folder,
    )
    shown = report.counted(count, "photo")
    cli.print_line(f"Map of {shown}: {options.output}")
    return count


if __name__ == "__main__":
    cli.run(main, BrowseOptions)
