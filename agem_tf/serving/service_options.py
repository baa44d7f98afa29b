"""Options of the service, and their checks across several of them."""

import ipaddress
import re

from agem_tf import cli
from agem_tf.errors import UserError

_MODEL_NAME = re.compile(r"[A-Za-z0-9._-]+")


@cli.options
class ServeOptions:
    """Options of the service."""

    index: str = cli.required("Directory of the index, or milvus:ADDRESS.")
    model: str | None = cli.option(
        None, "For Milvus: directory of the SavedModel."
    )
    folder: str | None = cli.option(
        None, "Folder of the indexed photos, if it has moved."
    )
    host: str = cli.option("127.0.0.1", "Address to listen on.")
    port: int = cli.option(
        8080, "Port to listen on; 0 takes a free one.", minimum=0, maximum=65535
    )
    browser: bool = cli.option(False, "Open the page in the browser.")
    writable: bool = cli.option(
        False, "Let requests add, remove and synchronize photos."
    )
    token_file: str | None = cli.option(
        None, "File with the bearer token that requests must carry."
    )
    public: bool = cli.option(
        False, "Answer without a token also where others can reach --host."
    )
    allowed_host: tuple[str, ...] = cli.option(
        (),
        "Name by which browsers reach the service, if it is not --host; * for "
        "any.",
    )
    trusted_proxy: str = cli.option(
        "", "Addresses of proxies whose X-Forwarded-For is believed."
    )
    model_name: str = cli.option(
        "agem_tf", "Name of the model in /v1/models and /v2/models."
    )
    max_batch_size: int = cli.option(
        16, "Most photos that the model is run on at once.", minimum=1
    )
    batch_timeout: float = cli.option(
        0.005,
        "Seconds that a photo waits for others to fill its batch.",
        minimum=0,
        maximum=10,
    )
    max_body: int = cli.option(
        32_000_000, "Most bytes of a request.", minimum=1
    )
    concurrency: int = cli.option(
        32,
        "Most requests that are answered at once; more get status 503.",
        minimum=1,
    )
    timeout: float = cli.option(
        30.0, "Seconds until an unfinished request is given up.", above=0
    )
    rate: float = cli.option(
        0.0,
        "Most searches, changes and model requests per second and client "
        "address, after a burst of ten seconds' worth; 0 for any.",
        minimum=0,
    )

    def __post_init__(self) -> None:
        if not _MODEL_NAME.fullmatch(self.model_name):
            raise UserError(
                f"--model_name={self.model_name!r} stands in addresses; give "
                "letters, digits, '.', '_' and '-' only."
            )
        if self.token_file and self.public:
            raise UserError(
                "--public answers without a token; leave out --token_file or "
                "--public."
            )

    @property
    def is_reachable(self) -> bool:
        """Whether other machines may reach the address."""
        if self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True

    @property
    def hosts(self) -> frozenset[str] | None:
        """Names in a request's Host header that are answered; None for any.

        A page of somebody else that makes its own name lead to this machine
        (DNS rebinding) is refused by them.
        """
        if "*" in self.allowed_host or (
            self.is_reachable and not self.allowed_host
        ):
            return None
        local = {"localhost", "127.0.0.1", "[::1]", self.host}
        return frozenset(
            name.lower() for name in local.union(self.allowed_host)
        )
