"""What the API asks about the processes behind instances, and the answer of a world that has none."""

from __future__ import annotations

from typing import Protocol

from sandbox.marketplace.shell import Command


class Processes(Protocol):
    """What the API asks about the processes behind instances."""

    def log_tail(self, contract_id: int, lines: int) -> str:
        """Return the last lines that the instance's process wrote; empty if it never ran."""

    def pid(self, contract_id: int) -> int | None:
        """Return the process id, None if none runs."""

    def execute(self, contract_id: int, command: Command) -> str:
        """Run a command on the files of a stopped instance; return what it prints."""


class NoProcesses:
    """A world of bookkeeping only."""

    def log_tail(self, contract_id: int, lines: int) -> str:  # noqa: ARG002 - the port's signature
        """Return nothing."""
        return ""

    def pid(self, contract_id: int) -> int | None:  # noqa: ARG002 - the port's signature
        """Return None."""
        return None

    def execute(self, contract_id: int, command: Command) -> str:  # noqa: ARG002 - the port's signature
        """Return nothing: there are no files."""
        return ""
