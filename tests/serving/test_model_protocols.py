"""TensorFlow Serving's REST protocol and the Open Inference Protocol."""

import base64
import json
import struct

import numpy as np
import pytest

from agem_tf.photos.screening import PhotoStatus

NAMES = ["place 0/0 ä.jpg", "place 2/1 ä.jpg"]
MODEL = "/v1/models/agem_tf"
OPEN = "/v2/models/agem_tf"


@pytest.fixture(scope="module")
def photos(album):
    return [(album / name).read_bytes() for name in NAMES]


@pytest.fixture(scope="module")
def expected(service):
    return service.index.state.descriptors_of(NAMES)


def texts(photos):
    return [base64.b64encode(photo).decode() for photo in photos]


def test_predict_by_rows_and_by_columns(client, photos, expected):
    encoded = [{"b64": text} for text in texts(photos)]
    bad = {"b64": base64.b64encode(b"bad").decode()}
    answer = client.post(
        f"{MODEL}:predict", json={"instances": [encoded[0], bad, encoded[1]]}
    )
    rows = answer.json()["predictions"]
    assert [row["status"] for row in rows] == [
        PhotoStatus.VALID,
        PhotoStatus.UNSUPPORTED_FORMAT,
        PhotoStatus.VALID,
    ]
    found = [rows[0]["descriptors"], rows[2]["descriptors"]]
    np.testing.assert_allclose(found, expected, atol=1e-5)

    named = {"encoded_images": encoded}
    answer = client.post(
        f"{MODEL}/versions/1:predict",
        json={"signature_name": "encoded_images", "inputs": named},
    )
    outputs = answer.json()["outputs"]
    np.testing.assert_allclose(outputs["descriptors"], expected, atol=1e-5)
    assert outputs["status"] == [0, 0]


