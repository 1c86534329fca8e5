"""Files of rows, packed by gzip or not."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TextIO


def opened(path: Path) -> TextIO:
    """Open the file to read its rows. Raises OSError."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", newline="", encoding="utf-8")
    return path.open(newline="", encoding="utf-8")


def name_of(path: Path) -> str:
    """Return the name of what the file holds: its own, without what it is packed and written as."""
    return path.name.removesuffix(".gz").removesuffix(".csv")
