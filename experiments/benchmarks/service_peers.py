"""Serve the model of an index by other software, for `service_load.py`.

    pip install litserve
    python experiments/benchmarks/service_peers.py --index=photos.index \\
        --peer=litserve --port=8095

Both answer TensorFlow Serving's requests of one photo. "fastapi" is a few lines
around the model, which runs it once per request; "litserve" collects photos of
requests in batches, with the limits of our service.
"""

import base64
import os

import fastapi
import tensorflow as tf
import uvicorn
from absl import app, flags
from fastapi.concurrency import run_in_threadpool

from agem_tf.extraction.photo_files import FileExtractor
from agem_tf.retrieval.indexes import storage_at
from agem_tf.saved_models.retrieval_model import load_exported

try:
    import litserve
except ImportError:
    litserve = None

_INDEX = flags.DEFINE_string("index", None, "Index to serve.", required=True)
_PEER = flags.DEFINE_enum(
    "peer", "fastapi", ["fastapi", "litserve"], "What serves the model."
)
_PORT = flags.DEFINE_integer("port", 8095, "Port to listen on.")
_PREDICT = "/v1/models/agem_tf:predict"


def warm_extractor(index: str) -> FileExtractor:
    extractor = load_exported(os.fspath(storage_at(index).open().model))
    # The first run of a graph takes seconds, and by several threads minutes.
    extractor.encoded(
        [tf.io.encode_jpeg(tf.zeros((9, 9, 3), tf.uint8)).numpy()]
    )
    return extractor


def decoded_photos(body: dict) -> list[bytes]:
    return [base64.b64decode(each["b64"]) for each in body["instances"]]


def predictions(rows) -> dict:
    return {"predictions": rows.tolist()}


def serve_fastapi() -> None:
    extractor, application = warm_extractor(_INDEX.value), fastapi.FastAPI()

    @application.post(_PREDICT)
    async def predict(request: fastapi.Request) -> dict:
        photos = decoded_photos(await request.json())
        outputs = await run_in_threadpool(
            extractor.function,
            encoded_images=tf.constant(photos),
            boxes=tf.zeros((len(photos), 4)),
        )
        return predictions(outputs["descriptors"].numpy())

    uvicorn.run(application, port=_PORT.value, log_level="warning")


class LitServeModel(litserve.LitAPI if litserve else object):
    """The model for LitServe, which sends it to a process of its own.

    Attributes:
        index: the index whose model it is.
    """

    index: str

    def setup(self, device):
        self.extractor = warm_extractor(self.index)

    def decode_request(self, request):
        (photo,) = decoded_photos(request)
        return photo

    def batch(self, inputs):
        return inputs

    def predict(self, photos):
        outputs = self.extractor.function(
            encoded_images=tf.constant(photos),
            boxes=tf.zeros((len(photos), 4)),
        )
        return outputs["descriptors"].numpy()

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return predictions(output[None])


def serve_litserve() -> None:
    model = LitServeModel(
        max_batch_size=16, batch_timeout=0.005, api_path=_PREDICT
    )
    model.index = _INDEX.value
    litserve.LitServer(model, accelerator="cpu", timeout=False).run(
        host="127.0.0.1",
        port=_PORT.value,
        generate_client_file=False,
        log_level="warning",
    )


def main(_: list[str]) -> None:
    serve_litserve() if _PEER.value == "litserve" else serve_fastapi()


if __name__ == "__main__":
    app.run(main)
