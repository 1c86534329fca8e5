"""How long things take on a host, and the knob that shortens them.

| phase | drawn from | default |
|---|---|---|
| accept to the host's first word | `contact` | 1 to 10 s |
| image pull and container start | size over line, with `pull_spread_sigma`; `extract_s_per_gb` | 118 s: 8 GB at 743 Mbit/s |
| the same with the image there | `cached` | 5 to 15 s |
| a pull that the daemon refuses | `refusal` | 2 to 30 s |
| stopped to running | `start` | 5 to 30 s |
| running to stopped | `stop` | 2 to 12 s (docker allows 10 s of grace) |
| reboot | `stop`, then `restart` | 4 to 22 s |

`boot_speed` divides all of these, and nothing else: not the market, not a fate's delay, not the clock by which money accrues. A
sandbox with `boot_speed=30` boots a worker in seconds and still bills a second as a second. Whoever wants money to run faster
speeds up the world's clock instead (see `server`).

Sources: the marketplace's documentation (created to running 1 to 5 minutes by image size, cached images seconds, stopped to running
seconds to tens of seconds), and measured reports of 2026: create to running 72.8 s on an RTX 4090, 60 to 180 s on 3060 to 3090, a
restart with cached weights about 10 s. A 15 GB image on a slow host took over 30 minutes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from sandbox.marketplace.faults import Span

_BITS_PER_BYTE: Final = 8
_MBIT_PER_GB: Final = 1_000 * _BITS_PER_BYTE
# Below this a host's measured bandwidth (which may read 0) says nothing about its registry mirror.
_PULL_MBIT_PER_S_MIN: Final = 40.0
_PULL_MBIT_PER_S_MAX: Final = 2_000.0
_CONTACT: Final = Span(least_s=1.0, most_s=10.0)
_CACHED: Final = Span(least_s=5.0, most_s=15.0)
_REFUSAL: Final = Span(least_s=2.0, most_s=30.0)
_START: Final = Span(least_s=5.0, most_s=30.0)
_STOP: Final = Span(least_s=2.0, most_s=12.0)
_RESTART: Final = Span(least_s=2.0, most_s=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """The distributions. Every method returns seconds on the world's clock, already divided by `boot_speed`."""

    boot_speed: float = 1.0
    contact: Span = _CONTACT
    cached: Span = _CACHED
    refusal: Span = _REFUSAL
    start: Span = _START
    stop: Span = _STOP
    restart: Span = _RESTART
    pull_spread_sigma: float = 0.3
    extract_s_per_gb: float = 4.0

    def __post_init__(self) -> None:
        """Refuse a factor that would stop or reverse time."""
        if self.boot_speed <= 0:
            raise ValueError(f"boot_speed must be positive, not {self.boot_speed}")

    def contact_s(self, rng: random.Random) -> float:
        """Accept to first word from the host."""
        return self.contact.draw_s(rng) / self.boot_speed

    def pull_s(self, rng: random.Random, *, image_gb: float, inet_down_mbit_s: float, cached: bool) -> float:
        """Pull and start a container, by size and bandwidth; a cached image starts at once."""
        if cached:
            return self.cached.draw_s(rng) / self.boot_speed
        speed = min(max(inet_down_mbit_s, _PULL_MBIT_PER_S_MIN), _PULL_MBIT_PER_S_MAX)
        transfer_s = image_gb * _MBIT_PER_GB / speed * rng.lognormvariate(0.0, self.pull_spread_sigma)
        return (transfer_s + self.extract_s_per_gb * image_gb) / self.boot_speed

    def refusal_s(self, rng: random.Random) -> float:
        """Pull to the daemon's error."""
        return self.refusal.draw_s(rng) / self.boot_speed

    def start_s(self, rng: random.Random) -> float:
        """Stopped to running, container on disk."""
        return self.start.draw_s(rng) / self.boot_speed

    def stop_s(self, rng: random.Random) -> float:
        """Running to exited."""
        return self.stop.draw_s(rng) / self.boot_speed

    def reboot_s(self, rng: random.Random) -> float:
        """Reboot: a stop and a start of a container that keeps its GPUs."""
        return self.stop_s(rng) + self.restart.draw_s(rng) / self.boot_speed
