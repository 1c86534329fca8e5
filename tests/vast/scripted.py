"""The marketplace adapter against scripted answers, and short ways to say "an offer's row", "an instance's row"."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

import requests
from urllib3 import HTTPResponse

from functions.adapters.vast import VastMarketplace
from functions.adapters.vast_http import VastHttp
from functions.core.model import Autogroup, Offer
from functions.ports import RentRequest
from tests.core.builders import an_offer
from tests.simulation.clock import SimulatedClock

KEY: Final = "key-that-nobody-may-see"
LOGIN: Final = "-u somebody -p registry-password registry.test"
START_S: Final = 1_900_000_000.0
AUTOGROUP: Final = Autogroup(name="a", search_params="num_gpus=1", image="tgi:1", disk_gb=20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """One answer. A `body` that is no bytes is sent as JSON."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None


class ScriptedSession(requests.Session):
    """Gives the scripted answers in turn, and keeps what was asked."""

    def __init__(self, *script: Scripted) -> None:
        super().__init__()
        self.script = list(script)
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def request(self, *words: Any, **options: Any) -> requests.Response:
        """Answer as scripted."""
        self.asked.append((words[0], words[1], options))
        now = self.script.pop(0)
        if now.error is not None:
            raise now.error
        raw = now.body if isinstance(now.body, bytes) else json.dumps(now.body).encode()
        response = requests.Response()
        response.status_code = now.status
        response.headers.update(now.headers)
        response.raw = HTTPResponse(io.BytesIO(raw), preload_content=False)
        return response

    def body(self, index: int = -1) -> dict[str, Any]:
        """Return the JSON body of a request."""
        sent: dict[str, Any] = self.asked[index][2]["json"]
        return sent


def adapter(*script: Scripted, pace_factor: float = 1.0) -> tuple[VastMarketplace, ScriptedSession, SimulatedClock]:
    """Return the adapter that ships, the session that it talks through, and its clock."""
    session, clock = ScriptedSession(*script), SimulatedClock(START_S)
    http = VastHttp("https://market.test/", api_key=lambda: KEY, clock=clock, session=session, pace_factor=pace_factor)
    return VastMarketplace(http, clock=clock), session, clock


def rent_request(
    offer: Offer | None = None, *, image_login: str | None = None, env: dict[str, str] | None = None, **changes: Any
) -> RentRequest:
    """Return a request to rent an offer; `changes` go to the autogroup."""
    return RentRequest(
        offer=offer or an_offer(17),
        label="headgate/t/chat/w0-x",
        autogroup=replace(AUTOGROUP, **changes),
        env=env or {"A": "ours"},
        image_login=image_login,
    )


def instance_row(**changes: Any) -> dict[str, Any]:
    """Return the row of a running instance."""
    return {
        "id": 5,
        "label": "headgate/t/chat/w0-x \n",
        "machine_id": 9,
        "gpu_name": "RTX 4090",
        "num_gpus": 1,
        "is_bid": False,
        "actual_status": "running",
        "intended_status": "running",
        "status_msg": None,
        "dph_total": 0.4,
        "storage_total_cost": 0.005,
    } | changes


def offer_row(**changes: Any) -> dict[str, Any]:
    """Return the row of an offer at 40 cents."""
    return {
        "id": 1,
        "machine_id": 2,
        "host_id": 3,
        "gpu_name": "RTX 4090",
        "num_gpus": 1,
        "dph_base": 0.4,
        "dph_total": 0.405,
        "min_bid": 0.2,
        "is_bid": False,
        "storage_cost": 0.18,
        "dlperf": 100.5,
        "reliability": 0.99,
        "geolocation": "Quebec, CA",
    } | changes
