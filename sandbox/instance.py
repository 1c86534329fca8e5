"""`python -m sandbox.instance`: what a rented machine of the marketplace simulator runs when it boots.

It fills in what a container image would have fixed (ports, paths, how to start the inference server), keeping everything in the
current directory, which is the instance's disk, and then *becomes* the worker image's real entry point, `python -m pyworker`. The
environment that the scaler gave at the rent passes through unchanged.
"""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

HOST: Final = "127.0.0.1"
PERF_SECONDS_MAX: Final = "3"  # of a real worker's 28: a sandbox is watched by someone who waits
_ROOT: Final = Path(__file__).resolve().parent.parent


def main() -> NoReturn:
    """Replace this process with the worker."""
    environment = instance_environment(os.environ, model_port=free_port())
    os.execve(sys.executable, [sys.executable, "-m", "pyworker"], environment)  # noqa: S606 - our own interpreter and module


def instance_environment(given: Mapping[str, str], *, model_port: int) -> dict[str, str]:
    """Return the worker's environment; what is given wins, except for ports and the way to our modules."""
    worker_port = given.get("WORKER_PORT", "3000")
    defaults = {
        "BACKEND": "tgi",
        "MODEL_LOG": "model.log",
        "HEADGATE_LISTEN_HOST": HOST,
        "HEADGATE_PERF_SECONDS_MAX": PERF_SECONDS_MAX,
        # Known of the sandbox's engine, and too slow to be measured in so short a test.
        "HEADGATE_PROMPT_WEIGHT": "0.2",
        "MODEL_LAUNCH_COMMAND": _launch_command(model_port) if given.get("BACKEND", "tgi") == "tgi" else "",
    }
    fixed = {
        "MODEL_SERVER_URL": f"http://{HOST}:{model_port}",
        # On loopback no port is mapped: the announced one is the one to listen on.
        "HEADGATE_LISTEN_PORT": given.get(f"VAST_TCP_PORT_{worker_port}", worker_port),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), str(_ROOT / "worker_image"), given.get("PYTHONPATH", "")))),
    }
    return {**defaults, **given, **fixed}


def free_port() -> int:
    """Return a port that nobody listens on now. Whoever takes it first has it; the loser's worker reports an error."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _launch_command(port: int) -> str:
    return shlex.join([sys.executable, "-m", "sandbox.inference", "--port", str(port), "--exit-with-parent"])


if __name__ == "__main__":
    main()
