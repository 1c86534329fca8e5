"""The shape of `launch_args`, checked before anything is deployed: flags of Vast's `create instance`, as one text.

The scaler refuses to rent with flags that it does not know, so a typing error would otherwise show as a group that never starts.
Source: `create instance --help` of the `vastai` command line, 1.9.1.
"""

from __future__ import annotations

import difflib
import re
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
VALUED: Final = frozenset(
    {"--image", "--template_hash", "--env", "--onstart-cmd", "--entrypoint", "--user", "--jupyter-dir", "--extra"}
)
JUPYTER: Final = frozenset({"--jupyter", "--jupyter-lab", "--jupyter-dir"})
DOCKER_FLAGS: Final = frozenset(
    {"-e", "--env", "-h", "-p", "-v", "-n", "--network", "--shm-size", "--ulimit", "--cap-add", "--device"}
)
_PORT: Final = re.compile(r"\d+(?::\d+)?(?:/(?:tcp|udp))?", re.ASCII)
_BID: Final = "set 'rental_type', 'bid_factor' and 'max_bid_usd' instead"
_VOLUME: Final = "a volume outlives its instance and goes on billing"
_OURS: Final[Mapping[str, str]] = {
    "--bid_price": _BID,
    "--price": _BID,
    "--label": "the label is how Headgate finds its instances again",
    "--disk": "set 'disk_gb' instead",
    "--login": "which is not secret here: set 'image_login' instead",
    "--onstart": "which names a file: set 'onstart' instead",
    "--create-volume": _VOLUME,
    "--link-volume": _VOLUME,
    "--volume-size": _VOLUME,
    "--mount-path": _VOLUME,
    "--volume-label": _VOLUME,
    "--api-key": "which is not secret here: set 'marketplaceApiKey' of the stack instead",
    "--url": "set 'marketplaceUrl' of the stack instead",
}


def launch_faults(text: str) -> list[str]:
    """Return what is wrong with launch arguments, one clause a fault; empty if nothing is."""
    try:
        return list(_faults(shlex.split(text)))
    except ValueError as exc:
        return [f"cannot be read: {exc}"]


def _faults(words: list[str]) -> Iterator[str]:
    given: set[str] = set()
    while words:
        flag, equals, value = _parted(words.pop(0))
        given.add(flag)
        if flag == "--args" and not equals:
            break  # everything after it is the container's
        if flag in VALUED:
            yield from _valued_faults(flag, [value, *words] if equals else words, given_value=bool(equals))
            del words[: 0 if equals else 1]
        elif flag not in SWITCHES or equals:
            yield f"holds {flag!r}, {_OURS.get(flag) or _unknown(flag)}"
            if flag in _OURS and not equals and words and not _is_flag(words[0]):
                del words[0]  # its value is no further fault
    if "--args" in given and not JUPYTER.isdisjoint(given):
        yield "holds '--args', which Jupyter excludes: set 'onstart' instead"


def _valued_faults(flag: str, words: list[str], *, given_value: bool) -> Iterator[str]:
    if not words:
        yield f"ends after {flag!r}, which needs a value"
    elif _is_flag(words[0]) and not given_value:
        yield f"has no value between {flag!r} and {words[0]!r}; write {flag}=… for a value that begins with a hyphen"
    elif flag == "--env":
        yield from _docker_faults([part for word in shlex.split(words[0]) for part in _words_of(word)])


def _parted(word: str) -> tuple[str, str, str]:
    """Part `--flag=value`; any other word is whole, also a variable with its own `=`."""
    return word.partition("=") if word.startswith("--") else (word, "", "")


def _words_of(word: str) -> list[str]:
    flag, equals, value = _parted(word)
    return [flag, value] if equals else [word]


def _is_flag(word: str) -> bool:
    """Tell whether the client of the marketplace takes a word for a flag: it begins with a hyphen, and is known or has no blank."""
    if _parted(word)[0] in SWITCHES | VALUED:
        return True
    return word.startswith("-") and " " not in word and word != "-"


def _docker_faults(words: list[str]) -> Iterator[str]:
    while words:
        flag = words.pop(0)
        if flag not in DOCKER_FLAGS:
            yield f"holds {flag!r} in '--env', which is no docker option that is passed on"
        if not words:
            yield f"ends after {flag!r} in '--env', which needs a value"
            return
        value = words.pop(0)
        if flag == "-p" and _PORT.fullmatch(value) is None:
            yield f"holds '-p {value}' in '--env', which is not of the form 8000:8000 or 8000:8000/udp"
        if flag in {"-e", "--env"} and not value.partition("=")[0] * ("=" in value):
            yield "holds a '-e' in '--env' that is not of the form NAME=value"


def _unknown(flag: str) -> str:
    if flag in SWITCHES:
        return "which takes no value"
    near = difflib.get_close_matches(flag, SWITCHES | VALUED, n=1)
    return f"which is no flag that is passed on{f' ({near[0]!r} is meant?)' if near else ''}"
