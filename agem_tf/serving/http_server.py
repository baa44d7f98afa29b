"""Runs the application in uvicorn, on this machine's addresses."""

import asyncio
import logging
import os
import pathlib
import socket
import sys
import threading
import webbrowser

from agem_tf import cli
from agem_tf.errors import UserError
from agem_tf.serving.service_options import ServeOptions

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from agem_tf.serving.application import create_application
    from agem_tf.serving.service import Service
except ModuleNotFoundError as error:
    if error.name not in ("fastapi", "prometheus_client", "uvicorn"):
        raise
    raise UserError(
        f"The service needs {error.name}: pip install '.[serve]'"
    ) from error

_TOKEN_VARIABLE = "AGEM_TF_TOKEN"
# Connections, of which most wait between two requests.
_MOST_CONNECTIONS = 1000
_HEADER_SECONDS = 10.0
_LEAST_TOKEN = 16


class ImpatientProtocol(H11Protocol):
    """HTTP 1.1 that closes a connection without a complete request in time.

    uvicorn waits for ever for the first headers, so that a few thousand
    half-open connections would take all there may be.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(
            _HEADER_SECONDS, self._close_if_idle
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._deadline.cancel()
        self._deadline = self.loop.call_later(
            _HEADER_SECONDS, self._close_if_idle
        )
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        super().send_400_response(msg)
        # The application, which waits for a body, would answer once more.
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def serve(options: ServeOptions) -> None:
    """Serves an index until SIGTERM or SIGINT; then finishes its requests.

    Raises:
        UserError: the index can't be opened, the token is too short, or the
            port is taken.
    """
    token = read_token(options)
    with listening_socket(options.host, options.port) as listener:
        service = Service(options)
        page = address_of(listener)
        cli.print_line(
            f"Serving {len(service.index.state)} photos of {options.index} at "
            f"{page}"
        )
        sys.stdout.flush()
        if options.browser:
            # A browser in the terminal returns when it is closed.
            threading.Thread(
                target=webbrowser.open, args=(page,), daemon=True
            ).start()
        create_server(service, token).run(sockets=[listener])


def create_server(service: Service, token: str | None = None) -> uvicorn.Server:
    """Returns a server that is not running yet.

    Args:
        service: the index and its model.
        token: bearer token that requests must carry, if any.
    """
    options = service.options
    return uvicorn.Server(
        uvicorn.Config(
            create_application(service, token),
            http=ImpatientProtocol,
            ws="none",
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            proxy_headers=bool(options.trusted_proxy),
            forwarded_allow_ips=options.trusted_proxy,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=int(options.timeout) + 1,
        )
    )


def read_token(options: ServeOptions) -> str | None:
    """Returns the token that requests must carry, if any.

    Raises:
        UserError: it is weak, or there is none and others reach the service.
    """
    if options.token_file is None:
        token = os.environ.get(_TOKEN_VARIABLE, "")
    else:
        token = pathlib.Path(options.token_file).read_text().strip()
    if options.token_file is None and not token:
        if options.is_reachable and not options.public:
            raise UserError(
                f"Others can reach --host={options.host}; give "
                f"--token_file=FILE or {_TOKEN_VARIABLE}, or --public to "
                "answer anybody."
            )
        return None
    if len(token) < _LEAST_TOKEN or not token.isascii():
        raise UserError(
            f"The token has fewer than {_LEAST_TOKEN} characters, or others "
            "than ASCII; make one with: openssl rand -hex 32"
        )
    return token


def listening_socket(host: str, port: int) -> socket.socket:
    """Returns a socket that accepts connections; port 0 is a free one.

    Raises:
        UserError: the port is taken, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        raise UserError(
            f"--host={host} --port={port} can't be listened on "
            f"({error.strerror}); give another one."
        ) from error
    return listener


def address_of(listener: socket.socket) -> str:
    """Returns the address that clients of this machine use."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
