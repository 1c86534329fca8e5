"""The name of a certificate: the SHA-256 of its DER bytes, as 64 lowercase hexadecimal digits; empty where there is none."""

from __future__ import annotations

import re
from typing import Any, Final

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


def is_fingerprint(value: Any) -> bool:
    """Tell whether a stranger's value is a fingerprint, or the empty text that stands for none."""
    return isinstance(value, str) and (not value or _FINGERPRINT.fullmatch(value) is not None)
