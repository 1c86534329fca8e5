"""Instances are real processes: booted, stopped, lost and ended with everything that they started."""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from sandbox.marketplace.processes import BootOptions
from tests.sandbox.marketplace.serving import Caller, serving, until

# Tells its environment, counts its boots in its directory, and on SIGTERM says goodbye.
POLITE = """
import os, pathlib, signal, sys
boots = pathlib.Path("boots"); boots.write_text(boots.read_text() + "x" if boots.exists() else "x")
signal.signal(signal.SIGTERM, lambda *_: (print("goodbye", flush=True), sys.exit(0)))
print("booted", len(boots.read_text()), *(f"{k}={v}" for k, v in sorted(os.environ.items())), sep="\\n", flush=True)
while True: signal.pause()
"""
# Ignores SIGTERM, and has a child in a session of its own which does so too.
STUBBORN = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
print("pid", os.getpid(), "end", flush=True)
while True: signal.pause()
"""
BRIEF = "print('done'); raise SystemExit(3)"


def _boot(folder: Path, script: str, *, grace_s: float = 5.0, extra_env: dict[str, str] | None = None) -> BootOptions:
    return BootOptions(
        command=(sys.executable, "-c", script),
        directory=folder,
        extra_env=extra_env or {},
        stop_grace_s=grace_s,
    )


def _alive(pid: int) -> bool:
    return _state(pid) not in {"", "Z", "X"}


def _state(pid: int) -> str:
    """Return the state letter of a process, empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


async def _booted(caller: Caller) -> int:
    contract_id = await caller.rent()
    await caller.until_log(contract_id, "booted")
    return contract_id


async def _pids(caller: Caller, contract_id: int, count: int) -> list[int]:
    async def told() -> list[int] | None:
        words = (await caller.log(contract_id)).split()
        pids = [int(pid) for word, pid in pairwise(words) if word == "pid"]
        return pids if len(pids) == count and words[-1] == "end" else None

    found: list[int] = await until(told, what=f"{count} processes")
    return found


async def _until_gone(pids: list[int]) -> None:
    async def gone() -> bool:
        return not any(_alive(pid) for pid in pids)

    await until(gone, what=f"{pids} gone")


async def test_a_container_gets_exactly_its_environment(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, POLITE, extra_env={"LISTEN": "{VAST_TCP_PORT_3000}"})) as caller:
        contract_id = await _booted(caller)
        row = await caller.row(contract_id)
        await caller.until_log(contract_id, "WORKSPACE=")
        log = (await caller.log(contract_id)).splitlines()

    environment = dict(line.split("=", maxsplit=1) for line in log if "=" in line)
    port = row["ports"]["3000/tcp"][0]["HostPort"]
    assert environment["COLOUR"] == "blue"
    assert environment["VAST_TCP_PORT_3000"] == environment["LISTEN"] == port
    assert environment["CONTAINER_ID"] == str(contract_id)
    assert environment["HOME"] == str(tmp_path / "instances" / f"C.{contract_id}")
    leaked = set(environment) & {"PYTEST_CURRENT_TEST", "PYTHONPATH", "VIRTUAL_ENV", "USER"}
    assert not leaked


async def test_a_stop_is_graceful_and_a_start_finds_the_directory_again(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, POLITE)) as caller:
        contract_id = await _booted(caller)
        await caller.json("PUT", f"/api/v0/instances/{contract_id}/", {"state": "stopped"})
        await caller.until_status(contract_id, "exited")
        stopped = await caller.log(contract_id)
        await caller.json("PUT", f"/api/v0/instances/{contract_id}/", {"state": "running"})
        log = await caller.until_log(contract_id, "booted\n2")

    assert "goodbye" in stopped
    assert log.count("booted") == 2


async def test_a_row_reads_exited_only_when_the_process_is_gone(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, STUBBORN, grace_s=0.3)) as caller:
        contract_id = await caller.rent()
        pids = await _pids(caller, contract_id, 2)
        await caller.json("PUT", f"/api/v0/instances/{contract_id}/", {"state": "stopped"})
        await caller.until_status(contract_id, "exited")

        assert not _alive(pids[0])
        await _until_gone(pids)


