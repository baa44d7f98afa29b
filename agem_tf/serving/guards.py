"""What every request passes: identity, log, access, limits, headers.

Plain ASGI, so that a body is counted while it arrives and an answer is seen
when its first byte leaves.
"""

import asyncio
import collections
import hmac
import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from agem_tf.serving.instruments import Instruments
from agem_tf.serving.service_errors import ServiceError, busy
from agem_tf.serving.service_options import ServeOptions

_LOG = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Nothing of elsewhere is loaded, and no text of a page is run.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; manifest-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# Status in the log of a request whose client has closed the connection.
CLIENT_LEFT = 499
# Key of a request's number in its scope.
REQUEST_ID = "agem_tf.request_id"
_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Answered without a token: a page has to load before it can ask for one.
_OPEN_PATHS = ("/", "/health", "/favicon.ico", "/v2/health/live")
_STATIC = "/static/"
# Answered also when there is no room for other requests.
_PROBES = {"/health", "/metrics", "/v2/health/live", "/v2/health/ready"}
# Takes as long as the folder needs.
_UNHURRIED = {"/sync"}
# Seconds of its rate that a client may use at once.
_BURST_SECONDS = 10
_MOST_CLIENTS = 10_000


class Guards:
    """Wraps an application.

    Args:
        application: what answers the requests that pass.
        options: options of the command.
        instruments: count the requests.
        token: bearer token that requests must carry, if any.
    """

    def __init__(
        self,
        application: Application,
        options: ServeOptions,
        instruments: Instruments,
        token: str | None = None,
    ):
        self._application = application
        self._options = options
        self._instruments = instruments
        self._token = token
        self._hosts = options.hosts
        self._rates = RateLimit(options.rate)
        self._in_flight = 0

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._options.max_body)
        started = time.monotonic()
        self._in_flight += 1
        self._instruments.in_flight.set(self._in_flight)
        try:
            self._check_access(exchange)
            self._check_load(exchange)
            unhurried = exchange.path in _UNHURRIED
            limit = None if unhurried else self._options.timeout
            # The server sends the headers of the answer only.
            if exchange.method == "HEAD":
                scope = {**scope, "method": "GET"}
            async with asyncio.timeout(limit):
                await self._application(scope, exchange.receive, exchange.send)
        except ServiceError as error:
            await exchange.refuse(error)
        except TimeoutError:
            await exchange.refuse(exchange.late_error())
        except Exception:
            # The application has answered it.
            _LOG.exception("Request %s failed", exchange.id)
        finally:
            self._in_flight -= 1
            self._instruments.in_flight.set(self._in_flight)
            seconds = time.monotonic() - started
            route = getattr(scope.get("route"), "path", "none")
            self._instruments.observe_request(
                _known_method(exchange.method),
                route,
                exchange.status or CLIENT_LEFT,
                seconds,
            )
            exchange.log(seconds)

    def _check_access(self, exchange: "_Exchange") -> None:
        """Checks host, origin and token.

        Raises:
            ServiceError: the request is not allowed.
        """
        host = exchange.header("host").lower()
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if self._hosts is not None and name not in self._hosts:
            raise ServiceError(
                400,
                "The service is not called by this name; start it with "
                "--allowed_host.",
            )
        # A form of somebody else's page needs no permission of CORS to be sent.
        origin = exchange.header("origin")
        if origin and origin.partition("://")[2].lower() != host:
            raise ServiceError(403, "Pages of other origins are not answered.")
        if exchange.header("sec-fetch-site") == "cross-site" and (
            exchange.method != "GET"
        ):
            raise ServiceError(403, "Pages of other sites are not answered.")
        if self._token is None or exchange.is_open:
            return
        kind, _, given = exchange.header("authorization").partition(" ")
        matches = hmac.compare_digest(
            given.strip().encode("latin-1", "replace"), self._token.encode()
        )
        if not (matches and kind.lower() == "bearer"):
            raise ServiceError(
                401,
                "Send the token: Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": "Bearer"},
            )

    def _check_load(self, exchange: "_Exchange") -> None:
        """Checks rate, concurrency, length and encoding of the body.

        Raises:
            ServiceError: the client, or all clients together, ask too much, or
                the body is compressed.
        """
        if exchange.path in _PROBES:
            return
        if exchange.method not in ("GET", "HEAD", "OPTIONS"):
            self._rates.take(exchange.client)
        if self._in_flight > self._options.concurrency:
            raise busy("Too many requests at once; try again.")
        length = exchange.header("content-length")
        if length.isdecimal() and int(length) > self._options.max_body:
            raise exchange.too_large()
        # Unpacked, a few bytes may be gigabytes.
        coding = exchange.header("content-encoding").strip().lower()
        if coding not in ("", "identity"):
            raise ServiceError(
                415, "Compressed bodies are not read; send the body as it is."
            )


