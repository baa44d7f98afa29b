"""Kinds of index in Milvus and their parameters, checked before use.

Milvus Lite accepts any name and any parameter, and then searches exactly.

Reference: https://milvus.io/docs/index-explained.md
"""

import dataclasses
from collections.abc import Mapping

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes import exact_index

_VECTORS, _PARTITION = "vectors", "partition"
_VECTOR_TYPES = ("float32", "float16")
# Smallest and greatest value of a parameter, or all of its values.
_Bounds = tuple[int, int] | frozenset[str]
_CELLS = {"nlist": (1, 65_536)}
_VISITED_CELLS = {"nprobe": (1, 65_536)}
_GRAPH = {"M": (2, 2_048), "efConstruction": (1, 100_000)}
_PRODUCT_CODES = {"m": (1, 65_536), "nbits": (1, 24)}
# What is kept beside the codes, to compare candidates by it again; without it,
# they are compared by the codes alone.
_REFINE_TYPE = "refine_type"
_REFINED = {
    _REFINE_TYPE: frozenset({"SQ6", "SQ8", "BF16", "FP16", "FP32"}),
}
_REFINED_PER_RESULT = {"refine_k": (1, 1_000)}


@dataclasses.dataclass(frozen=True)
class _Kind:
    """Parameters of a kind of index, when it is built and when searched."""

    build: Mapping[str, _Bounds] = dataclasses.field(default_factory=dict)
    search: Mapping[str, _Bounds] = dataclasses.field(default_factory=dict)
    in_lite: bool = False


_KINDS = {
    "FLAT": _Kind(in_lite=True),
    "AUTOINDEX": _Kind(search={"level": (1, 10)}, in_lite=True),
    "HNSW": _Kind(_GRAPH, {"ef": (1, 32_768)}, in_lite=True),
    "IVF_FLAT": _Kind(_CELLS, _VISITED_CELLS, in_lite=True),
    "IVF_SQ8": _Kind(_CELLS, _VISITED_CELLS, in_lite=True),
    "HNSW_SQ": _Kind(
        _GRAPH
        | {"sq_type": frozenset({"SQ6", "SQ8", "BF16", "FP16"})}
        | _REFINED,
        {"ef": (1, 32_768)} | _REFINED_PER_RESULT,
    ),
    "HNSW_PQ": _Kind(
        _GRAPH | _PRODUCT_CODES | _REFINED,
        {"ef": (1, 32_768)} | _REFINED_PER_RESULT,
    ),
    "IVF_PQ": _Kind(_CELLS | _PRODUCT_CODES, _VISITED_CELLS),
    "IVF_RABITQ": _Kind(
        _CELLS | _REFINED,
        _VISITED_CELLS | {"rbq_query_bits": (0, 8)} | _REFINED_PER_RESULT,
    ),
    "SCANN": _Kind(_CELLS, {**_VISITED_CELLS, "reorder_k": (1, 16_384)}),
    "DISKANN": _Kind({}, {"search_list": (1, 65_535)}),
}


@dataclasses.dataclass(frozen=True)
class MilvusKind:
    """A kind of index with its parameters.

    Attributes:
        name: index type of Milvus.
        parameters: parameters to build it with; Milvus' own defaults for
            others.
        vectors: type of the stored numbers, "float32" or "float16".
        partition: field of the metadata that the index is partitioned by.
    """

    name: str
    parameters: Mapping[str, int | str | bool]
    vectors: str = "float32"
    partition: str | None = None


def parse_kind(factory: str, dimension: int, in_lite: bool) -> MilvusKind:
    """Reads --factory for an index in Milvus.

    Args:
        factory: "exact", or a kind with parameters, as in
            "HNSW:M=32,efConstruction=200,vectors=float16,partition=place".
        dimension: dimension of the descriptors.
        in_lite: whether the index is in Milvus Lite.

    Raises:
        UserError: the kind or a parameter is unknown, out of bounds, or not
            supported by Milvus Lite.
    """
    name, values = _name_and_values(factory)
    if name not in _KINDS:
        raise UserError(
            f"In Milvus --factory is one of exact, {', '.join(_KINDS)}. "
            f"Received: --factory={factory}"
        )
    if in_lite and not _KINDS[name].in_lite:
        supported = [n for n, kind in _KINDS.items() if kind.in_lite]
        raise UserError(
            f"{name} needs a Milvus server; Milvus Lite has "
            f"{', '.join(supported)}."
        )
    partition = values.pop(_PARTITION, None)
    if partition == "":
        raise UserError(
            f"{_PARTITION} names a field of the metadata. Received: "
            f"--factory={factory}"
        )
    vectors = values.pop(_VECTORS, _VECTOR_TYPES[0])
    if vectors not in _VECTOR_TYPES:
        raise UserError(
            f"{_VECTORS} is one of {', '.join(_VECTOR_TYPES)}. Received: "
            f"--factory={factory}"
        )
    if in_lite and vectors != _VECTOR_TYPES[0]:
        raise UserError(
            f"{_VECTORS}={vectors} needs a Milvus server; Milvus Lite keeps "
            "float32."
        )
    parameters = _checked(name, _KINDS[name].build, values)
    parts = parameters.get("m", dimension)
    if dimension % parts:
        raise UserError(
            f"m must divide the {dimension} dimensions of the descriptors. "
            f"Received: --factory={factory}"
        )
    if _REFINE_TYPE in parameters:
        parameters["refine"] = True
    return MilvusKind(name, parameters, vectors, partition)


def partition_field(factory: str) -> str | None:
    """Returns the field that --factory partitions by, if any."""
    return _name_and_values(factory)[1].get(_PARTITION)


def check_search_parameters(
    name: str, parameters: Mapping[str, int | str]
) -> dict[str, int | str]:
    """Returns the search parameters of a kind of index.

    Raises:
        UserError: the kind has no such parameter, or it is out of bounds.
    """
    return _checked(name, _KINDS[name].search, parameters)


def _name_and_values(factory: str) -> tuple[str, dict[str, str]]:
    name, _, given = factory.partition(":")
    name = "FLAT" if name == exact_index.FACTORY else name
    parts = [part for part in given.split(",") if part]
    return name, dict(part.partition("=")[::2] for part in parts)


def _checked(
    name: str, bounds: Mapping[str, _Bounds], values: Mapping[str, int | str]
) -> dict[str, int | str]:
    checked = {}
    for key, value in values.items():
        if key not in bounds:
            known = f"it has {', '.join(bounds)}" if bounds else "it has none"
            raise UserError(
                f"An index of kind {name} has no parameter {key!r} here; "
                f"{known}."
            )
        if isinstance(bounds[key], frozenset):
            if value not in bounds[key]:
                raise UserError(
                    f"{key} of {name} is one of "
                    f"{', '.join(sorted(bounds[key]))}. Received: {key}={value}"
                )
            checked[key] = value
            continue
        least, most = bounds[key]
        number = int(value) if str(value).isdecimal() else least - 1
        if not least <= number <= most:
            raise UserError(
                f"{key} of {name} must be a whole number from {least} to "
                f"{most}. Received: {key}={value}"
            )
        checked[key] = number
    return checked
