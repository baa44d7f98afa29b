"""Open the search page over rendered buildings, or over your own photos.

    python -m agem_tf.demo
    python -m agem_tf.demo --photos=DIR

The first time, photos of invented buildings are rendered and indexed; the next
time the page opens at once. An index of your own photos follows its folder.
Needs: pip install '.[serve]'
"""

from __future__ import annotations

import hashlib
import pathlib

from agem_tf import cli, index, serve

album = cli.lazy("agem_tf.rendered_landmarks.album")
atomic_writing = cli.lazy("agem_tf.files.atomic_writing")
progress = cli.lazy("agem_tf.progress")
scene_settings = cli.lazy("agem_tf.rendered_landmarks.scene_settings")

_SEED = 7
_BUILDINGS, _VIEWS, _SIDE = 12, 6, 400


@cli.options
class DemoOptions:
    """Options of the demonstration."""

    photos: str | None = cli.option(
        None, "Folder of your photos; rendered buildings by default."
    )
    directory: str = cli.option(
        "runs/demo", "Directory to keep rendered photos and indexes in."
    )
    port: int = cli.option(
        8080, "Port to listen on; 0 takes a free one.", minimum=0, maximum=65535
    )
    browser: bool = cli.option(True, "Open the page in the browser.")


def main(options: DemoOptions) -> None:
    """Serves an index of the photos until SIGTERM or SIGINT.

    Raises:
        UserError: there are no photos, the port is taken, or a package of the
            service is not installed.
    """
    directory = pathlib.Path(options.directory)
    if options.photos is None:
        photos, place = directory / "photos", directory / "index"
        if not photos.exists():
            render_photos(photos)
    else:
        photos = pathlib.Path(options.photos).absolute()
        digest = hashlib.sha256(str(photos).encode()).hexdigest()
        place = directory / f"index-{digest[:8]}"
    if place.exists():
        index.main(index.SyncOptions(index=str(place), skip_bad=True))
    else:
        index.main(
            index.IndexOptions(
                index=str(place), photos=str(photos), skip_bad=True
            )
        )
    serve.main(
        serve.ServeOptions(
            index=str(place), port=options.port, browser=options.browser
        )
    )


def render_photos(directory: pathlib.Path) -> None:
    """Renders photos of invented buildings, in one folder per building."""
    settings = scene_settings.SceneSettings()
    albums = album.render_albums(
        _SEED, range(_BUILDINGS), _VIEWS, _SIDE, settings
    )
    count = _BUILDINGS * _VIEWS
    with (
        atomic_writing.atomic_directory(directory) as temporary,
        progress.Progress("Rendering", count, "photos") as done,
    ):
        for building, photos in enumerate(albums):
            folder = temporary / f"building {building + 1:02}"
            folder.mkdir()
            for view, (encoded, _) in enumerate(photos):
                (folder / f"{view + 1}.jpg").write_bytes(encoded)
            done.update(len(photos))


if __name__ == "__main__":
    cli.run(main, DemoOptions)
