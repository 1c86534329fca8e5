"""The shape of `launch_args`, checked before anything is deployed: flags of Vast's `create instance`, as one text.

The scaler refuses to rent with flags that it does not know, so a typing error would otherwise show as a group that never starts.
Source: `create instance --help` of the `vastai` command line, 1.9.1.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator, Mapping
from typing import Final

SWITCHES: Final = frozenset(
    {
        "--ssh",
        "--jupyter",
        "--direct",
        "--jupyter-lab",
        "--lang-utf8",
        "--python-utf8",
        "--force",
        "--cancel-unavail",
        "--raw",
        "--explain",
    }
)
VALUED: Final = frozenset({"--image", "--template_hash", "--env", "--onstart-cmd", "--login", "--user", "--jupyter-dir", "--extra"})
DOCKER_FLAGS: Final = frozenset({"-e", "--env", "-h", "-p", "-v", "--network", "--shm-size", "--ulimit", "--cap-add", "--device"})
_OURS: Final[Mapping[str, str]] = {
    "--bid_price": "interruptible instances are not rented",
    "--price": "interruptible instances are not rented",
    "--label": "the label is how Headgate finds its instances again",
    "--disk": "set 'disk_gb' instead",
}


def launch_faults(text: str) -> list[str]:
    """Return what is wrong with launch arguments, one clause a fault; empty if nothing is."""
    try:
        return list(_faults(_words(text)))
    except ValueError as exc:
        return [f"cannot be read: {exc}"]


def _faults(words: list[str]) -> Iterator[str]:
    while words:
        flag = words.pop(0)
        if flag == "--args":
            return  # everything after it is the container's
        if flag in VALUED:
            yield from _valued_faults(flag, words)
        elif flag not in SWITCHES:
            yield f"holds {flag!r}, {_OURS.get(flag) or _unknown(flag)}"


def _valued_faults(flag: str, words: list[str]) -> Iterator[str]:
    if not words:
        yield f"ends after {flag!r}, which needs a value"
        return
    value = words.pop(0)
    if flag == "--env":
        yield from _docker_faults(_words(value))


def _docker_faults(words: list[str]) -> Iterator[str]:
    while words:
        flag = words.pop(0)
        if flag not in DOCKER_FLAGS:
            yield f"holds {flag!r} in '--env', which is no docker option that is passed on"
        if not words:
            yield f"ends after {flag!r} in '--env', which needs a value"
            return
        words.pop(0)


def _unknown(flag: str) -> str:
    near = difflib.get_close_matches(flag, SWITCHES | VALUED, n=1)
    return f"which is no flag that is passed on{f' ({near[0]!r} is meant?)' if near else ''}"


def _words(text: str) -> list[str]:
    # `--flag=value` is `--flag value`; a variable's own `=` stays.
    words = shlex.split(text)
    return [part for word in words for part in (word.split("=", 1) if word.startswith("--") and "=" in word else [word])]
