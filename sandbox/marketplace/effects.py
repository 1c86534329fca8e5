"""What the world wants done to real processes, as values: the server carries them out, a simulation reads them as its own cue.

A contract's effects are to be carried out in order. `Boot` starts the container's process, `Halt` asks it to end (and ends it
after a grace), `Kill` ends it at once, `Freeze` and `Thaw` are a machine nobody hears, `Wipe` removes its directory for ever.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Boot:
    """Start the process of a contract that is now running."""

    contract_id: int


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop the process gracefully; the directory stays."""

    contract_id: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End the process at once; the directory stays."""

    contract_id: int


@dataclass(frozen=True, slots=True)
class Freeze:
    """Keep the process from running: its machine lost its network."""

    contract_id: int


@dataclass(frozen=True, slots=True)
class Thaw:
    """Let a frozen process go on."""

    contract_id: int


@dataclass(frozen=True, slots=True)
class Wipe:
    """Remove the directory."""

    contract_id: int


Effect = Boot | Halt | Kill | Freeze | Thaw | Wipe
