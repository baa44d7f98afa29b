"""The Open Inference Protocol, version 2: /v2, of KServe, Triton and others.

Photos are a tensor of datatype BYTES: in base64 within the JSON, or as they are
behind it, by the extension for binary data.

References:
    https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
    https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import json
import re
import struct
from collections.abc import Sequence
from typing import Any

import fastapi
import numpy as np
from fastapi import Request, Response

from agem_tf._version import __version__
from agem_tf.serving.batched_model import PhotoRow
from agem_tf.serving.model_requests import (
    BOXES,
    DESCRIPTORS,
    PHOTOS,
    STATUS,
    VERSION,
    ModelRequests,
    checked_boxes,
    json_body,
)
from agem_tf.serving.service import Service
from agem_tf.serving.service_errors import ServiceError

_LENGTH = "inference-header-content-length"
_DATATYPES = {DESCRIPTORS: "FP32", STATUS: "INT32"}
_EXAMPLE = {
    "inputs": [
        {
            "name": PHOTOS,
            "datatype": "BYTES",
            "shape": [1],
            "data": ["iVBORw0KGgo="],
        }
    ]
}
_BODY = json_body(_EXAMPLE)


def open_inference_routes(
    requests: ModelRequests, service: Service
) -> fastapi.APIRouter:
    """Returns the routes of the protocol."""
    router = fastapi.APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    _add_server_routes(router, service)
    _add_model_routes(router, requests)
    return router


def _add_server_routes(router: fastapi.APIRouter, service: Service) -> None:
    @router.get("")
    async def server_metadata() -> dict[str, Any]:
        """Names the server."""
        return {
            "name": "agem_tf",
            "version": __version__,
            "extensions": ["binary_tensor_data"],
        }

    @router.get("/health/live")
    async def server_live() -> dict[str, bool]:
        """Answers while the service runs."""
        return {"live": True}

    @router.get("/health/ready")
    async def server_ready() -> dict[str, bool]:
        """Answers while the index and its model can be used."""
        await service.state()
        return {"ready": True}


def _add_model_routes(
    router: fastapi.APIRouter, requests: ModelRequests
) -> None:
    @router.get("/models/{name}/ready")
    @router.get("/models/{name}/versions/{version}/ready")
    async def model_ready(
        name: str, version: str | None = None
    ) -> dict[str, Any]:
        """Answers while the model can be used."""
        await requests.find(name, version)
        return {"name": name, "ready": True}

    @router.get("/models/{name}")
    @router.get("/models/{name}/versions/{version}")
    async def model_description(
        name: str, version: str | None = None
    ) -> dict[str, Any]:
        """Describes inputs and outputs of the model."""
        model = await requests.find(name, version)
        return _description(name, model.dimension)

    @router.post("/models/{name}/infer", openapi_extra=_BODY)
    @router.post("/models/{name}/versions/{version}/infer", openapi_extra=_BODY)
    async def infer(
        request: Request, name: str, version: str | None = None
    ) -> Response:
        """Returns descriptors and statuses of photos."""
        model = await requests.find(name, version)
        head, binary = _divided(
            await request.body(), request.headers.get(_LENGTH)
        )
        body = await requests.parse(head)
        inputs = _inputs(body, binary)
        photos = inputs.get(PHOTOS)
        if photos is None:
            raise ServiceError(400, f"The input {PHOTOS} is missing.")
        if not isinstance(photos, _Binary):
            encoded = await requests.decode(photos)
        else:
            encoded = photos.texts()
        boxes = None
        if BOXES in inputs:
            boxes = checked_boxes(_box_rows(inputs[BOXES]), len(encoded))
        rows = await requests.describe(model, encoded, boxes)
        return await requests.run(_answer, body, name, model.dimension, rows)


def _description(name: str, dimension: int) -> dict[str, Any]:
    return {
        "name": name,
        "versions": [VERSION],
        "platform": "tensorflow_savedmodel",
        "inputs": [
            {"name": PHOTOS, "datatype": "BYTES", "shape": [-1]},
            {
                "name": BOXES,
                "datatype": "FP32",
                "shape": [-1, 4],
                "parameters": {"optional": True},
            },
        ],
        "outputs": [
            {
                "name": DESCRIPTORS,
                "datatype": "FP32",
                "shape": [-1, dimension],
            },
            {"name": STATUS, "datatype": "INT32", "shape": [-1]},
        ],
    }


class _Binary(bytes):
    """The bytes of a tensor behind the JSON."""

    def texts(self) -> list[bytes]:
        """Returns the elements of a tensor of datatype BYTES.

        Raises:
            ServiceError: a length does not fit.
        """
        found, place = [], 0
        while place < len(self):
            if place + 4 > len(self):
                raise ServiceError(400, "A length of the binary data is cut.")
            (length,) = struct.unpack_from("<I", self, place)
            place += 4
            if place + length > len(self):
                raise ServiceError(
                    400, "A length of the binary data exceeds it."
                )
            found.append(bytes(self[place : place + length]))
            place += length
        return found


def _divided(body: bytes, length: str | None) -> tuple[bytes, bytes]:
    """Returns the JSON of a body and the binary data behind it."""
    if length is None:
        return body, b""
    # Python refuses to read thousands of digits.
    if not re.fullmatch("[0-9]{1,15}", length) or int(length) > len(body):
        raise ServiceError(400, f"{_LENGTH} does not fit the body.")
    return body[: int(length)], body[int(length) :]


def _inputs(body: dict[str, Any], binary: bytes) -> dict[str, Any]:
    """Returns the data of each input, checked against its shape.

    Raises:
        ServiceError: an input has the wrong form.
    """
    described = body.get("inputs")
    if not isinstance(described, list):
        raise ServiceError(400, "inputs is a list of tensors.")
    inputs: dict[str, Any] = {}
    place = 0
    for each in described:
        if not isinstance(each, dict) or each.get("name") not in (
            PHOTOS,
            BOXES,
        ):
            raise ServiceError(
                400, f"The inputs are {PHOTOS} and, if wanted, {BOXES}."
            )
        name = each["name"]
        if name in inputs:
            raise ServiceError(400, f"{name} is given twice.")
        wanted = "BYTES" if name == PHOTOS else "FP32"
        if each.get("datatype") != wanted:
            raise ServiceError(400, f"{name} has datatype {wanted}.")
        size = _parameter(each, "binary_data_size")
        if size is None:
            data = each.get("data")
            if not isinstance(data, list):
                raise ServiceError(400, f"{name} has no data.")
        else:
            if type(size) is not int or not 0 <= size <= len(binary) - place:
                raise ServiceError(
                    400, f"binary_data_size of {name} exceeds the body."
                )
            data = _Binary(binary[place : place + size])
            place += size
        inputs[name] = data
        _check_shape(name, each.get("shape"), data)
    return inputs


def _check_shape(name: str, shape: Any, data: Any) -> None:
    count = None
    if name == PHOTOS:
        count = len(data.texts() if isinstance(data, _Binary) else data)
        # Triton's clients send a column, others a list.
        fits = shape in ([count], [count, 1])
    else:
        is_pair = isinstance(shape, list) and len(shape) == 2
        fits = is_pair and shape[1] == 4
    if not fits:
        raise ServiceError(400, f"The shape of {name} does not fit its data.")


def _box_rows(data: Any) -> Any:
    if isinstance(data, _Binary):
        if len(data) % 16:
            raise ServiceError(400, f"{BOXES} are four FP32 per photo.")
        return np.frombuffer(data, "<f4").reshape(-1, 4)
    # Flat or nested, as the protocol allows both.
    is_flat = all(isinstance(edge, int | float) for edge in data)
    return (
        [data[i : i + 4] for i in range(0, len(data), 4)] if is_flat else data
    )


def _answer(
    body: dict[str, Any], name: str, dimension: int, rows: Sequence[PhotoRow]
) -> Response:
    """Returns the outputs that are asked for, in JSON or behind it."""
    descriptors = np.empty((len(rows), dimension), np.float32)
    for position, row in enumerate(rows):
        descriptors[position] = row.descriptor
    arrays = {
        DESCRIPTORS: descriptors,
        STATUS: np.array([row.status for row in rows], np.int32),
    }
    all_binary = _parameter(body, "binary_data_output") is True
    wanted = body.get("outputs") or [{"name": output} for output in arrays]
    outputs: dict[str, dict[str, Any]] = {}
    parts = []
    for each in wanted if isinstance(wanted, list) else [None]:
        output_name = each.get("name") if isinstance(each, dict) else None
        # Each once, because a small request could ask for gigabytes.
        if output_name not in [name for name in arrays if name not in outputs]:
            raise ServiceError(
                400, f"The outputs are {' and '.join(arrays)}, each once."
            )
        array = arrays[output_name]
        output: dict[str, Any] = {
            "name": output_name,
            "datatype": _DATATYPES[output_name],
            "shape": list(array.shape),
        }
        is_binary = _parameter(each, "binary_data")
        if all_binary if is_binary is None else is_binary is True:
            content = array.astype(array.dtype.newbyteorder("<")).tobytes()
            output["parameters"] = {"binary_data_size": len(content)}
            parts.append(content)
        else:
            output["data"] = array.ravel().tolist()
        outputs[output_name] = output
    answer = {
        "model_name": name,
        "model_version": VERSION,
        "outputs": list(outputs.values()),
    }
    if isinstance(body.get("id"), str):
        answer["id"] = body["id"]
    head = json.dumps(answer).encode()
    if not parts:
        return Response(head, media_type="application/json")
    return Response(
        head + b"".join(parts),
        media_type="application/octet-stream",
        headers={"Inference-Header-Content-Length": str(len(head))},
    )


def _parameter(described: dict[str, Any], name: str) -> Any:
    parameters = described.get("parameters")
    return parameters.get(name) if isinstance(parameters, dict) else None
