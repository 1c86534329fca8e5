"""The one account that a simulator has."""

from __future__ import annotations

from typing import Final

USER_ID: Final = 100_001
EMAIL: Final = "sandbox@example.invalid"
USERNAME: Final = "sandbox"
