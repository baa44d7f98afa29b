"""Identity of descriptors: the network that made them, and its settings."""

import dataclasses
import hashlib
import json
from typing import Any

import keras
import numpy as np

from agem_tf.config import ExtractionConfig, ImageConfig


def fingerprint(model: keras.Model) -> str:
    """Returns twelve hexadecimal digits that identify a network.

    Networks with equal weights may pool differently or compute in another
    precision, so the architecture and the dtypes count too.
    """
    config = model.get_config() | {
        "name": None,
        "dtypes": sorted({layer.dtype_policy.name for layer in model.layers}),
    }
    # Earlier releases do not have these, and the layers' dtypes count.
    config.pop("dtype", None)
    if not config.get("local_dimension"):
        for name in ("local_dimension", "local_map", "local_options"):
            config.pop(name, None)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    # Not `variables`: those have random seeds, which no file keeps.
    for variable in model.weights:
        digest.update(np.ascontiguousarray(variable.numpy()).data)
    return digest.hexdigest()[:12]


def provenance(
    model: keras.Model, image: ImageConfig, extraction: ExtractionConfig
) -> dict[str, Any]:
    """Returns what decides whether descriptors may be compared.

    See `files.provenance`. The whitening is added where it is applied. The
    canvases that photos are padded to do not change descriptors and are left
    out.
    """
    compared = dataclasses.asdict(image)
    del compared["buckets"]
    by_factor = extraction.resize_by == "factor"
    return {
        "model": fingerprint(model),
        "image": compared,
        "scales": extraction.scales,
        # Not in the provenance of earlier releases.
        **({"resize_by": "factor"} if by_factor else {}),
        "whitening": None,
    }
