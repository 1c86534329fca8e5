"""`python -m bench.gpu`: see the package."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import itertools
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from protocol.report import Phase
from tests.worker_image.control_plane import FakeControlPlane
from tests.worker_image.process import environment, free_port, running_worker
from tests.worker_image.waiting import until_async

READY_DEADLINE_S: Final = 420.0
STREAMS: Final = (1, 16, 64)
TOKENS: Final = 128
ROUNDS: Final = 4
NEEDS: Final = {"vllm": ("vllm",), "transformers": ("transformers", "fastapi", "uvicorn", "torch"), "torch": ("torch",)}
_WORDS: Final = "river stone cloud engine garden letter window silver"

# A configuration alone: vLLM fills in random weights (`--load-format dummy`) and needs no tokenizer to be sent token ids.
CONFIG: Final = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 32_000,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "torch_dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """One stream: seconds to its first byte of text, and between two events."""

    first_s: float
    gaps_s: tuple[float, ...]


def chosen(server: str) -> str:
    """Return which server this Python can run."""
    able = [name for name, modules in NEEDS.items() if all(importlib.util.find_spec(module) for module in modules)]
    if server != "auto" and server not in able:
        raise SystemExit(f"--server {server} needs {', '.join(NEEDS[server])}; this Python can run: {', '.join(able) or 'none'}")
    if not able:
        raise SystemExit("this Python has neither vllm nor torch")
    return able[0] if server == "auto" else server


def launch(server: str, folder: Path, *, port: int, options: str) -> dict[str, str]:
    """Return the worker's variables for this server; its model is made here."""
    python = shlex.quote(sys.executable)
    if server == "torch":
        command = f"{python} -m bench.gpu.server --port {port} {options}"
        return {
            "BACKEND": "openai",
            "OPENAI_TRIAL": "completions",
            "OPENAI_HEALTH_PATH": "/health",
            "MODEL_LAUNCH_COMMAND": command,
        }
    if server == "transformers":
        from tests.servers.programs import MAKE_MODEL  # noqa: PLC0415 - needed for this server alone

        model = folder / "model"
        subprocess.run([sys.executable, "-c", MAKE_MODEL, str(model)], check=True)
        module = f"{python} -m transformers.cli.transformers"
        command = f"{module} serve {model} --continuous-batching --host 127.0.0.1 --port {port} {options}"
        return {"BACKEND": "openai", "OPENAI_HEALTH_PATH": "/health", "MODEL_NAME": str(model), "MODEL_LAUNCH_COMMAND": command}
    (folder / "config.json").write_text(json.dumps(CONFIG))
    module = f"{python} -m vllm.entrypoints.openai.api_server"
    dummy = "--load-format dummy --skip-tokenizer-init"
    command = f"{module} --model {folder} --host 127.0.0.1 --port {port} {dummy} {options}"
    return {"BACKEND": "vllm", "MODEL_ID": str(folder), "MODEL_LAUNCH_COMMAND": command}


