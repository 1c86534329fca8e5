"""The three commands that may be executed on a stopped instance: `ls`, `du` and `rm`, inside its own directory.

Nothing is handed to a shell. Options are read for their letters; `-l` (ls) and `-r` (rm) mean something, the others nothing. A path
is taken from the instance's root, absolute or not, and one that leads out of it, through `..` or a link, is not there.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sandbox.marketplace.errors import Refused

COMMAND_CHARS_MAX: Final = 512
LINES_MAX: Final = 10_000
_BLOCK_BYTES: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command, read: its name, the letters of its options, and its paths."""

    name: str
    letters: frozenset[str]
    paths: tuple[str, ...]


def read_command(text: object) -> Command:
    """Read a command. Raises Refused (400) for any other."""
    if not isinstance(text, str) or len(text) > COMMAND_CHARS_MAX:
        raise Refused(400, "invalid_args", f"A command has at most {COMMAND_CHARS_MAX} characters.")
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise _invalid() from exc
    if not words or words[0] not in _RUN:
        raise _invalid()
    options = [word for word in words[1:] if word.startswith("-")]
    paths = tuple(word for word in words[1:] if not word.startswith("-"))
    if words[0] == "rm" and not paths:
        raise _invalid()
    return Command(name=words[0], letters=frozenset("".join(options)), paths=paths)


def run(command: Command, root: Path) -> str:
    """Carry it out below `root`, which may not exist; returns what it prints."""
    lines = [line for path in command.paths or (".",) for line in _RUN[command.name](command, root, path)]
    return "".join(f"{line}\n" for line in lines[:LINES_MAX])


def _list(command: Command, root: Path, path: str) -> list[str]:
    place = _inside(root, path)
    if place is None or not place.exists():
        return [f"ls: cannot access '{path}': No such file or directory"]
    found = sorted(place.iterdir()) if place.is_dir() else [place]
    if "l" not in command.letters:
        return [each.name for each in found]
    return [f"{'d' if each.is_dir() else '-'} {each.lstat().st_size:>12} {each.name}" for each in found]


def _usage(_command: Command, root: Path, path: str) -> list[str]:
    place = _inside(root, path)
    if place is None or not place.exists():
        return [f"du: cannot access '{path}': No such file or directory"]
    size = sum(each.lstat().st_size for each in (place, *place.rglob("*")))
    return [f"{-(-size // _BLOCK_BYTES)}\t{path}"]


def _remove(command: Command, root: Path, path: str) -> list[str]:
    place = _inside(root, path)
    if place is None or place == root.resolve() or not place.exists():
        return [f"rm: cannot remove '{path}': No such file or directory"]
    if not place.is_dir():
        place.unlink()
        return []
    if "r" not in command.letters:
        return [f"rm: cannot remove '{path}': Is a directory"]
    shutil.rmtree(place, ignore_errors=True)
    return []


def _inside(root: Path, path: str) -> Path | None:
    """Return the place that a path means, None if that is outside."""
    place = (root / path.lstrip("/")).resolve()
    return place if place.is_relative_to(root.resolve()) else None


def _invalid() -> Refused:
    return Refused(400, "invalid_args", "Invalid command given.")


_RUN: Final[Mapping[str, Callable[[Command, Path, str], list[str]]]] = MappingProxyType({"ls": _list, "du": _usage, "rm": _remove})
