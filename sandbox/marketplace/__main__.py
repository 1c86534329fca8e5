"""Run the marketplace simulator: prints one line of JSON with its URL when it is ready, and stops on SIGTERM.

python -m sandbox.marketplace --port 8482 --seed 7 --speed 20 --faults typical --credit 25 --api-key-file key.txt
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sandbox.marketplace.faults import PRESETS, Chance, FaultOptions, Operation, Scripted, Span, fault_of
from sandbox.marketplace.gpus import YEAR_DEFAULT, YEARS
from sandbox.marketplace.market import MarketOptions
from sandbox.marketplace.processes import BootOptions
from sandbox.marketplace.server import MarketplaceServer, ServerOptions
from sandbox.marketplace.world import WorldOptions

_SCRIPT = re.compile(r"(\w+):(\w+)@(\d+)")
_CHANCE = re.compile(r"(\w+):(\w+)=([\d.]+)")


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and serve until told to stop."""
    args = _parser().parse_args(argv)
    world = _world(args)
    boot_env = _boot_env(args.boot_env)
    with _directory(args.state_dir) as directory:
        key_file = _key_file(args.api_key_file, directory)
        options = ServerOptions(
            api_key=_read_key(key_file),
            world=world,
            seed=args.seed,
            port=args.port,
            speed=args.speed,
            rate_limits=args.rate_limits,
            boot=_boot(args, directory, boot_env),
            router_url=args.router,
        )
        asyncio.run(_serve(options, {"state_dir": str(directory), "api_key_file": str(key_file), "seed": args.seed}))


@contextmanager
def _directory(given: str | None) -> Iterator[Path]:
    """Yield the directory that was given, or a temporary one that goes when the simulator goes."""
    directory = Path(tempfile.mkdtemp(prefix="marketplace-")) if given is None else Path(given).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        yield directory
    finally:
        if given is None:
            shutil.rmtree(directory, ignore_errors=True)


async def _serve(options: ServerOptions, told: dict[str, object]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with MarketplaceServer(options) as server:
        print(json.dumps({"url": server.url, "pid": os.getpid(), **told}), flush=True)
        await stop.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.marketplace", description="A simulated GPU marketplace on loopback.")
    add = parser.add_argument
    add("--port", type=int, default=0, help="port on 127.0.0.1; 0 picks a free one (default)")
    add("--seed", type=int, default=0, help="seed of everything that is drawn")
    add("--machines", type=int, default=300, help="machines on the market")
    add("--year", type=int, choices=YEARS, default=YEAR_DEFAULT, help="whose GPU models and prices")
    add("--credit", type=float, default=100.0, metavar="USD", help="the account's credit")
    add("--api-key-file", metavar="FILE", help="file with the account's key; made in the state directory if not given")
    add("--boot-speed", type=_factor, default=1.0, metavar="X", help="boots, stops and reboots alone are X times as fast; no money")
    add("--speed", type=_factor, default=1.0, metavar="X", help="the world's clock runs X times as fast: boots, money, everything")
    add("--faults", choices=list(PRESETS), default="none", help="what goes wrong by chance")
    add("--script", action="append", default=[], metavar="OPERATION:FAULT@N", help="let the N-th call of OPERATION meet FAULT")
    add("--chance", action="append", default=[], metavar="OPERATION:FAULT=P", help="let each call of OPERATION meet FAULT so often")
    add("--missing-image", action="append", default=[], metavar="IMAGE", help="an image that no host finds")
    add("--latency", type=_span, metavar="S[-S]", help="seconds that every answer takes, or two bounds")
    add("--rate-limits", action="store_true", help="enforce the documented intervals between calls")
    add("--search-limit-max", type=int, metavar="N", help="no search answers more than N offers")
    add("--rivals-per-hour", type=float, default=0.05, metavar="X", help="rentals by others, per machine and hour")
    add("--boot-command", metavar="COMMAND", help="what an instance runs; {python} and {VARIABLE} are replaced")
    add("--boot-env", action="append", default=[], metavar="K=V", help="environment of every instance, in addition")
    add("--stop-grace", type=float, default=5.0, metavar="S", help="seconds between SIGTERM and SIGKILL")
    add(
        "--router",
        metavar="URL",
        help="a running Headgate's route function, which then answers for endpoints",
    )
    add("--state-dir", metavar="DIR", help="instance directories and logs; temporary if not given")
    return parser


def _factor(text: str) -> float:
    """Read a number that speeds something up. argparse makes a message of the ValueError that a wrong one raises."""
    factor = float(text)
    if not 0 < factor < float("inf"):
        raise ValueError(text)
    return factor


def _world(args: argparse.Namespace) -> WorldOptions:
    return WorldOptions(
        market=MarketOptions(machines=args.machines, year=args.year, rivals_per_machine_hour=args.rivals_per_hour),
        faults=_faults(args),
        boot_speed=args.boot_speed,
        credit_usd=args.credit,
        search_limit_max=args.search_limit_max,
    )


def _span(text: str) -> Span:
    """Read one number of seconds, or two. argparse makes a message of the ValueError that wrong ones raise."""
    least, _, most = text.partition("-")
    span = Span(least_s=float(least), most_s=float(most or least))
    if not 0 <= span.least_s <= span.most_s < float("inf"):
        raise ValueError(text)
    return span


def _faults(args: argparse.Namespace) -> FaultOptions:
    preset = PRESETS[args.faults]
    return replace(
        preset,
        scripted=tuple(_script(text) for text in args.script),
        chances=(*(_chance(text) for text in args.chance), *preset.chances),
        missing_images=frozenset(args.missing_image),
        latency=args.latency,
    )


def _script(text: str) -> Scripted:
    match = _SCRIPT.fullmatch(text)
    if match is None:
        raise SystemExit(f"--script {text!r}: expected OPERATION:FAULT@N, such as create:server_error_after@3")
    try:
        return Scripted(operation=Operation(match[1]), call=int(match[3]), fault=fault_of(match[2]))
    except ValueError as exc:
        raise SystemExit(f"--script {text!r}: {exc}") from exc


def _chance(text: str) -> Chance:
    match = _CHANCE.fullmatch(text)
    if match is None:
        raise SystemExit(f"--chance {text!r}: expected OPERATION:FAULT=P, such as create:wrong_machine=0.1")
    try:
        return Chance(operation=Operation(match[1]), fault=fault_of(match[2]), probability=float(match[3]))
    except ValueError as exc:
        raise SystemExit(f"--chance {text!r}: {exc}") from exc


def _boot_env(pairs: Sequence[str]) -> dict[str, str]:
    split = [text.partition("=") for text in pairs]
    if not all(name and equals for name, equals, _ in split):
        raise SystemExit("--boot-env expects NAME=value")
    return {name: value for name, _, value in split}


def _boot(args: argparse.Namespace, directory: Path, extra_env: dict[str, str]) -> BootOptions | None:
    if not args.boot_command:
        return None
    return BootOptions(
        command=tuple(shlex.split(args.boot_command)),
        directory=directory,
        extra_env=extra_env,
        stop_grace_s=args.stop_grace,
        temporary=args.state_dir is None,
    )


def _key_file(given: str | None, directory: Path) -> Path:
    if given is not None:
        return Path(given).resolve()
    path = directory / "api-key"
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32))
    return path


def _read_key(path: Path) -> str:
    key = path.read_text().strip()
    if not key:
        raise SystemExit(f"{path} is empty: an account needs a key")
    return key


if __name__ == "__main__":
    main()
