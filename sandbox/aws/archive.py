"""Pulumi assets and archives, turned into the zip that Lambda takes.

The zip depends on its contents alone: entries are sorted and carry one fixed time, as Pulumi's own
do, so that the same code has the same hash on every machine. Relative paths are relative to the
folder of the Pulumi program, which is where the real CLI runs it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pulumi

from sandbox.aws.errors import InvalidInputs

ENTRY_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can say."""
FILE_MODE: Final = 0o644
EXECUTABLE_MODE: Final = 0o755
COMPRESSION_LEVEL: Final = 1
"""The zip crosses loopback once; time matters and size does not."""


def zip_of(archive: pulumi.Archive | pulumi.Asset, *, program_dir: Path) -> bytes:
    """Give the bytes of the zip. A `FileArchive` of a .zip file is taken as it is.

    Raises `InvalidInputs` for remote archives, for a path that does not exist, and for a single asset.
    """
    if isinstance(archive, pulumi.FileArchive):
        path = _existing(program_dir / archive.path)
        if path.is_file():
            return path.read_bytes()
    entries = dict(_entries(archive, program_dir))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as written:
        for name in sorted(entries):
            written.writestr(_entry(name, entries[name]), _content(entries[name]))
    return buffer.getvalue()


def _entries(archive: pulumi.Archive | pulumi.Asset, program_dir: Path) -> Iterator[tuple[str, Path | str]]:
    """List the files: the name inside the zip, and where the content is or the content itself."""
    if isinstance(archive, pulumi.FileArchive):
        yield from _tree(_existing(program_dir / archive.path))
    elif isinstance(archive, pulumi.AssetArchive):
        for name, member in archive.assets.items():
            yield from _member(name, member, program_dir)
    else:
        raise InvalidInputs(f"the sandbox cannot read a {type(archive).__name__} as an archive")


def _member(name: str, member: pulumi.Archive | pulumi.Asset, program_dir: Path) -> Iterator[tuple[str, Path | str]]:
    if isinstance(member, pulumi.FileAsset):
        yield name, _existing(program_dir / str(member.path))
    elif isinstance(member, pulumi.StringAsset):
        yield name, member.text
    else:
        for inner, content in _entries(member, program_dir):
            yield f"{name}/{inner}", content


def _tree(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path


def _existing(path: Path) -> Path:
    if not path.exists():
        raise InvalidInputs(f"{path} does not exist: was the code packaged?")
    return path


def _entry(name: str, content: Path | str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, ENTRY_TIME)
    executable = isinstance(content, Path) and bool(content.stat().st_mode & 0o100)
    entry.external_attr = (EXECUTABLE_MODE if executable else FILE_MODE) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _content(content: Path | str) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content.encode()
