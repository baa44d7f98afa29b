"""Steps as text, for flags and manifests: "dba:20,1", "qe:10,0"."""

import dataclasses
from collections.abc import Sequence

from agem_tf.errors import UserError
from agem_tf.retrieval.reranking.diffusion import Diffusion, OfflineDiffusion
from agem_tf.retrieval.reranking.expansion import (
    DatabaseAugmentation,
    QueryExpansion,
)
from agem_tf.retrieval.reranking.k_reciprocal import KReciprocal
from agem_tf.retrieval.reranking.pipeline import check_order
from agem_tf.retrieval.reranking.steps import Step
from agem_tf.retrieval.reranking.superglobal import SuperGlobal

STEPS = {
    "dba": DatabaseAugmentation,
    "diffusion": Diffusion,
    "k_reciprocal": KReciprocal,
    "offline_diffusion": OfflineDiffusion,
    "qe": QueryExpansion,
    "superglobal": SuperGlobal,
}

# "agem": the exponents that the AGeM paper found best, 1 for the database and 0
# for queries.
PRESETS = {"agem": ("dba:20,1", "qe:10,0")}


def parse_rerank(specifications: Sequence[str]) -> list[Step]:
    """Builds the steps of re-ranking.

    Args:
        specifications: each the name of a preset, or a step's name and, after
            a colon, the first of its values, such as "qe:10,0" for
            num_neighbours=10 and alpha=0. The database is augmented before
            queries are expanded with it.

    Returns:
        The steps, in the order given.

    Raises:
        UserError: a name is unknown, a value is wrong, or a ranking step is
            not the last one.
    """
    steps = [
        _parse(text)
        for specification in specifications
        for text in PRESETS.get(specification, (specification,))
    ]
    check_order(steps)
    return steps


def _parse(text: str) -> Step:
    name, _, values = text.partition(":")
    if name not in STEPS:
        raise UserError(
            f"Unknown re-ranking {name!r}. Known: "
            f"{', '.join(map(_usage, STEPS))}; presets: {', '.join(PRESETS)}"
        )
    fields = dataclasses.fields(STEPS[name])
    given = values.split(",") if values else []
    if len(given) > len(fields):
        raise UserError(f"{text!r} has too many values; write {_usage(name)}.")
    try:
        return STEPS[name](
            *(
                field.type(value)
                for field, value in zip(fields, given, strict=False)
            )
        )
    except ValueError as error:
        raise UserError(f"{text!r}: {error}; write {_usage(name)}.") from error


def _usage(name: str) -> str:
    fields = [field.name for field in dataclasses.fields(STEPS[name])]
    return f"{name}[:{','.join(fields)}]"
