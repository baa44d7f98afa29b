"""A Gradio app that searches for the same object in a folder of photos.

It makes the index when it starts for the first time. PHOTOS names the folder,
rendered buildings by default; PRESET the network, EfficientNet-lite2 with
ImageNet weights by default.
"""

import os
import pathlib

import gradio
import numpy as np
import PIL.Image

from agem_tf import demo, index
from agem_tf.errors import UserError
from agem_tf.library.photo_index import PhotoIndex
from agem_tf.photos.reading import read_thumbnail

DATA = pathlib.Path(os.environ.get("DATA", "data"))
PLACE = DATA / "index"
TOP, SIDE, EXAMPLES = 12, 480, 4


def open_index() -> PhotoIndex:
    """Opens the index, and makes it first if there is none."""
    if not PLACE.exists():
        photos = os.environ.get("PHOTOS")
        if photos is None:
            photos = str(DATA / "photos")
            # They are there if the app was ended while it made the index.
            if not os.path.exists(photos):
                demo.render_photos(pathlib.Path(photos))
        index.main(
            index.IndexOptions(
                index=str(PLACE),
                photos=photos,
                preset=os.environ.get("PRESET"),
                skip_bad=True,
            )
        )
    return PhotoIndex.open(PLACE)


def create_app(photos: PhotoIndex) -> gradio.Interface:
    """Returns the page of an index."""

    def shown(name: str) -> PIL.Image.Image | None:
        return read_thumbnail(os.path.join(photos.folder, name), SIDE)

    def search(photo: np.ndarray | None) -> list[tuple]:
        if photo is None:
            raise gradio.Error("Choose a photo first.")
        try:
            found = photos.search(photo, top=TOP)
        except UserError as error:
            raise gradio.Error(str(error)) from error
        results = [
            (shown(match.name), f"{match.similarity:.2f}  {match.name}")
            for match in found
        ]
        return [result for result in results if result[0] is not None]

    names = photos.photo_names()
    chosen = names[:: max(len(names) // EXAMPLES, 1)][:EXAMPLES]
    return gradio.Interface(
        search,
        gradio.Image(label="Photo", type="numpy"),
        gradio.Gallery(label="Most similar first", columns=4),
        examples=[shown(name) for name in chosen],
        cache_examples=False,
        flagging_mode="never",
        title="Search for the same object",
        description=f"Searches {len(photos)} photos.",
        api_name="search",
    )


if __name__ == "__main__":
    create_app(open_index()).launch()
