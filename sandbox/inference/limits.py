"""What the server accepts, and how its streams are to break."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the server accepts, in TGI's words."""

    model_id: str = "sandbox/words"
    max_concurrent_requests: int = 128
    max_input_tokens: int = 4095
    max_total_tokens: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFault:
    """Break every stream after so many tokens: tell an error inside it, or cut the connection."""

    after_tokens: int
    cut: bool = False
