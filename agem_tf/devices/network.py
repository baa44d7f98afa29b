"""Whether a TPU that is elsewhere can be found and answers."""

import importlib.util
import urllib.request

import grpc

from agem_tf.errors import UserError

GRPC = "grpc://"
SECONDS = 5
METADATA = "http://169.254.169.254/computeMetadata/v1/project/project-id"


def check_answers(tpu: str, address: str) -> None:
    """Checks that a gRPC server answers.

    Args:
        tpu: what the user calls it.
        address: "grpc://HOST:PORT".

    Raises:
        UserError: none answers within seconds.
    """
    target = address.removeprefix(GRPC)
    channel = grpc.insecure_channel(target)
    try:
        grpc.channel_ready_future(channel).result(timeout=SECONDS)
    except grpc.FutureTimeoutError as error:
        raise UserError(
            f"--tpu={tpu}: no TPU answers at {target} within {SECONDS} s; "
            "check its address and that it runs."
        ) from error
    finally:
        channel.close()


def check_google_cloud(tpu: str) -> None:
    """Checks that the name of a Google Cloud TPU can be looked up from here.

    Raises:
        UserError: Google's package is missing, or this is another place.
    """
    if importlib.util.find_spec("googleapiclient") is None:
        raise UserError(
            f"--tpu={tpu} is looked up through Google Cloud's API, which "
            "needs pip install cloud-tpu-client; or give "
            "--tpu=grpc://HOST:8470."
        )
    request = urllib.request.Request(
        METADATA, headers={"Metadata-Flavor": "Google"}
    )
    try:
        urllib.request.urlopen(request, timeout=SECONDS).close()
    except OSError as error:
        raise UserError(
            f"--tpu={tpu} can be looked up on Google Cloud only, whose "
            f"metadata server does not answer here ({error}); run the command "
            "there, or give --tpu=grpc://HOST:8470."
        ) from error
