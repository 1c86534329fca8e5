"""What importing the route function costs, beside `import boto3` and one client: in fresh interpreters, in turn, the median.

`python -m bench.cold_start [--runs N] [--json]`. Times are of the import statement and the client's making, without the
interpreter's own start. Byte code is there already in both cases, as it is for what AWS's runtime brings; the function's own asset
has none, which `route_without_byte_code` shows: our modules and their dependencies are compiled when they are imported.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.environment import route_environment

ROOT: Final = Path(__file__).parents[1]
RUNS: Final = 15
STATEMENTS: Final = {
    "route": "import functions.route.handler",
    "boto3": "import boto3; boto3.client('dynamodb')",
}
_TIMED: Final = "import time; started = time.perf_counter()\n{0}\nprint(time.perf_counter() - started)"
# What of the environment is in the asset: see infra/code_package.py.
_PACKED: Final = ("aws_lambda_powertools", "jmespath", "nacl", "cffi", "_cffi_backend*", "typing_extensions.py")


def import_ms(statement: str, *, root: Path = ROOT) -> float:
    """Return the milliseconds that a statement takes in an interpreter of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", _TIMED.format(statement)],
        cwd=root,
        env={**route_environment("http://127.0.0.1:9"), "PYTHONDONTWRITEBYTECODE": "1" if root != ROOT else ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return float(ended.stdout) * 1_000


def measure(runs: int) -> dict[str, Any]:
    """Return the median of each, measured in turn so that a busy machine is as unkind to all."""
    with tempfile.TemporaryDirectory() as folder:
        asset = _asset(Path(folder))
        taken: dict[str, list[float]] = {name: [] for name in (*STATEMENTS, "route_without_byte_code")}
        for _ in range(runs + 1):
            for name, statement in STATEMENTS.items():
                taken[name].append(import_ms(statement))
            taken["route_without_byte_code"].append(import_ms(STATEMENTS["route"], root=asset))
    # The first run of each warms the disk's cache and may write byte code.
    return {"runs": runs, **{f"{name}_ms": round(statistics.median(times[1:]), 1) for name, times in taken.items()}}


def _asset(folder: Path) -> Path:
    for source in ("functions", "protocol"):
        shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__"))
    packages = Path(sysconfig.get_paths()["purelib"])
    for path in (path for pattern in _PACKED for path in packages.glob(pattern)):
        if path.is_dir():
            shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, folder)
    return folder


def _show(measured: Mapping[str, Any]) -> None:
    print(f"Import, median of {measured['runs']} fresh interpreters")
    for name, value in measured.items():
        if name.endswith("_ms"):
            print(f"  {name.removesuffix('_ms'):26} {value:7.1f} ms")


def main() -> int:
    """Measure, show, and fail if the route function takes longer than boto3 and a client."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help="fresh interpreters each")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    measured = measure(arguments.runs)
    if arguments.json:
        print(json.dumps(measured))
    else:
        _show(measured)
    return int(measured["route_ms"] > measured["boto3_ms"])


if __name__ == "__main__":
    sys.exit(main())
