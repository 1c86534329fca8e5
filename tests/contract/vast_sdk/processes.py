"""Vast's own worker, unmodified, as a process with the environment that an instance has, and away from the Internet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sandbox.marketplace.local_ports import LocalPorts
from tests.contract.vast_sdk.upstream import LOADED, Upstream

CURRENT: Final = Path(sys.executable)
LEGACY: Final = Path(__file__).parents[3] / ".venvs" / "vastlegacy" / "bin" / "python"
SCRIPT: Final = Path(__file__).with_name("worker_script.py")
_CLOSED: Final = "http://127.0.0.1:9"
_END_WITHIN_S: Final = 10.0


@contextmanager
def worker_process(interpreter: Path, upstream: Upstream, *, report_url: str, token: str, home: Path) -> Iterator[Path]:
    """Run a worker for the block; yields the file that it logs to."""
    home.mkdir(parents=True, exist_ok=True)
    # 0.3 asks the marketplace for the names of GPUs when it is imported, unless it has asked today.
    names = home / "vastai" / "gpu_names_cache.json"
    names.parent.mkdir(exist_ok=True)
    names.write_text(json.dumps({"gpu_names": ["RTX 4090"]}))
    log = home / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(interpreter), str(SCRIPT), str(upstream.port), str(upstream.log), LOADED],
            env=_environment(report_url=report_url, token=token, home=home),
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield log
        finally:
            process.kill()
            process.wait(_END_WITHIN_S)


def _environment(*, report_url: str, token: str, home: Path) -> dict[str, str]:
    ports = LocalPorts()
    port = str(ports.take())
    closed = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), _CLOSED)
    return {
        "PATH": os.environ["PATH"],
        **closed,
        "no_proxy": "127.0.0.1",
        **dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"), str(home)),
        "VASTAI_NO_UPDATE_CHECK": "1",
        "CONTAINER_ID": "1000001",
        "REPORT_ADDR": report_url,
        "MASTER_TOKEN": token,
        "PUBLIC_IPADDR": "127.0.0.1",
        "WORKER_PORT": port,
        "WORKER_HTTP_PORT": str(ports.take()),
        f"VAST_TCP_PORT_{port}": port,
        "USE_SSL": "false",
    }
