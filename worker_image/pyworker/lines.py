"""Bytes of a log into lines worth reading.

Inference servers write progress bars with carriage returns, colours, half a multi-byte character at the end of a write, a megabyte
of JSON on one line. A line ends at LF or CR; ANSI sequences and control characters go; what is not UTF-8 becomes U+FFFD; what is
longer than LINE_BYTES_MAX is cut; empty lines are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

LINE_BYTES_MAX: Final = 16_384

_LINE_END: Final = re.compile(rb"[\r\n]+")
# CSI (colours, cursor), OSC (titles, links; ended by BEL or ST), and two-character escapes: ECMA-48 5.4, 8.3.89.
_ANSI: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")


class LineSplitter:
    """Feed bytes as they come; get whole lines."""

    def __init__(self) -> None:
        self._partial = b""
        self._cut = False  # inside an over-long line whose beginning has been given out

    def feed(self, data: bytes) -> list[str]:
        """Return every line that `data` completes."""
        *whole, rest = _LINE_END.split(self._partial + data)
        if self._cut and whole:
            whole, self._cut = whole[1:], False
        if self._cut:
            rest = b""
        elif len(rest) > LINE_BYTES_MAX:
            whole, rest, self._cut = [*whole, rest], b"", True
        self._partial = rest
        return _texts(whole)

    def flush(self) -> list[str]:
        """Return the unfinished last line, if any: its writer is gone."""
        partial, self._partial = self._partial, b""
        return _texts([partial])


def _texts(lines: Iterable[bytes]) -> list[str]:
    return [text for text in map(_text, lines) if text]


def _text(line: bytes) -> str:
    return _CONTROL.sub(b"", _ANSI.sub(b"", line[:LINE_BYTES_MAX])).decode("utf-8", errors="replace").strip()
