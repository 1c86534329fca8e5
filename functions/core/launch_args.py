"""`launch_args`: flags of the official `create instance` command, as one string, for what an autogroup has no field for.

Read with the shell's quoting. A flag that would change what is rented behind the autogroup's back (a bid, a label, a disk size) is
refused, and so is an unknown one: half of a launch configuration is no configuration. Source of the flags: vastai 1.9.1
`create instance --help`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

_SWITCHES: Final = frozenset({"--ssh", "--jupyter", "--direct", "--jupyter-lab", "--lang-utf8", "--python-utf8", "--force"})
_WITH_VALUE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "--image": "image",
        "--template_hash": "template_hash",
        "--env": "env",
        "--onstart-cmd": "onstart",
        "--login": "image_login",
        "--user": "user",
        "--jupyter-dir": "jupyter_dir",
        "--extra": "extra",
    }
)
# Ours to say, or of no meaning here.
_IGNORED: Final = frozenset({"--cancel-unavail", "--raw", "--explain"})
_REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "--bid_price": "interruptible instances are not rented",
        "--price": "interruptible instances are not rented",
        "--label": "the label is how instances are found again",
        "--disk": "set disk_gb of the autogroup, which is also what offers are priced for",
        "--entrypoint": "give the command with --args",
    }
)


class MalformedLaunchArgs(ValueError):
    """The string is not a list of known flags; the message names the flag and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchArgs:
    """What the flags say. `args` is the container's command line, None where none is given."""

    switches: frozenset[str] = frozenset()
    values: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    args: tuple[str, ...] | None = None

    @property
    def runtype(self) -> str | None:
        """How the container is entered, spelled as the API spells it; None if the flags do not say."""
        if self.args is not None:
            return "args"
        direct = "--direct" in self.switches
        if "--jupyter" in self.switches:
            return "jupyter_direc ssh_direc ssh_proxy" if direct else "jupyter_proxy ssh_proxy"
        if "--ssh" in self.switches:
            return "ssh_direc ssh_proxy" if direct else "ssh_proxy"
        return None


def parse_launch_args(text: str) -> LaunchArgs:
    """Return what the flags say. Raises MalformedLaunchArgs."""
    words = _split(text)
    switches: set[str] = set()
    values: dict[str, str] = {}
    while words:
        flag = words.pop(0)
        if flag == "--args":
            return _read(switches, values, tuple(words))  # everything after it is the container's
        if flag in _SWITCHES:
            switches.add(flag)
        elif flag in _WITH_VALUE:
            values[_WITH_VALUE[flag]] = _value_of(flag, words)
        elif flag not in _IGNORED:
            raise MalformedLaunchArgs(f"launch_args: {flag[:40]}: {_REFUSED.get(flag, 'unknown flag')}")
    return _read(switches, values, None)


def parse_docker_flags(text: str) -> dict[str, str]:
    """Return `-e A=b -p 8000:8000 -h host` as the API's environment object: variables by name, other flags as keys.

    Raises MalformedLaunchArgs.
    """
    words = _split(text)
    env: dict[str, str] = {}
    while words:
        flag = words.pop(0)
        value = _value_of(flag, words)
        if flag in {"-e", "--env"}:
            name, _, content = value.partition("=")
            env[name] = content
        elif flag == "-h":
            env["-h"] = value
        elif flag in {"-p", "-v", "--network", "--shm-size", "--ulimit", "--cap-add", "--device"}:
            env[f"{flag} {value}"] = "1"
        else:
            raise MalformedLaunchArgs(f"launch_args: --env holds {flag[:40]}, which is no docker option that is passed on")
    return env


def _read(switches: set[str], values: dict[str, str], args: tuple[str, ...] | None) -> LaunchArgs:
    env = parse_docker_flags(values.pop("env", ""))
    return LaunchArgs(switches=frozenset(switches), values=values, env=env, args=args)


def _split(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise MalformedLaunchArgs(f"launch_args: {exc}") from exc
    # `--flag=value` is `--flag value`; a variable's own `=` stays.
    return [part for word in words for part in (word.split("=", 1) if word.startswith("--") and "=" in word else [word])]


def _value_of(flag: str, words: list[str]) -> str:
    if not words:
        raise MalformedLaunchArgs(f"launch_args: {flag[:40]} needs a value")
    return words.pop(0)
