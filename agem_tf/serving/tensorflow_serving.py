"""The REST protocol of TensorFlow Serving: /v1/models/NAME.

Its signatures take encoded photos: `serving_default` and `encoded_images`, and
`encoded_crops` with boxes. An exported model in TensorFlow Serving itself also
takes pixels.

Reference:
    https://www.tensorflow.org/tfx/serving/api_rest
"""

from collections.abc import Sequence
from typing import Any

import fastapi
from fastapi import Request, Response
from fastapi.responses import JSONResponse

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
from agem_tf.serving.service_errors import ServiceError

_CROPS = "encoded_crops"
_SIGNATURES = ("serving_default", PHOTOS, _CROPS)
_EXAMPLE = {"instances": [{"b64": "iVBORw0KGgo="}]}
_BODY = json_body(_EXAMPLE)


def tensorflow_serving_routes(requests: ModelRequests) -> fastapi.APIRouter:
    """Returns the routes of the protocol."""
    router = fastapi.APIRouter(prefix="/v1/models", tags=["TensorFlow Serving"])

    @router.get("/{name}")
    @router.get("/{name}/versions/{version}")
    async def model_status(
        name: str, version: str | None = None
    ) -> dict[str, Any]:
        """Returns the versions of the model and their states."""
        await requests.find(name, version)
        status = {"error_code": "OK", "error_message": ""}
        state = {"version": VERSION, "state": "AVAILABLE", "status": status}
        return {"model_version_status": [state]}

    @router.get("/{name}/metadata")
    @router.get("/{name}/versions/{version}/metadata")
    async def model_metadata(
        name: str, version: str | None = None
    ) -> dict[str, Any]:
        """Returns the signatures of the model."""
        model = await requests.find(name, version)
        spec = {"name": name, "signature_name": "", "version": VERSION}
        signatures = {
            signature: _signature(signature, model.dimension)
            for signature in _SIGNATURES
        }
        return {
            "model_spec": spec,
            "metadata": {"signature_def": {"signature_def": signatures}},
        }

    @router.post("/{name}:predict", openapi_extra=_BODY)
    @router.post("/{name}/versions/{version}:predict", openapi_extra=_BODY)
    async def predict(
        request: Request, name: str, version: str | None = None
    ) -> Response:
        """Returns descriptors and statuses of photos in base64."""
        model = await requests.find(name, version)
        body = await requests.parse(await request.body())
        signature = body.get("signature_name", _SIGNATURES[0])
        if signature not in _SIGNATURES:
            raise ServiceError(
                400,
                f"Serving signature name {signature!r} not found; the model "
                f"has {', '.join(_SIGNATURES)}.",
            )
        if ("instances" in body) == ("inputs" in body):
            raise ServiceError(400, "Send either instances or inputs.")
        by_row = "instances" in body
        columns = (_columns_of_rows if by_row else _columns)(
            body["instances"] if by_row else body["inputs"]
        )
        if (BOXES in columns) != (signature == _CROPS):
            raise ServiceError(
                400, f"{BOXES} are an input of {_CROPS}, and of no other."
            )
        photos = columns[PHOTOS]
        encoded = await requests.decode([_base64_of(each) for each in photos])
        boxes = None
        if BOXES in columns:
            boxes = checked_boxes(columns[BOXES], len(encoded))
        rows = await requests.describe(model, encoded, boxes)
        return await requests.run(_answer, rows, by_row)

    return router


def _columns_of_rows(instances: Any) -> dict[str, list[Any]]:
    """Returns the inputs of instances, which are photos or named inputs."""
    if not isinstance(instances, list) or not instances:
        raise ServiceError(400, "instances is a list with a photo or more.")
    rows = [
        each if isinstance(each, dict) and "b64" not in each else {PHOTOS: each}
        for each in instances
    ]
    names = rows[0].keys()
    if any(row.keys() != names for row in rows):
        raise ServiceError(400, "All instances need the same inputs.")
    return _known_inputs({name: [row[name] for row in rows] for name in names})


def _columns(inputs: Any) -> dict[str, list[Any]]:
    """Returns the inputs of columns, which are photos or named columns."""
    is_named = isinstance(inputs, dict) and "b64" not in inputs
    columns = inputs if is_named else {PHOTOS: inputs}
    return _known_inputs(
        {
            name: column if isinstance(column, list) else [column]
            for name, column in columns.items()
        }
    )


def _known_inputs(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    if PHOTOS not in columns or not columns.keys() <= {PHOTOS, BOXES}:
        raise ServiceError(
            400, f"The inputs are {PHOTOS}, and {BOXES} for {_CROPS}."
        )
    return columns


def _base64_of(photo: Any) -> str:
    if isinstance(photo, dict) and photo.keys() == {"b64"}:
        return photo["b64"]
    raise ServiceError(400, 'A photo is {"b64": "its bytes in base64"}.')


def _answer(rows: Sequence[PhotoRow], by_row: bool) -> Response:
    descriptors = [row.descriptor.tolist() for row in rows]
    statuses = [row.status for row in rows]
    if not by_row:
        outputs = {DESCRIPTORS: descriptors, STATUS: statuses}
        return JSONResponse({"outputs": outputs})
    predictions = [
        {DESCRIPTORS: descriptor, STATUS: status}
        for descriptor, status in zip(descriptors, statuses, strict=True)
    ]
    return JSONResponse({"predictions": predictions})


def _signature(name: str, dimension: int) -> dict[str, Any]:
    """Returns a signature as the JSON of TensorFlow's SignatureDef."""
    inputs = {PHOTOS: _tensor(PHOTOS, "DT_STRING", -1)}
    if name == _CROPS:
        inputs[BOXES] = _tensor(BOXES, "DT_FLOAT", -1, 4)
    return {
        "inputs": inputs,
        "outputs": {
            DESCRIPTORS: _tensor(DESCRIPTORS, "DT_FLOAT", -1, dimension),
            STATUS: _tensor(STATUS, "DT_INT32", -1),
        },
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


def _tensor(name: str, dtype: str, *sides: int) -> dict[str, Any]:
    dim = [{"size": str(side), "name": ""} for side in sides]
    return {
        "name": f"{name}:0",
        "dtype": dtype,
        "tensor_shape": {"dim": dim, "unknown_rank": False},
    }
