"""Keep a measurement for a restart of the same worker: same machine, same server, same settings, not too old.

A file in the working directory, which lives as long as the rented disk. Whatever differs in the key, or cannot be read, means to
measure again. A measurement is kept only if nothing but its precision was odd (`imprecise`): what else was may be over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

FILE_NAME: Final = ".headgate-perf.json"
KEPT_FLAGS: Final = frozenset({"imprecise"})
AGE_MAX_S: Final = 7 * 86_400.0
GPU_QUERY: Final = ("--query-gpu=uuid,name,driver_version", "--format=csv,noheader")
GPU_QUERY_TIMEOUT_S: Final = 10.0
_NO_FLAGS: Final = frozenset({"MODEL_LOG", "MODEL_SERVER_URL", "MODEL_LAUNCH_COMMAND"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of a measurement. Load per second, requests at a time."""

    perf: float
    half_width: float
    slots: int
    prompt_weight: float
    flags: tuple[str, ...] = ()


def cache_key(depends_on: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a measurement is kept under: what the caller says it depends on, and the GPUs, as far as the driver tells."""
    return {**depends_on, "gpus": _gpus()}


def engine_flags(environment: Mapping[str, str], backend: str) -> dict[str, str]:
    """Return the variables that change how the inference server runs: `*_ARGS`, `MODEL_*` and the backend's own."""
    prefixes = ("MODEL_", f"{backend.upper()}_")
    chosen = {name for name in environment if name.endswith("_ARGS") or name.startswith(prefixes)} - _NO_FLAGS
    # Only their digest is written to the disk: one of them may be a key.
    return {name: hashlib.sha256(environment[name].encode()).hexdigest() for name in sorted(chosen)}


def load_kept(directory: Path, key: Mapping[str, Any], *, now_s: float) -> Kept | None:
    """Return the kept measurement of this key, None if there is none to rely on."""
    try:
        stored = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
        fresh = 0 <= now_s - stored["measured_at_s"] <= AGE_MAX_S
        numbers = {name: float(stored[name]) for name in ("perf", "half_width", "prompt_weight")}
        kept = Kept(slots=int(stored["slots"]), flags=tuple(stored["flags"]), **numbers)
        sound = kept.perf > 0 and kept.slots > 0 and all(math.isfinite(number) and number >= 0 for number in numbers.values())
        usable = stored["key"] == key and fresh and sound
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept if usable else None


def keep(directory: Path, key: Mapping[str, Any], kept: Kept, *, now_s: float) -> None:
    """Write the file, whole or not at all, if the measurement may be kept. A full disk only costs the next start a test."""
    if not set(kept.flags) <= KEPT_FLAGS:
        return
    record = {"key": dict(key), "measured_at_s": now_s, **asdict(kept)}
    draft = directory / f"{FILE_NAME}.new"
    with contextlib.suppress(OSError):
        draft.write_text(json.dumps(record), encoding="utf-8")
        draft.replace(directory / FILE_NAME)


def _gpus() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        answer = subprocess.run([program, *GPU_QUERY], capture_output=True, text=True, timeout=GPU_QUERY_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.split("\n") if answer.returncode == 0 else []
