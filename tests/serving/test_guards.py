"""Requests that the service refuses before anything else sees them."""

import gzip
import json
import logging
import re

import pytest
from fastapi.testclient import TestClient

from agem_tf.errors import UserError
from agem_tf.serving.application import create_application
from agem_tf.serving.guards import Guards, RateLimit
from agem_tf.serving.instruments import Instruments
from agem_tf.serving.service_errors import ServiceError
from agem_tf.serving.service_options import ServeOptions

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def guarded(service):
    """A client of the service with a token."""
    return TestClient(create_application(service, TOKEN), "http://127.0.0.1")


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", "Bearer \xff"]
)
def test_a_token_is_required(guarded, given):
    headers = {"Authorization": given.encode("latin-1")} if given else {}
    answer = guarded.get("/library", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.text


def test_the_token_opens_and_a_page_loads_without_it(guarded):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/library", headers=headers).status_code == 200
    assert guarded.get("/health").status_code == 200
    assert guarded.get("/static/nothing.js").status_code == 404
    assert guarded.get("/static/../library").status_code == 401
    assert guarded.get("/static/%2e%2e/service.py").status_code == 404


def test_pages_of_others_are_not_answered(client):
    for headers, status in (
        ({"Host": "evil.example"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://127.0.0.1"}, 200),
        ({"Host": "localhost:8080"}, 200),
    ):
        answer = client.post(
            "/search", data={"name": "place 0/0 ä.jpg"}, headers=headers
        )
        assert answer.status_code == status, headers
        assert "access-control-allow-origin" not in answer.headers


def test_every_answer_has_the_headers_of_a_careful_page(client):
    for path in ("/library", "/nowhere", "/photos/nowhere"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_requests_have_a_number_and_a_line_of_log(client, caplog):
    caplog.set_level(logging.INFO, "agem_tf.serving.guards")
    answer = client.get("/library?secret=1", headers={"X-Request-Id": "my-1"})
    assert answer.headers["x-request-id"] == "my-1"
    line = json.loads(caplog.records[-1].message)
    assert (line["request"], line["path"]) == ("my-1", "/library")
    assert (line["method"], line["status"]) == ("GET", 200)
    made = client.get("/library", headers={"X-Request-Id": "a b<c>"})
    assert re.fullmatch("[0-9a-f]{32}", made.headers["x-request-id"])


def test_a_body_is_bounded_as_it_comes(client):
    large = b"x" * 200_001

    def parts():
        for _ in range(10):
            yield b"x" * 50_000

    for content in (large, parts()):
        answer = client.post("/v1/models/agem_tf:predict", content=content)
        assert answer.status_code == 413
        assert "200,000" in answer.json()["error"]
    files = {"photo": large}
    assert client.post("/search", files=files).status_code == 413


def test_metrics_count_requests_by_route(client):
    client.get("/thumbnails/nowhere.jpg")
    text = client.get("/metrics").text
    route = 'route="/thumbnails/{name:path}",status="404"'
    assert f'agem_tf_requests_total{{method="GET",{route}}}' in text
    assert "agem_tf_photos 9.0" in text
    assert "nowhere" not in text


def test_a_defect_is_answered_without_its_words(client, service, monkeypatch):
    def fail():
        raise RuntimeError("secret")

    monkeypatch.setattr(service, "state", fail)
    quiet = TestClient(client.app, "http://127.0.0.1")
    answer = quiet.get("/library")
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.json()["error"]
    assert "secret" not in answer.text


def guards(application, **options):
    return TestClient(
        Guards(application, ServeOptions(index="x", **options), Instruments()),
        "http://127.0.0.1",
    )


def test_a_request_that_takes_too_long_is_given_up():
    async def never(scope, receive, send):
        import asyncio

        await receive()
        await asyncio.Event().wait()

    answer = guards(never, timeout=0.05).post("/search", content=b"x")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


def test_a_rate_is_held_per_client():
    limit = RateLimit(0.5)
    for _ in range(5):
        limit.take("a")
    with pytest.raises(ServiceError, match="0.5 requests") as caught:
        limit.take("a")
    assert caught.value.code == 429
    limit.take("b")


def test_concurrent_requests_are_bounded():
    async def nested(scope, receive, send):
        # Of a second request while this one is answered.
        import httpx

        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport) as inner:
            answer = await inner.get("http://127.0.0.1/library")
            probe = await inner.get("http://127.0.0.1/health")
        content = f"{answer.status_code} {probe.status_code}".encode()
        await send(
            {"type": "http.response.start", "status": 200, "headers": []}
        )
        await send({"type": "http.response.body", "body": content})

    async def application_of_probe(scope, receive, send):
        if scope["path"] == "/health":
            await send(
                {"type": "http.response.start", "status": 204, "headers": []}
            )
            await send({"type": "http.response.body"})
        else:
            await nested(scope, receive, send)

    application = Guards(
        application_of_probe,
        ServeOptions(index="x", concurrency=1),
        Instruments(),
    )
    answer = TestClient(application, "http://127.0.0.1").get("/library")
    assert answer.text == "503 204"


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"token_file": "t", "public": True}, "--public"),
        ({"model_name": "a/b"}, "--model_name"),
        ({"concurrency": 0}, "--concurrency"),
    ],
)
def test_options_that_do_not_go_together(settings, word):
    with pytest.raises(UserError, match=word):
        ServeOptions(index="x", **settings)


@pytest.mark.parametrize("path", ["/search", "/v1/models/agem_tf:predict"])
def test_a_compressed_body_is_refused_as_one(client, path):
    body = gzip.compress(b'{"instances": []}')
    for coding in ("gzip", "Deflate"):
        answer = client.post(
            path, content=body, headers={"Content-Encoding": coding}
        )
        assert answer.status_code == 415
        assert answer.json()["error"].startswith("Compressed bodies")
    answer = client.post(
        "/search",
        data={"name": "place 0/0 ä.jpg"},
        headers={"Content-Encoding": "identity"},
    )
    assert answer.status_code == 200


def test_a_wrong_address_or_method_is_said(client):
    missing = client.get("/librarian")
    assert missing.status_code == 404
    assert "/openapi.json" in missing.json()["error"]
    other = client.post("/library")
    assert other.status_code == 405
    assert other.headers["allow"] == "GET"
    assert other.json()["error"] == "This address is for GET, not for POST."