async def test_a_destroy_ends_every_process_and_removes_the_directory(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, STUBBORN)) as caller:
        contract_id = await caller.rent()
        pids = await _pids(caller, contract_id, 2)
        assert (tmp_path / "instances" / f"C.{contract_id}").is_dir()
        await caller.json("DELETE", f"/api/v0/instances/{contract_id}/", {})
        await _until_gone(pids)

        async def removed() -> bool:
            return not (tmp_path / "instances" / f"C.{contract_id}").exists()

        await until(removed, what="the directory's removal")


async def test_a_machine_that_vanishes_takes_its_processes_along(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, STUBBORN)) as caller:
        contract_id = await caller.rent()
        pids = await _pids(caller, contract_id, 2)
        await caller.json("POST", f"/_sim/instances/{contract_id}/vanish", {})
        await _until_gone(pids)

        assert (await caller.row(contract_id))["actual_status"] == "offline"


async def test_a_process_that_ends_by_itself_is_an_exited_instance_that_costs_no_gpu(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, BRIEF)) as caller:
        contract_id = await caller.rent()
        row = await caller.until_status(contract_id, "exited")
        rate = (await caller.json("GET", "/_sim/bill"))["rate_micro_usd_per_hour"]

    assert row["intended_status"] == "running"
    assert rate < row["dph_base"] * 1e6


async def test_a_command_that_does_not_exist_is_an_exited_instance_that_says_so(tmp_path: Path) -> None:
    boot = BootOptions(command=("/no/such/program",), directory=tmp_path)
    async with serving(boot=boot) as caller:
        contract_id = await caller.rent()
        await caller.until_status(contract_id, "exited")

        assert "cannot start /no/such/program" in await caller.log(contract_id)


async def test_a_machine_without_network_freezes_its_processes(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, POLITE)) as caller:
        contract_id = await _booted(caller)
        pid = (await caller.json("GET", "/_sim/contracts"))["contracts"][0]["pid"]
        await caller.json("POST", f"/_sim/instances/{contract_id}/fate", {"fate": "goes_offline"})

        async def frozen() -> bool:
            return _state(pid) == "T"

        await until(frozen, what="a stopped process")


async def test_a_frozen_process_still_ends_gracefully(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, POLITE, grace_s=60.0)) as caller:
        contract_id = await _booted(caller)
        await caller.json("POST", f"/_sim/instances/{contract_id}/fate", {"fate": "goes_offline"})
        await caller.json("PUT", f"/api/v0/instances/{contract_id}/", {"state": "stopped"})

        await caller.until_log(contract_id, "goodbye")


async def test_a_reboot_is_a_new_process_in_the_same_place(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, POLITE)) as caller:
        contract_id = await _booted(caller)
        await caller.json("PUT", f"/api/v0/instances/reboot/{contract_id}/", {})
        await caller.until_log(contract_id, "booted\n2")

        assert (await caller.row(contract_id))["actual_status"] == "running"


async def test_a_recycle_starts_with_an_empty_directory(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, POLITE)) as caller:
        contract_id = await _booted(caller)
        await caller.json("PUT", f"/api/v0/instances/recycle/{contract_id}/", {})

        async def again() -> bool:
            return (await caller.log(contract_id)).count("booted\n1") == 2

        await until(again, what="a first boot again")


async def test_logs_have_a_tail_and_a_filter(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, POLITE)) as caller:
        contract_id = await _booted(caller)
        await caller.until_log(contract_id, "WORKSPACE=")

        assert len((await caller.log(contract_id, tail="2")).splitlines()) == 2
        assert (await caller.log(contract_id, filter="COLOUR")) == "COLOUR=blue\n"


async def test_each_instance_has_ports_of_its_own(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, POLITE)) as caller:
        ids = [await caller.rent() for _ in range(5)]
        rows = [await caller.until_status(contract_id, "running") for contract_id in ids]

    ports = [row["ports"][key][0]["HostPort"] for row in rows for key in row["ports"]]
    assert len(ports) == len(set(ports)) == 10


async def test_nothing_outlives_a_server_that_is_closed(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, STUBBORN, grace_s=0.1)) as caller:
        pids = await _pids(caller, await caller.rent(), 2)
        assert all(_alive(pid) for pid in pids)

    assert not any(_alive(pid) for pid in pids)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
async def test_a_running_process_is_in_a_session_of_its_own(tmp_path: Path) -> None:
    async with serving(boot=_boot(tmp_path, POLITE)) as caller:
        await _booted(caller)
        pid = (await caller.json("GET", "/_sim/contracts"))["contracts"][0]["pid"]

        assert os.getsid(pid) == pid != os.getsid(0)
