"""The line of a TensorFlow error that a user can read."""

_AROUND_THE_CAUSE = (
    "Additional GRPC",
    "Detected at node",
    "File ",
    "Graph execution error",
    "<stack traces",
    "[[",
)
_MOST_CHARACTERS = 300


def cause(error: Exception) -> str:
    """Returns the first line of `error` that is not about the graph."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_AROUND_THE_CAUSE)]
    return (telling or lines or [type(error).__name__])[0][:_MOST_CHARACTERS]
