"""How one generation went, as its client saw it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """`first_token_s` counts from the call, waiting included; `moves` is how often it began anew on another worker."""

    first_token_s: float
    tokens: int
    moves: int
