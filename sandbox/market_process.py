"""The marketplace simulator as a child process, and the few of its controls that a person or a demo needs."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

START_DEADLINE_S: Final = 20.0
STOP_GRACE_S: Final = 15.0
CALL_TIMEOUT_S: Final = 10.0
LOG_TAIL_CHARACTERS: Final = 2_000
# An RTX 3090 of the sandbox; other models by their benchmark. Slow, so that a few requests a second need a fleet on two cores.
TOKENS_PER_S: Final = "60"
SLOTS: Final = "4"
# Enough for every model that the sandbox asks for to have verified offers, whatever the seed.
MACHINES: Final = "1000"
REPOSITORY: Final = Path(__file__).resolve().parents[1]


class MarketplaceFailed(Exception):
    """The simulator did not start, or has ended; the message holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSettings:
    """How the market behaves. `boot_speed` divides boot, stop and start times; money runs on real seconds."""

    seed: int
    boot_speed: float
    credit_usd: float
    faults: str = "none"


class MarketProcess:
    """A running simulator, with an account key of its own in `api_key`. Raises MarketplaceFailed if it does not come up."""

    def __init__(self, settings: MarketSettings, folder: Path, *, on_death: Callable[[str], None]) -> None:
        self.api_key = secrets.token_hex(32)
        self._folder = folder
        self._stopping = threading.Event()
        folder.mkdir()
        self._log = (folder / "marketplace.log").open("wb")
        self._process = self._spawn(settings)
        try:
            self.url = self._await_url()
        except BaseException:
            self.stop()
            raise
        threading.Thread(target=self._watch, args=(on_death,), name="marketplace-watch", daemon=True).start()

    def stop(self) -> None:
        """End the simulator and every instance's processes; harmless when repeated."""
        self._stopping.set()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_GRACE_S)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()

    def poll(self) -> str | None:
        """Return None while it runs, else a message that says how it ended."""
        status = self._process.poll()
        return (
            None if status is None else f"the marketplace simulator ended with status {status}; the end of its log:\n{self._tail()}"
        )

    def contracts(self) -> list[dict[str, Any]]:
        """Return every contract ever made, destroyed ones included."""
        rows: list[dict[str, Any]] = self._get("/_sim/contracts")["contracts"]
        return rows

    def open_contracts(self) -> Sequence[int]:
        """Return the ids of the contracts that are not destroyed."""
        return [row["id"] for row in self.contracts() if row["destroyed_s"] is None]

    def bill_micro_usd(self) -> Mapping[str, int]:
        """Return what the account has been charged so far, in micro-dollars: `gpu`, `storage`, `bandwidth`."""
        rows = self._get("/_sim/bill")["contracts"]
        return {part: sum(row[f"{part}_micro_usd"] for row in rows) for part in ("gpu", "storage", "bandwidth")}

    def vanish(self, instance_id: int) -> None:
        """Let the machine under an instance disappear for ever."""
        self._call("POST", f"/_sim/instances/{instance_id}/vanish")

    def _get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._call("GET", path).json()
        return answer

    def _call(self, method: str, path: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        body: dict[str, object] | None = None if method == "GET" else {}
        try:
            response = requests.request(method, self.url + path, headers=headers, json=body, timeout=CALL_TIMEOUT_S)
            response.raise_for_status()
        except requests.RequestException as exc:
            raise MarketplaceFailed(self.poll() or f"the marketplace simulator does not answer: {exc}") from exc
        return response

    def _spawn(self, settings: MarketSettings) -> subprocess.Popen[str]:
        key_file = self._folder / "api-key"
        key_file.touch(mode=0o600)
        key_file.write_text(self.api_key)
        arguments = {
            "--port": "0",
            "--machines": MACHINES,
            "--seed": str(settings.seed),
            "--boot-speed": str(settings.boot_speed),
            "--credit": str(settings.credit_usd),
            "--faults": settings.faults,
            "--rivals-per-hour": "0",
            "--api-key-file": str(key_file),
            "--state-dir": str(self._folder / "instances"),
            "--boot-command": f"{sys.executable} -m sandbox.instance",
            "--stop-grace": "4",
        }
        boot_env = {"PYTHONPATH": str(REPOSITORY), "SIM_TOKENS_PER_S": TOKENS_PER_S, "SIM_SLOTS": SLOTS}
        flags = [word for pair in arguments.items() for word in pair]
        flags += [word for name, value in boot_env.items() for word in ("--boot-env", f"{name}={value}")]
        return subprocess.Popen(
            [sys.executable, "-m", "sandbox.marketplace", *flags],
            stdout=subprocess.PIPE,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
            cwd=REPOSITORY,
            text=True,
            start_new_session=True,
        )

    def _await_url(self) -> str:
        """Read the one line that the simulator prints when it serves; a deadline ends the wait by ending the process."""
        overdue = threading.Timer(START_DEADLINE_S, self._process.kill)
        overdue.start()
        try:
            line = self._process.stdout.readline() if self._process.stdout else ""
        finally:
            overdue.cancel()
        if not line:
            self._process.wait()
            raise MarketplaceFailed(self.poll() or "the marketplace simulator did not start")
        return str(json.loads(line)["url"])

    def _watch(self, on_death: Callable[[str], None]) -> None:
        self._process.wait()
        if not self._stopping.is_set() and (message := self.poll()):
            on_death(message)

    def _tail(self) -> str:
        text = (self._folder / "marketplace.log").read_text(errors="replace")
        return text[-LOG_TAIL_CHARACTERS:].strip() or "(empty)"
