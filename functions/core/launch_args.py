"""`launch_args`: flags of the official `create instance` command, as one string, for what an autogroup has no key for.

Split as a shell splits and read by the same rules as the official command (vastai 1.9.1 `cli/commands/instances.py`): `argparse`,
with every flag declared as it is there, so `--image=x`, abbreviations and `--args …` to the end mean the same. A test runs both
over the same strings.

A flag that would change what is rented, found or billed behind the autogroup's back is refused, with the key to set instead;
an unknown one too: half of a launch configuration is no configuration. So is a secret: what stands here is kept in the open.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NoReturn

_SWITCHES: Final = (
    *("--ssh", "--jupyter", "--direct", "--jupyter-lab", "--lang-utf8", "--python-utf8", "--force"),
    *("--cancel-unavail", "--raw", "--explain"),  # always on, or of no meaning here
)
_WITH_VALUE: Final = ("--image", "--template_hash", "--env", "--onstart-cmd", "--entrypoint", "--user", "--jupyter-dir", "--extra")
_VOLUME: Final = "a volume outlives its instance and goes on billing, and Headgate could not remove it"
REFUSED: Final[Mapping[str, str]] = {
    "--bid_price": "set rental_type, bid_factor and max_bid_usd of the autogroup",
    "--price": "set rental_type, bid_factor and max_bid_usd of the autogroup",
    "--label": "the label is how instances are found again",
    "--disk": "set disk_gb of the autogroup, which is also what offers are priced for",
    "--login": "set image_login of the autogroup, which is kept secret",
    "--onstart": "it names a file, which is not there; set onstart of the autogroup",
    "--create-volume": _VOLUME,
    "--link-volume": _VOLUME,
    "--volume-size": _VOLUME,
    "--mount-path": _VOLUME,
    "--volume-label": _VOLUME,
    "--api-key": "the key is the stack's, which is kept secret",
    "--url": "the address is the stack's",
}
_PORT: Final = re.compile(r"\d+(?::\d+)?(?:/(?:tcp|udp))?", re.ASCII)
# What the API takes as a key of `env`: `-p 8000:8000` and so on, each with the value "1", but for the host name.
_DOCKER_OPTIONS: Final = frozenset({"-v", "-n", "--network", "--shm-size", "--ulimit", "--cap-add", "--device"})


class MalformedLaunchArgs(ValueError):
    """The string is not a list of flags that are passed on; the message names the flag and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchArgs:
    """What the flags say. `args` is the container's command line, None where none is given; `runtype` is spelled as in the API."""

    image: str | None = None
    template_hash: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    onstart: str | None = None
    user: str | None = None
    extra: str | None = None
    jupyter_dir: str | None = None
    jupyter_lab: bool = False
    lang_utf8: bool = False
    python_utf8: bool = False
    force: bool = False
    runtype: str | None = None
    args: tuple[str, ...] | None = None


class _Parser(argparse.ArgumentParser):
    """Raises instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise MalformedLaunchArgs(f"launch_args: {message}")


@cache
def _parser() -> _Parser:
    parser = _Parser(prog="launch_args", usage=argparse.SUPPRESS, add_help=False)
    for flag in _SWITCHES:
        parser.add_argument(flag, action="store_true")
    for flag in (*_WITH_VALUE, *REFUSED):
        parser.add_argument(flag)
    parser.add_argument("--args", nargs=argparse.REMAINDER)
    return parser


def parse_launch_args(text: str) -> LaunchArgs:
    """Return what the flags say. Raises MalformedLaunchArgs."""
    said, unread = _parser().parse_known_args(_split(text))
    if unread:
        raise MalformedLaunchArgs(f"launch_args: {unread[0][:40]}: unknown flag")
    for flag, remedy in REFUSED.items():
        if getattr(said, _name(flag)) is not None:
            raise MalformedLaunchArgs(f"launch_args: {flag}: {remedy}")
    return LaunchArgs(
        image=said.image,
        template_hash=said.template_hash,
        env=parse_docker_flags(said.env or ""),
        onstart=said.entrypoint if said.onstart_cmd is None else said.onstart_cmd,
        user=said.user,
        extra=said.extra,
        jupyter_dir=said.jupyter_dir,
        jupyter_lab=said.jupyter_lab,
        lang_utf8=said.lang_utf8,
        python_utf8=said.python_utf8,
        force=said.force,
        runtype=_runtype(said),
        args=None if said.args is None else tuple(said.args),
    )


def _runtype(said: argparse.Namespace) -> str | None:
    """Return how the container is entered, None if no flag says ("direc" is how the API spells it)."""
    jupyter = said.jupyter or said.jupyter_lab or said.jupyter_dir
    if jupyter and said.args is not None:
        raise MalformedLaunchArgs("launch_args: --args: Jupyter and a command exclude each other; set onstart of the autogroup")
    if jupyter:
        return "jupyter_direc ssh_direc ssh_proxy" if said.direct else "jupyter_proxy ssh_proxy"
    if said.ssh:
        return "ssh_direc ssh_proxy" if said.direct else "ssh_proxy"
    if said.args is not None:
        return "args"
    return "ssh" if said.direct else None


def parse_docker_flags(text: str) -> dict[str, str]:
    """Return `-e A=b -p 8000:8000 -h host` as the API's environment object: variables by name, other flags as keys.

    Quotes group as in a shell; the official client leaves them in the name. Raises MalformedLaunchArgs.
    """
    # `--flag=value` is `--flag value`; a variable's own `=` stays.
    words = [part for word in _split(text) for part in (word.split("=", 1) if word.startswith("--") and "=" in word else [word])]
    env: dict[str, str] = {}
    while words:
        flag = words.pop(0)
        if not words:
            raise MalformedLaunchArgs(f"launch_args: --env ends after {flag[:40]}, which needs a value")
        key, value = _docker_flag(flag, words.pop(0))
        env[key] = value
    return env


def _docker_flag(flag: str, value: str) -> tuple[str, str]:
    if flag in {"-e", "--env"}:
        name, equals, content = value.partition("=")
        if not (name and equals):
            raise MalformedLaunchArgs(f"launch_args: --env holds -e {value[:40]}, which is not of the form NAME=value")
        return name, content
    if flag == "-h":
        return "-h", value
    if flag == "-p" and _PORT.fullmatch(value) is None:
        raise MalformedLaunchArgs(f"launch_args: --env holds -p {value[:40]}, which is not of the form 8000:8000 or 8000:8000/udp")
    if flag == "-p" or flag in _DOCKER_OPTIONS:
        return f"{flag} {value}", "1"
    raise MalformedLaunchArgs(f"launch_args: --env holds {flag[:40]}, which is no docker option that is passed on")


def _name(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as exc:
        raise MalformedLaunchArgs(f"launch_args: {exc}") from exc
