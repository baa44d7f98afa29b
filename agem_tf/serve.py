"""Serve an index over HTTP: a page, a search, and the model's protocols.

    python -m agem_tf.serve --index=photos.index

The page is at http://127.0.0.1:8080. Programs use POST /search and what
/openapi.json describes, TensorFlow Serving's REST protocol (/v1/models/...) or
the Open Inference Protocol (/v2/models/...); agem_tf.client is one in Python.

Nobody else reaches the service unless --host names another address. The token
that requests must carry then is in --token_file, or in the environment variable
AGEM_TF_TOKEN. Needs: pip install '.[serve]'
"""

from __future__ import annotations

from agem_tf import cli
from agem_tf.serving.service_options import ServeOptions

http_server = cli.lazy("agem_tf.serving.http_server")
listing = cli.lazy("agem_tf.photos.listing")


def main(options: ServeOptions) -> None:
    """Serves an index until SIGTERM or SIGINT.

    Raises:
        UserError: the folder of the photos is missing, the index can't be
            opened, the port is taken, or a package of the service is not
            installed.
    """
    listing.check_folder(options.folder)
    http_server.serve(options)


if __name__ == "__main__":
    cli.run(main, ServeOptions)