class RateLimit:
    """A bucket of tokens per client.

    Args:
        rate: requests per second and client; 0 for any.
    """

    def __init__(self, rate: float):
        self._rate = rate
        self._most = max(1.0, rate * _BURST_SECONDS)
        self._buckets: collections.OrderedDict[str, tuple[float, float]] = (
            collections.OrderedDict()
        )

    def take(self, client: str) -> None:
        """Counts a request.

        Raises:
            ServiceError: the client has sent too many.
        """
        if not self._rate:
            return
        now = time.monotonic()
        left, last = self._buckets.pop(client, (self._most, now))
        left = min(self._most, left + (now - last) * self._rate)
        self._buckets[client] = (max(left - 1, 0) if left >= 1 else left), now
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        if left < 1:
            wait = max(1, round((1 - left) / self._rate))
            raise ServiceError(
                429,
                f"More than {self._rate:g} requests per second; wait.",
                {"Retry-After": str(wait)},
            )


class _Exchange:
    """A request and its answer on their way through the guards."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, most_bytes: int
    ):
        self._scope, self._receive, self._send = scope, receive, send
        self._headers = {
            key.decode("latin-1"): value.decode("latin-1")
            for key, value in scope["headers"]
        }
        self.path: str = scope["path"]
        self.method: str = scope["method"]
        self.client = (scope.get("client") or ("unknown",))[0]
        given = self.header("x-request-id")
        is_plain = _PLAIN_ID.fullmatch(given)
        self.id = given if is_plain else uuid.uuid4().hex
        scope[REQUEST_ID] = self.id
        self.status = 0
        self._most_bytes = most_bytes
        self._received = self._sent = 0
        self._is_received = False

    @property
    def is_open(self) -> bool:
        """Whether the path is answered without a token."""
        return self.path in _OPEN_PATHS or self.path.startswith(_STATIC)

    def header(self, name: str) -> str:
        """Returns the last header of a name, empty if there is none."""
        return self._headers.get(name, "")

    def too_large(self) -> ServiceError:
        """Returns the error of a body that is too large."""
        return ServiceError(
            413,
            f"A request has at most {self._most_bytes:,} bytes; send smaller "
            "photos, or start the service with a greater --max_body.",
            {"Connection": "close"},
        )

    def late_error(self) -> ServiceError:
        """Returns the error of a request that took too long."""
        if self._is_received:
            return busy("The request took too long; try again.")
        return ServiceError(
            408, "The request came too slowly.", {"Connection": "close"}
        )

    async def receive(self) -> MutableMapping[str, Any]:
        """Receives a part of the body, and counts it."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            self._is_received = not message.get("more_body", False)
            if self._received > self._most_bytes:
                raise self.too_large()
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Sends a part of the answer, with the headers of every answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = {key.lower() for key, _ in message["headers"]}
            added = {"X-Request-Id": self.id, **_HEADERS}
            if b"cache-control" not in given:
                added["Cache-Control"] = "no-store"
            message["headers"] = [
                *message["headers"],
                *((k.encode(), v.encode()) for k, v in added.items()),
            ]
        self._sent += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, error: ServiceError) -> None:
        """Answers with an error, unless the answer has begun."""
        if self.status:
            return
        content = error_json(error)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            **error.headers,
        }
        await self.send(
            {
                "type": "http.response.start",
                "status": error.code,
                "headers": [
                    (k.lower().encode(), v.encode()) for k, v in headers.items()
                ],
            }
        )
        await self.send({"type": "http.response.body", "body": content})

    def log(self, seconds: float) -> None:
        """Writes a line of JSON; a query string may be private and is not."""
        _LOG.info(
            "%s",
            json.dumps(
                {
                    "request": self.id,
                    "client": self.client,
                    "method": self.method,
                    "path": self.path,
                    "status": self.status,
                    "seconds": round(seconds, 4),
                    "received": self._received,
                    "sent": self._sent,
                }
            ),
        )


def error_json(error: ServiceError) -> bytes:
    """Returns the body of a refused request."""
    return json.dumps({"error": str(error)}).encode()


def _known_method(method: str) -> str:
    """Returns a method, so that a client can't invent labels of metrics."""
    known = "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"
    return method if method in known else "other"
