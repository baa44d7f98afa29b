"""The files of deploy/ fit the service's flags and paths; none is run here."""

import json
import pathlib
import re
import shlex
import tomllib

import pytest
import yaml

from agem_tf import cli, index, serve
from agem_tf.serving.service_options import ServeOptions

ROOT = pathlib.Path(serve.__file__).parents[1]
DEPLOY = ROOT / "deploy"


@pytest.fixture
def dockerfile():
    """Instructions and their arguments, continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return [
        line.split(maxsplit=1)
        for line in text.splitlines()
        if line and not line.startswith("#")
    ]


@pytest.fixture
def entry(dockerfile):
    """Command of the image."""
    (entry,) = [rest for word, rest in dockerfile if word == "ENTRYPOINT"]
    return json.loads(entry)


def options(entry, arguments):
    return cli.options_from_arguments(ServeOptions, {}, entry[2:] + arguments)


def test_the_image_starts_the_service(entry):
    assert entry[:3] == ["python", "-m", "agem_tf.serve"]
    served = options(entry, ["--index=/index", "--folder=/photos"])
    assert served.is_reachable and served.hosts is None


def test_the_image_copies_and_installs_what_there_is(dockerfile):
    copied = [rest.split()[:-1] for word, rest in dockerfile if word == "COPY"]
    for path in sum(copied, []):
        assert (ROOT / path).exists(), path
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (run,) = [rest for word, rest in dockerfile if word == "RUN"]
    (extras,) = re.findall(r"'\.\[(.*?)\]'", run)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    (image,) = [rest for word, rest in dockerfile if word == "FROM"]
    version = tuple(map(int, re.findall(r"\d+", image)))
    (least,) = re.findall(r">=([\d.]+)", project["requires-python"])
    assert version >= tuple(map(int, least.split(".")))


def test_compose_gives_the_service_flags_and_mounts_that_fit(entry):
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = composed["services"]
    service = services["service"]
    served = options(entry, service["command"])
    assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
    mounted = [volume.split(":")[-2] for volume in service["volumes"]]
    assert {served.folder, served.model} == set(mounted)
    host = re.fullmatch(r"milvus:http://(\w+):19530", served.index)[1]
    for each in services.values():
        assert set(each.get("depends_on", [])) <= set(services)
    assert host in service["depends_on"]
    named = {
        volume.split(":")[0]
        for each in services.values()
        for volume in each["volumes"]
        if not volume.startswith((".", "$"))
    }
    assert named == set(composed["volumes"])


def test_compose_indexes_photos_with_flags_that_there_are():
    text = (DEPLOY / "compose.yaml").read_text().replace("\\\n#", "")
    (command,) = re.findall(r"# +python -m agem_tf.index (.*)", text)
    made = cli.options_from_arguments(
        index.IndexOptions, {}, ["index", *shlex.split(command)]
    )
    services = yaml.safe_load(text)["services"]
    assert made.index.removeprefix("milvus:http://localhost") in {
        f":{port.split(':')[1]}" for port in services["milvus"]["ports"]
    }


def test_nginx_fits_the_service_behind_it(entry):
    text = (DEPLOY / "nginx.conf").read_text()
    (command,) = re.findall(
        r"# +python -m agem_tf.serve (.*)", text.replace("\\\n#", "")
    )
    served = cli.options_from_arguments(
        ServeOptions, {}, [entry[2], *shlex.split(command)]
    )
    settings = dict(re.findall(r"^ +(\w+) (.+);$", text, re.MULTILINE))
    assert settings["proxy_pass"] == f"http://{served.host}:{served.port}"
    assert settings["server_name"] in served.hosts
    (megabytes,) = re.findall(r"^(\d+)m$", settings["client_max_body_size"])
    assert int(megabytes) * 2**20 >= served.max_body


def test_kserve_gives_the_service_flags_and_mounts_that_fit(entry, client):
    deployed = yaml.safe_load((DEPLOY / "kserve.yaml").read_text())
    predictor = deployed["spec"]["predictor"]
    (container,) = predictor["containers"]
    served = options(entry, container["args"])
    mounts = {
        each["mountPath"]: each["name"] for each in container["volumeMounts"]
    }
    assert {served.index, served.folder} == set(mounts)
    assert set(mounts.values()) == {
        each["name"] for each in predictor["volumes"]
    }
    probe = container["readinessProbe"]["httpGet"]["path"]
    assert client.get(probe).status_code == 200