def test_damage_of_a_jpeg_is_named_and_not_printed(
    client, photos, expected, caplog, capfd
):
    whole, other = photos
    # Bytes before the end, of which libjpeg warns, and half a photo.
    extra = whole[:-2] + b"abc" + whole[-2:]
    half = whole[: len(whole) // 2]
    batch = [extra, half, b"\xff\xd8\xffbroken", other]
    answer = client.post(
        f"{MODEL}:predict",
        json={"instances": [{"b64": text} for text in texts(batch)]},
    )
    rows = answer.json()["predictions"]
    assert [row["status"] for row in rows] == [0, 1, 1, 0]
    found = [rows[0]["descriptors"], rows[3]["descriptors"]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.any([rows[1]["descriptors"], rows[2]["descriptors"]])
    messages = [record.getMessage() for record in caplog.records]
    assert any("photo 1 of a request: Corrupt JPEG" in m for m in messages)
    assert any(m.startswith("photo 2 of a request") for m in messages)
    assert "JPEG" not in capfd.readouterr().err


def test_predict_of_boxes(client, photos, expected):
    instances = [
        {"encoded_images": {"b64": text}, "boxes": [0, 0, 90, 70]}
        for text in texts(photos)
    ]
    answer = client.post(
        f"{MODEL}:predict",
        json={"signature_name": "encoded_crops", "instances": instances},
    )
    found = [row["descriptors"] for row in answer.json()["predictions"]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b'{"instances": []}',
        b'{"instances": [1]}',
        b'{"instances": [{"b64": "?"}]}',
        b'{"instances": [{"b64": 1}]}',
        b'{"instances": [{"b64": ""}], "inputs": []}',
        b'{"inputs": {"image": []}}',
        b'{"signature_name": "x", "instances": [{"b64": ""}]}',
        b'{"signature_name": [], "instances": [{"b64": ""}]}',
        b'{"inputs": {"encoded_images": [{"b64": ""}], "boxes": [[1]]},'
        b' "signature_name": "encoded_crops"}',
    ],
)
def test_refused_predictions(client, body):
    answer = client.post(f"{MODEL}:predict", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_status_and_metadata_of_the_model(client):
    (status,) = client.get(MODEL).json()["model_version_status"]
    assert (status["version"], status["state"]) == ("1", "AVAILABLE")
    assert status["status"] == {"error_code": "OK", "error_message": ""}
    found = client.get(f"{MODEL}/versions/1/metadata").json()
    assert found["model_spec"]["name"] == "agem_tf"
    signatures = found["metadata"]["signature_def"]["signature_def"]
    signature = signatures["serving_default"]
    assert signature["inputs"]["encoded_images"]["dtype"] == "DT_STRING"
    sides = signature["outputs"]["descriptors"]["tensor_shape"]["dim"]
    assert sides[0] == {"size": "-1", "name": ""}
    for path in ("/v1/models/other", f"{MODEL}/versions/2"):
        assert client.get(path).status_code == 404


def test_metadata_is_that_of_tensorflow(client):
    from google.protobuf import json_format
    from tensorflow.core.protobuf import meta_graph_pb2

    found = client.get(f"{MODEL}/metadata").json()
    for signature in found["metadata"]["signature_def"][
        "signature_def"
    ].values():
        json_format.ParseDict(signature, meta_graph_pb2.SignatureDef())


def test_health_and_description_of_the_open_protocol(client):
    assert client.get("/v2").json()["name"] == "agem_tf"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get(f"{OPEN}/ready").json()["ready"] is True
    found = client.get(f"{OPEN}/versions/1").json()
    assert found["inputs"][0] == {
        "name": "encoded_images",
        "datatype": "BYTES",
        "shape": [-1],
    }
    assert [each["name"] for each in found["outputs"]] == [
        "descriptors",
        "status",
    ]
    assert client.get("/v2/models/other").status_code == 404


def test_infer_in_json(client, photos, expected):
    tensor = {
        "name": "encoded_images",
        "datatype": "BYTES",
        "shape": [2],
        "data": texts(photos),
    }
    boxes = {
        "name": "boxes",
        "datatype": "FP32",
        "shape": [2, 4],
        "data": [0, 0, 90, 70] * 2,
    }
    body = {"id": "7", "inputs": [tensor, boxes]}
    found = client.post(f"{OPEN}/infer", json=body).json()
    assert (found["id"], found["model_name"]) == ("7", "agem_tf")
    descriptors, status = found["outputs"]
    assert descriptors["datatype"] == "FP32"
    assert descriptors["shape"] == list(expected.shape)
    rows = np.reshape(descriptors["data"], descriptors["shape"])
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert status["data"] == [0, 0]


def test_infer_in_binary(client, photos, expected):
    content = b"".join(struct.pack("<I", len(p)) + p for p in photos)
    tensor = {
        "name": "encoded_images",
        "datatype": "BYTES",
        "shape": [2, 1],
        "parameters": {"binary_data_size": len(content)},
    }
    outputs = [{"name": "descriptors", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    answer = client.post(
        f"{OPEN}/infer",
        content=head + content,
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    size = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.content[:size])["outputs"]
    rows = np.frombuffer(answer.content[size:], "<f4").reshape(output["shape"])
    np.testing.assert_allclose(rows, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "content"),
    [
        ({"inputs": 1}, b""),
        ({"inputs": [1]}, b""),
        ({"inputs": []}, b""),
        ({"name": "image"}, b""),
        ({"datatype": "UINT8"}, b""),
        ({"shape": [3]}, b""),
        ({"shape": None}, b""),
        ({"data": "text"}, b""),
        ({"data": ["?"]}, b""),
        ({"parameters": {"binary_data_size": 10}}, b"123"),
        ({"parameters": {"binary_data_size": -1}}, b"123"),
        ({"parameters": {"binary_data_size": 3}}, b"123"),
        ({"parameters": {"binary_data_size": 5}}, b"\xff\xff\xff\xff1"),
        ({"outputs": [{"name": "logits"}]}, b""),
        ({"outputs": [{"name": []}]}, b""),
        ({"outputs": [{"name": "descriptors"}] * 2}, b""),
        ({"outputs": 3}, b""),
    ],
)
def test_refused_inference(client, change, content):
    tensor = {
        "name": "encoded_images",
        "datatype": "BYTES",
        "shape": [1],
        "data": [""],
    }
    body = {"inputs": [tensor]}
    if change.keys() <= {"inputs", "outputs"}:
        body |= change
    else:
        tensor |= change
    head = json.dumps(body).encode()
    answer = client.post(
        f"{OPEN}/infer",
        content=head + content,
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]


def test_inputs_are_given_once(client):
    tensor = {
        "name": "encoded_images",
        "datatype": "BYTES",
        "shape": [1],
        "data": [""],
    }
    answer = client.post(f"{OPEN}/infer", json={"inputs": [tensor] * 2})
    assert answer.status_code == 400
    assert "twice" in answer.json()["error"]


@pytest.mark.parametrize("length", ["x", "-1", "3", "9" * 5000, "1.0"])
def test_a_length_of_json_that_does_not_fit_is_refused(client, length):
    answer = client.post(
        f"{OPEN}/infer",
        content=b"{}",
        headers={"Inference-Header-Content-Length": length},
    )
    assert answer.status_code == 400
    assert "Content-Length".lower() in answer.json()["error"]


def test_a_client_of_triton(address, photos, expected):
    """Needs tritonclient[http], whose requirements are others than ours."""
    triton = pytest.importorskip("tritonclient.http")
    with triton.InferenceServerClient(
        address.removeprefix("http://")
    ) as client:
        assert client.is_server_ready() and client.is_model_ready("agem_tf")
        assert client.get_model_metadata("agem_tf")["versions"] == ["1"]
        tensor = triton.InferInput("encoded_images", [2], "BYTES")
        tensor.set_data_from_numpy(np.array(photos, object))
        for binary in (True, False):
            output = triton.InferRequestedOutput("descriptors", binary)
            found = client.infer("agem_tf", [tensor], outputs=[output])
            np.testing.assert_allclose(
                found.as_numpy("descriptors"), expected, atol=1e-5
            )
