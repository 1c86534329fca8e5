"""Follow a log file as `tail -F` does: through rotation (a new file under the name) and truncation (the same file, shorter).

The file need not exist yet. It is looked at every POLL_S seconds; inotify would tell sooner, but does not see what happens on
overlay and network file systems. One read is bounded, so that a log of gigabytes does not stop the worker.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

from pyworker.lines import LineSplitter

POLL_S: Final = 0.2
READ_BYTES_MAX: Final = 65_536


class LogTail:
    """Reads what was added to `path` since the last look. Starts at the beginning of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._splitter = LineSplitter()

    def read(self) -> list[str]:
        """Return the lines completed since the last call, of at most READ_BYTES_MAX bytes; an empty list means nothing new."""
        if self._file is None:
            self._file = self._open()
        if self._file is None:
            return []
        data = self._read_on(self._file)
        if data:
            return self._splitter.feed(data)
        # Only when the old file is read to its end is it time to look whether there is a new one.
        return self._changed_files(self._file)

    def finish(self) -> list[str]:
        """Return everything left, an unfinished last line included, and close. For when the writer is gone."""
        lines = []
        while more := self.read():
            lines += more
        lines += self._splitter.flush()
        self.close()
        return lines

    def close(self) -> None:
        """Close the file; a later `read` starts over."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO | None:
        try:
            return self._path.open("rb", buffering=0)
        except OSError:
            return None

    def _read_on(self, file: BinaryIO) -> bytes:
        if os.fstat(file.fileno()).st_size < file.tell():
            file.seek(0)
        return file.read(READ_BYTES_MAX)

    def _changed_files(self, file: BinaryIO) -> list[str]:
        try:
            same = os.path.samestat(self._path.stat(), os.fstat(file.fileno()))
        except OSError:
            return []  # between the two steps of a rotation: the name will be back
        if same:
            return []
        self.close()
        return self._splitter.flush()


async def follow(tail: LogTail) -> AsyncIterator[str]:
    """Yield lines for ever."""
    while True:
        lines = tail.read()
        for line in lines:
            yield line
        # Also after a full read: a flood of lines must leave the loop to requests.
        await asyncio.sleep(0 if lines else POLL_S)
