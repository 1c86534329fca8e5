"""Nothing to watch: the server is part of this process and writes no log."""

from __future__ import annotations

from typing import Final

LOG_RULES: Final = None
