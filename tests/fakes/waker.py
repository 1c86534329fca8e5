"""A waker that remembers whom it was asked to wake."""

from __future__ import annotations


class RecordingWaker:
    """Implements `ports.ScaleWaker`."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    def wake(self, endpoint: str) -> None:
        """Remember the endpoint."""
        self.woken.append(endpoint)
