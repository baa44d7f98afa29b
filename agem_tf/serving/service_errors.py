"""Errors of the service: a status of HTTP and one sentence."""

from agem_tf.errors import UserError


class ServiceError(UserError):
    """A request that is refused.

    Args:
        code: status of HTTP.
        sentence: names the thing and the fix.
        headers: further headers of the answer.
    """

    def __init__(
        self, code: int, sentence: str, headers: dict[str, str] | None = None
    ):
        super().__init__(sentence)
        self.code = code
        self.headers = headers or {}


def not_found(sentence: str) -> ServiceError:
    """Returns the error of a thing that is not there."""
    return ServiceError(404, sentence)


def busy(sentence: str) -> ServiceError:
    """Returns the error of a service that is asked for too much at once."""
    return ServiceError(503, sentence, {"Retry-After": "1"})
