"""Attacks on the connection itself, on a running server."""

import json
import socket

import pytest

from agem_tf import serve
from agem_tf.errors import UserError
from agem_tf.serving import http_server
from agem_tf.serving.service_options import ServeOptions

NAME = "place%200/0%20%C3%A4.jpg"


def talk(address: str, content: bytes) -> bytes:
    """Sends bytes and returns all that comes until the server closes."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(content)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def request(target, *headers, method="GET", body=b"", closes=True):
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if closes:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + body


def statuses(answer: bytes) -> list[int]:
    parts = answer.split(b"HTTP/1.1 ")[1:]
    return [int(part[:3]) for part in parts]


def test_pipelined_requests_are_answered_in_order(address):
    answer = talk(
        address,
        request("/library", closes=False)
        + request("/nowhere", closes=False)
        + request("/health"),
    )
    assert statuses(answer) == [200, 404, 200]


@pytest.mark.parametrize("target", ["/", "/health", f"/photos/{NAME}"])
def test_head_is_answered_like_get_without_a_body(address, target):
    got, head = (
        talk(address, request(target, method=method))
        for method in ("GET", "HEAD")
    )
    assert statuses(head) == statuses(got) == [200]
    assert head.endswith(b"\r\n\r\n")
    _, _, body = got.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}\r\n" in head.decode().lower()


def test_a_client_that_leaves_is_no_defect(address, caplog):
    host, port = address.removeprefix("http://").split(":")
    path = "/v2/models/agem_tf/infer"
    sent = request(path, "Content-Length: 100", method="POST", body=b"{")
    # Before the request leaves: its line is written as soon as the server
    # sees that the client is gone.
    with caplog.at_level("INFO"):
        with socket.create_connection(
            (host, int(port)), timeout=20
        ) as connection:
            connection.sendall(sent)
        for _ in range(1000):
            if path in caplog.text:
                break
            assert statuses(talk(address, request("/health"))) == [200]
    (line,) = [text for text in caplog.messages if path in text]
    assert json.loads(line)["status"] == 499


@pytest.mark.parametrize(
    "target",
    [
        "/thumbnails/../../../../etc/passwd",
        "/photos/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/photos//etc/passwd",
        "/photos/%00",
        "/photos/%ff%fe",
        "/static/..%2f..%2fservice.py",
        "/static//etc/passwd",
        "//etc/passwd",
        "/photos/" + "a" * 30_000,
        f"/thumbnails/{NAME}?side=99999",
    ],
)
def test_paths_lead_nowhere_else(address, target):
    (status,) = statuses(talk(address, request(target)))
    assert status in (404, 422)


@pytest.mark.parametrize(
    "content",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /library HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /library HTTP/1.1\r\nHost: 127.0.0.1\r\nA: b\rc\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        request("/search", "Content-Length: x", method="POST"),
        request("/search", "Content-Length: -1", method="POST"),
        request(
            "/search",
            "Content-Length: 3",
            "Transfer-Encoding: chunked",
            method="POST",
            body=b"zz\r\n",
        ),
        request(
            "/search",
            "Transfer-Encoding: chunked",
            method="POST",
            body=b"zz\r\n",
        ),
        request(
            "/search",
            "Content-Type: multipart/form-data",
            "Content-Length: 1",
            method="POST",
            body=b"x",
        ),
        request(
            "/search",
            "Content-Type: multipart/form-data; boundary=b",
            "Content-Length: 9",
            method="POST",
            body=b"--b\r\nX\r\n\r",
        ),
    ],
)
def test_malformed_requests_are_refused(address, content, caplog):
    found = statuses(talk(address, content))
    assert found and found[0] in (400, 404, 422)
    assert "Traceback" not in caplog.text


def test_more_than_the_most_bytes_close_the_connection(address):
    declared = request(
        "/search", "Content-Length: 999999999999", method="POST", closes=False
    )
    assert statuses(talk(address, declared)) == [413]
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    chunked = request(
        "/v1/models/agem_tf:predict",
        "Transfer-Encoding: chunked",
        method="POST",
        body=chunk * 4,
        closes=False,
    )
    assert statuses(talk(address, chunked)) == [413]


def test_a_header_of_the_answer_can_not_be_injected(address):
    answer = talk(address, request("/library", "X-Request-Id: a%0d%0aEvil: 1"))
    assert b"Evil" not in answer
    answer = talk(address, request("/photos/a%0d%0aEvil:%201"))
    assert b"\nEvil" not in answer


def test_html_in_a_name_is_json(address):
    answer = talk(address, request("/photos/%3Cscript%3E"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    assert "<script>" in json.loads(body)["error"]


def test_half_open_connections_are_closed(address, monkeypatch):
    monkeypatch.setattr(http_server, "_HEADER_SECONDS", 0.05)
    assert talk(address, b"") == b""
    assert talk(address, b"GET /library HTTP/1.1\r\nHost: 127.") == b""


def test_a_body_that_never_comes_is_given_up(service, monkeypatch, address):
    object.__setattr__(service.options, "timeout", 0.3)
    try:
        slow = request(
            "/search",
            "Content-Type: multipart/form-data; boundary=b",
            "Content-Length: 100",
            method="POST",
            body=b"--b\r\n",
            closes=False,
        )
        assert statuses(talk(address, slow)) == [408]
    finally:
        object.__setattr__(service.options, "timeout", 30.0)


def test_a_taken_port_and_a_weak_token_are_refused(tmp_path, address):
    port = int(address.rsplit(":", 1)[1])
    with pytest.raises(UserError, match=f"--port={port}"):
        http_server.listening_socket("127.0.0.1", port)
    weak = tmp_path / "token"
    weak.write_text("1234\n")
    with pytest.raises(UserError, match="openssl rand"):
        http_server.read_token(ServeOptions(index="x", token_file=str(weak)))


def test_others_are_not_answered_by_accident(monkeypatch):
    monkeypatch.delenv("AGEM_TF_TOKEN", raising=False)
    assert http_server.read_token(ServeOptions(index="x")) is None
    for host in ("0.0.0.0", "::", "example.org"):
        with pytest.raises(UserError, match="--public"):
            http_server.read_token(ServeOptions(index="x", host=host))
    public = ServeOptions(index="x", host="0.0.0.0", public=True)
    assert http_server.read_token(public) is None
    monkeypatch.setenv("AGEM_TF_TOKEN", "0123456789abcdef")
    reachable = ServeOptions(index="x", host="0.0.0.0")
    assert http_server.read_token(reachable) == "0123456789abcdef"


def test_a_folder_that_is_not_there_is_refused():
    options = ServeOptions(index="x", folder="absent")
    with pytest.raises(UserError, match="No folder at absent; give .*--folder"):
        serve.main(options)
