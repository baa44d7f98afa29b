"""Script that compiles StableHLO for a TPU that this machine need not have.

`compiler` runs it with another Python, so it needs JAX and libtpu but nothing
of this package. JAX's functions for this are not public, so
requirements-tpu-compiler.txt pins its version.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
from typing import Any

# Otherwise libtpu queries a metadata server for minutes, and takes a lock that
# TensorFlow for TPUs may hold.
_ENVIRONMENT = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "JAX_PLATFORMS": "cpu",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}


def devices(topology: str, configuration: str) -> list[Any]:
    """Returns the devices of a topology, which can only compile.

    Args:
        topology: Name, for example "v5e:2x2".
        configuration: Configuration of its chips; empty for the default.
    """
    from jax.experimental import topologies

    options = {"chip_config_name": configuration} if configuration else {}
    return topologies.get_topology_desc(topology, "tpu", **options).devices


def compile_for(device: Any, module: str) -> dict[str, Any]:
    """Compiles a module for a device; returns the costs of a call.

    Returns:
        "program", the compiled HLO modules as text; "flops"; and the bytes of
        memory of arguments and results ("held"), of temporaries ("temporary")
        and of "code".
    """
    from jaxlib.xla_client import CompileOptions

    program = device.client.compile(module, compile_options=CompileOptions())
    memory = program.get_compiled_memory_stats()
    # Results that replace arguments, for example new weights, count once.
    held = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
    )
    return {
        "program": "".join(part.to_string() for part in program.hlo_modules()),
        "flops": program.cost_analysis().get("flops", 0.0),
        "held": held,
        "temporary": memory.temp_size_in_bytes,
        "code": memory.generated_code_size_in_bytes,
    }


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    try:
        found = devices(arguments.topology, arguments.configuration)
        result: dict[str, Any] = {
            "compiler": f"libtpu {importlib.metadata.version('libtpu')}",
            "replicas": len(found),
        }
        if arguments.module:
            module = pathlib.Path(arguments.module).read_text()
            result["costs"] = compile_for(found[0], module)
    except RuntimeError as error:  # JAX's errors are RuntimeErrors.
        return {"refusal": str(error)}
    return result


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topology", required=True)
    parser.add_argument("--configuration", default="")
    parser.add_argument("--module", help="StableHLO file.")
    parser.add_argument("--result", required=True, help="JSON file to write.")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.update(_ENVIRONMENT)
    command = _parse()
    pathlib.Path(command.result).write_text(json.dumps(_run(command)))
