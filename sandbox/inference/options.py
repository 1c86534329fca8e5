"""The command line of the inference server. What an instance's environment may set stands beside each option."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.inference.dialects import DIALECTS
from sandbox.inference.limits import Limits, StreamFault
from sandbox.inference.speed import Speed, gpu_factor

CRASH_MODES: Final = ("none", "at-load", "out-of-memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the server is to be. Times in seconds; `crash_after_s` counts from ready, infinite means never."""

    dialect: str
    port: int
    log: Path | None
    speed: Speed
    limits: Limits
    load_s: float
    crash_at_load: str
    crash_after_s: float
    fault: StreamFault | None
    exit_with_parent: bool


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line. Exits with a usage message if it cannot be understood."""
    given = _parser().parse_args(arguments)
    factor = gpu_factor(gpu_name=given.gpu_name, dlperf=given.dlperf) * given.performance
    speed = Speed.from_throughput(
        tokens_per_s=given.tokens_per_s * factor,
        slots=given.slots,
        stream_tokens_per_s=given.stream_tokens_per_s * factor,
        prompt_weight=given.prompt_weight,
    )
    limits = Limits(
        model_id=given.model_id, max_concurrent_requests=given.max_concurrent_requests, max_total_tokens=given.max_total_tokens
    )
    return Options(
        dialect=given.dialect,
        port=given.port,
        log=given.log,
        speed=speed,
        limits=limits,
        load_s=given.load_s,
        crash_at_load=given.crash_at_load,
        crash_after_s=given.crash_after_s,
        fault=given.stream_fault,
        exit_with_parent=given.exit_with_parent,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.inference", description="A small inference server that behaves like TGI, or another."
    )
    add = parser.add_argument
    add("--dialect", choices=("tgi", *DIALECTS), default="tgi", help="which server to speak and log like")
    add("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    add("--log", type=Path, default=None, help="file to append log lines to (default: standard output)")
    add("--model-id", default=os.environ.get("MODEL_ID", "sandbox/words"), help="[MODEL_ID]")
    add(
        "--tokens-per-s",
        type=_positive,
        default=_setting("SIM_TOKENS_PER_S", 200),
        help="a full batch, all streams together, on an RTX 3090 [SIM_TOKENS_PER_S]",
    )
    add("--stream-tokens-per-s", type=float, default=0.0, help="a single stream; 0 is a usual ratio")
    add("--slots", type=int, default=int(_setting("SIM_SLOTS", 8)), help="sequences in a batch [SIM_SLOTS]")
    add("--prompt-weight", type=float, default=0.2, help="cost of a prompt token in generated tokens")
    add("--load-s", type=float, default=_setting("SIM_LOAD_S", 2), help="from start to ready; inf never is [SIM_LOAD_S]")
    add(
        "--gpu-name",
        default=os.environ.get("SIM_GPU_NAME", ""),
        help="scales the speed by the model's usual benchmark [SIM_GPU_NAME]",
    )
    add("--dlperf", type=float, default=_setting("SIM_DLPERF", 0), help="scales the speed; 38.37 is an RTX 3090 [SIM_DLPERF]")
    add(
        "--performance",
        type=_positive,
        default=_setting("SIM_PERFORMANCE", 1),
        help="a slow machine: scales again [SIM_PERFORMANCE]",
    )
    add("--max-concurrent-requests", type=int, default=128, help="beyond it 429")
    add("--max-total-tokens", type=int, default=4096, help="of one request, prompt included")
    add("--crash-at-load", choices=CRASH_MODES, default="none", help="end half-way through the load")
    add("--crash-after-s", type=float, default=math.inf, help="end so long after ready")
    add("--stream-fault", type=_fault, default=None, help="error:N or cut:N, after N tokens of every stream")
    add("--exit-with-parent", action="store_true", help="end when standard input breaks: whoever started this is gone")
    return parser


def _setting(name: str, default: float) -> float:
    return float(os.environ.get(name) or default)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("a positive number is needed")
    return value


def _fault(text: str) -> StreamFault:
    kind, _, after = text.partition(":")
    if kind not in {"error", "cut"} or not after.isdigit():
        raise argparse.ArgumentTypeError("error:N or cut:N is needed")
    return StreamFault(after_tokens=int(after), cut=kind == "cut")
