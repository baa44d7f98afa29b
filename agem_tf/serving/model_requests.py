"""Requests to the model itself, shared by both protocols of model servers."""

import asyncio
import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agem_tf.photos.boxes import Box
from agem_tf.photos.encoding import quiet_photo
from agem_tf.photos.screening import PhotoStatus
from agem_tf.serving.batched_model import BatchedModel, PhotoRow
from agem_tf.serving.service import Service
from agem_tf.serving.service_errors import ServiceError, not_found

# The model of an index has one version at a time.
VERSION = "1"
PHOTOS, BOXES = "encoded_images", "boxes"
DESCRIPTORS, STATUS = "descriptors", "status"


class ModelRequests:
    """Runs the served model by the name under which it is served.

    Args:
        service: the index and its model.
    """

    def __init__(self, service: Service):
        self._service = service
        self.name = service.options.model_name

    async def find(self, name: str, version: str | None) -> BatchedModel:
        """Returns the model of a name and a version.

        Raises:
            ServiceError: there is none.
        """
        state = await self._service.state()
        is_known = name == self.name and version in (None, VERSION)
        if not is_known or state.model is None:
            wanted = name if version is None else f"{name} version {version}"
            raise not_found(
                f"Servable not found: {wanted}; this service has {self.name} "
                f"version {VERSION}."
                if state.model
                else "The index was made of descriptors and has no model."
            )
        return state.model

    async def describe(
        self,
        model: BatchedModel,
        encoded: Sequence[bytes],
        boxes: Sequence[Box] | None,
    ) -> list[PhotoRow]:
        """Runs the model; a bad photo gets a status and disturbs no other.

        Raises:
            ServiceError: there are too many photos.
        """
        if len(encoded) > model.max_waiting:
            raise ServiceError(
                413, f"A request has at most {model.max_waiting} photos."
            )
        names = [
            f"photo {number} of a request"
            for number in range(1, 1 + len(encoded))
        ]
        quiet = await asyncio.gather(
            *(
                self._service.run(quiet_photo, *pair)
                for pair in zip(encoded, names, strict=True)
            )
        )
        sent = [place for place, photo in enumerate(quiet) if photo is not None]
        bad = PhotoRow(
            np.zeros(model.dimension, np.float32), int(PhotoStatus.UNREADABLE)
        )
        rows = [bad] * len(encoded)
        described = await model.describe(
            [quiet[place] for place in sent],
            boxes and [boxes[place] for place in sent],
        )
        for place, row in zip(sent, described, strict=True):
            rows[place] = row
        return rows

    async def run(self, function: Callable, *arguments: Any) -> Any:
        """Runs a function on a large body or answer in a thread."""
        return await self._service.run(function, *arguments)

    async def parse(self, body: bytes) -> dict[str, Any]:
        """Returns the JSON object of a body, in a thread.

        Raises:
            ServiceError: the body is none.
        """
        return await self.run(_json_object, body)

    async def decode(self, texts: Sequence[Any]) -> list[bytes]:
        """Returns the bytes of base64 texts, in a thread.

        Raises:
            ServiceError: one is none.
        """
        return await self.run(_decoded, texts)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    # RecursionError: a million brackets.
    except (ValueError, RecursionError) as error:
        raise ServiceError(400, f"The body is no JSON ({error}).") from error
    if not isinstance(found, dict):
        raise ServiceError(400, "The body is no JSON object.")
    return found


def _decoded(texts: Sequence[Any]) -> list[bytes]:
    try:
        return [base64.b64decode(text, validate=True) for text in texts]
    except (binascii.Error, TypeError, ValueError) as error:
        raise ServiceError(
            400, f"A photo is not a text in base64 ({error})."
        ) from error


def json_body(example: dict[str, Any]) -> dict[str, Any]:
    """Returns the OpenAPI description of a JSON body that routes read alone."""
    content = {"schema": {"type": "object", "example": example}}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": content},
        }
    }


def checked_boxes(rows: Any, count: int) -> list[Box]:
    """Returns boxes of a request.

    Raises:
        ServiceError: these are not four finite numbers per photo.
    """
    try:
        boxes = np.array(rows, np.float64)
    except (TypeError, ValueError, OverflowError):
        boxes = np.empty(0)
    is_right = boxes.shape == (count, 4) and np.isfinite(boxes).all()
    if not is_right or (np.abs(boxes) > 1e6).any():
        raise ServiceError(
            400, f"{BOXES} are four numbers per photo, for {count} photos."
        )
    return [tuple(row) for row in boxes.tolist()]
