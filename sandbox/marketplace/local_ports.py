"""Host ports for containers: free ports of this machine, each given out once.

They are taken below the range from which the kernel picks ports for outgoing connections (32768 and up on Linux), because a
container listens on its port only seconds after it was given out. The start is random, so that two simulators rarely meet.
"""

from __future__ import annotations

import secrets
import socket
from typing import Final

FIRST_PORT: Final = 12_000
LAST_PORT: Final = 32_000
LOOPBACK: Final = "127.0.0.1"


class LocalPorts:
    """Gives out ports; none twice until all were given out."""

    def __init__(self) -> None:
        self._next = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT)

    def take(self) -> int:
        """Return a port on which nobody listens now. Raises OSError when there is none."""
        for _ in range(LAST_PORT - FIRST_PORT):
            port, self._next = self._next, FIRST_PORT + (self._next + 1 - FIRST_PORT) % (LAST_PORT - FIRST_PORT)
            if _is_free(port):
                return port
        raise OSError(f"no free port between {FIRST_PORT} and {LAST_PORT}")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