async def run(server: str, *, seconds: float, slots: int, options: str) -> dict[str, Any]:
    """Start worker and server, let the worker measure, then stream past it and through it."""
    with tempfile.TemporaryDirectory(prefix="headgate-gpu-") as name:
        folder, port, model_port = Path(name), free_port(), free_port()
        async with FakeControlPlane().serving() as plane, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            given = environment(plane, port=port, MODEL_SERVER_URL=f"http://127.0.0.1:{model_port}", MODEL_ID="random")
            given |= {"HEADGATE_PERF_SECONDS_MAX": str(seconds), "HEADGATE_SLOTS": str(slots), "HF_HUB_OFFLINE": "1"}
            given |= launch(server, folder, port=model_port, options=options)
            # A machine says in its environment where its drivers and packages are.
            path = os.pathsep.join(filter(None, (given["PYTHONPATH"], os.environ.get("PYTHONPATH", ""))))
            given = {**os.environ, **given, "PYTHONPATH": path}
            async with running_worker(folder, given) as worker:
                phases = (Phase.READY, Phase.ERROR)
                await until_async(lambda: plane.reports and plane.last.phase in phases, deadline_s=READY_DEADLINE_S)
                if plane.last.phase is Phase.ERROR:
                    log = folder / "model.log"
                    raise SystemExit(
                        f"{plane.last.error}\n{worker.log()[-2000:]}\n{log.read_text()[-4000:] if log.exists() else ''}"
                    )
                report = plane.last
                paths = {"direct": f"http://127.0.0.1:{model_port}", "worker": worker.url}
                streams = {way: {} for way in paths}  # type: dict[str, dict[str, Any]]
                for count in STREAMS:
                    for way, url in paths.items():
                        streams[way][str(count)] = await _streams(session, url, count, None if way == "direct" else plane, server)
                figures = {
                    "perf": report.perf,
                    "slots": report.slots,
                    "flags": list(report.perf_flags),
                    "loadtime_s": report.loadtime_s,
                }
                return {"server": server, "gpu": _gpu(), "performance_test": figures, "streams": streams}


async def _streams(
    session: aiohttp.ClientSession, url: str, count: int, plane: FakeControlPlane | None, server: str
) -> dict[str, float]:
    started_s = time.monotonic()
    found: list[Streamed] = []
    for _ in range(ROUNDS):
        found += await asyncio.gather(*(_stream(session, url, plane, server) for _ in range(count)))
    elapsed_s = time.monotonic() - started_s
    firsts, gaps = sorted(one.first_s for one in found), sorted(gap for one in found for gap in one.gaps_s)
    return {
        "first_token_ms_p50": 1000 * statistics.median(firsts),
        "first_token_ms_p99": 1000 * firsts[int(0.99 * (len(firsts) - 1))],
        "between_tokens_ms_p50": 1000 * statistics.median(gaps) if gaps else 0.0,
        "tokens_per_s": sum(1 + len(one.gaps_s) for one in found) / elapsed_s,
    }


async def _stream(session: aiohttp.ClientSession, url: str, plane: FakeControlPlane | None, server: str) -> Streamed:
    path, payload = _asking(server)
    body = payload if plane is None else plane.body(payload, cost=TOKENS)
    started_s = time.monotonic()
    async with session.post(url + path, json=body) as reply:
        if reply.status != 200:
            raise SystemExit(f"{url}{path} answered {reply.status}: {(await reply.text())[:500]}")
        times = [at async for at in _text_times(reply)]
    gaps = tuple(later - earlier for earlier, later in itertools.pairwise(times))
    return Streamed(first_s=times[0] - started_s if times else 0.0, gaps_s=gaps)


async def _text_times(reply: aiohttp.ClientResponse) -> AsyncIterator[float]:
    async for line in reply.content:
        if b'"text":' in line or b'"content":"' in line or b'"token_ids":' in line:
            yield time.monotonic()


def _asking(server: str) -> tuple[str, dict[str, Any]]:
    limits = {"max_tokens": TOKENS, "temperature": 0, "stream": True}
    if server == "transformers":
        return "/v1/chat/completions", {"messages": [{"role": "user", "content": _WORDS}], **limits}
    return "/v1/completions", {"prompt": _WORDS, "ignore_eos": True, **limits}


def _gpu() -> str:
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "none"


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description="The worker in front of a model on a real GPU.")
    parser.add_argument("--server", choices=("auto", *NEEDS), default="auto")
    parser.add_argument("--seconds", type=float, default=28.0, help="limit of the performance test")
    parser.add_argument("--slots", type=int, default=64, help="requests at a time")
    parser.add_argument("--options", default="", help="further arguments of the server")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    found = asyncio.run(run(chosen(given.server), seconds=given.seconds, slots=given.slots, options=given.options))
    text = json.dumps(found, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


main()
