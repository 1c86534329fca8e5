"""A cloud that makes nothing and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.aws.resources import KINDS
from sandbox.aws.resources.kind import Creation, Made


class RecordingCloud:
    """Gives clients whose every method remembers its arguments and answers nothing."""

    region = "eu-central-1"
    account_id = "123456789012"

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def client(self, service: str) -> Any:
        """Give a client."""
        return _RecordingClient(service, self.asked)

    def reachable_url(self, function_url: str) -> str:
        """Leave it as it is."""
        return function_url

    def ensure_alive(self) -> None:
        """Be alive."""


class _RecordingClient:
    def __init__(self, service: str, asked: list[tuple[str, dict[str, Any]]]) -> None:
        self._service = service
        self._asked = asked

    def __getattr__(self, method: str) -> Callable[..., dict[str, Any]]:
        def ask(**arguments: Any) -> dict[str, Any]:
            self._asked.append((f"{self._service}.{method}", arguments))
            return {}

        return ask


def create(cloud: RecordingCloud, resource_type: str, inputs: dict[str, Any]) -> Made:
    """Have a kind create a resource in the cloud."""
    creation = Creation(urn="urn", name="logical", inputs=inputs, tags={}, cloud=cloud, program_dir=Path())
    return KINDS[resource_type].create(creation)
