"""What an application imports: `from client import Client`.

    Client ──1──▶ route function: "who serves this?" ──▶ a signed ticket, or "wait" and why
       └───2──▶ worker: ticket and payload ──▶ the model's reply, whole or streamed

The payload goes to the worker alone; the API key to the route function alone.
"""

from client.errors import (
    ClientClosed,
    DeadlineExceeded,
    HeadgateError,
    RouteRefused,
    SessionOver,
    StreamBroken,
    WorkerRefused,
)
from client.events import text_of
from client.headgate import Client, Reply
from client.pauses import PollSchedule
from client.session import WorkerSession

__all__ = [
    "Client",
    "ClientClosed",
    "DeadlineExceeded",
    "HeadgateError",
    "PollSchedule",
    "Reply",
    "RouteRefused",
    "SessionOver",
    "StreamBroken",
    "WorkerRefused",
    "WorkerSession",
    "text_of",
]
