"""How long things take on a host, and the knob that shortens them.

`boot_speed` divides what a host needs (contact, image pull, container start, stop, reboot), and nothing else: not the market, not a
fate's delay, not the clock by which money accrues. A sandbox with `boot_speed=30` boots a worker in seconds and still bills a
second as a second. Whoever wants money to run faster speeds up the world's clock instead (see `server`).

Sources: the marketplace's documentation (created to running 1 to 5 minutes by image size, cached images seconds, stopped to running
seconds to tens of seconds), and measured reports of 2026: create to running 72.8 s on an RTX 4090, 60 to 180 s on 3060 to 3090, a
restart with cached weights about 10 s. A 15 GB image on a slow host took over 30 minutes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

_BITS_PER_BYTE: Final = 8
_MBIT_PER_GB: Final = 1_000 * _BITS_PER_BYTE
# Below this a host's measured bandwidth (which may read 0) says nothing about its registry mirror.
_PULL_MBIT_PER_S_MIN: Final = 40.0
_PULL_MBIT_PER_S_MAX: Final = 2_000.0
_PULL_SPREAD_SIGMA: Final = 0.3
_EXTRACT_S_PER_GB: Final = 4.0


@dataclass(frozen=True, slots=True)
class Durations:
    """The distributions. Every method returns seconds on the world's clock, already divided by `boot_speed`."""

    boot_speed: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a factor that would stop or reverse time."""
        if self.boot_speed <= 0:
            raise ValueError(f"boot_speed must be positive, not {self.boot_speed}")

    def contact_s(self, rng: random.Random) -> float:
        """Accept to first word from the host: 1 to 10 s."""
        return rng.uniform(1.0, 10.0) / self.boot_speed

    def pull_s(self, rng: random.Random, *, image_gb: float, inet_down_mbit_s: float, cached: bool) -> float:
        """Pull and start a container: by size and bandwidth, median 107 s for 8 GB at 743 Mbit/s; a cached image 5 to 15 s."""
        if cached:
            return rng.uniform(5.0, 15.0) / self.boot_speed
        speed = min(max(inet_down_mbit_s, _PULL_MBIT_PER_S_MIN), _PULL_MBIT_PER_S_MAX)
        transfer_s = image_gb * _MBIT_PER_GB / speed * rng.lognormvariate(0.0, _PULL_SPREAD_SIGMA)
        return (transfer_s + _EXTRACT_S_PER_GB * image_gb) / self.boot_speed

    def refusal_s(self, rng: random.Random) -> float:
        """Pull to the daemon's error: 2 to 30 s (a registry that does not answer takes its client's time-out)."""
        return rng.uniform(2.0, 30.0) / self.boot_speed

    def start_s(self, rng: random.Random) -> float:
        """Stopped to running, container on disk: 5 to 30 s."""
        return rng.uniform(5.0, 30.0) / self.boot_speed

    def stop_s(self, rng: random.Random) -> float:
        """Running to exited: 2 to 12 s (docker allows 10 s of grace)."""
        return rng.uniform(2.0, 12.0) / self.boot_speed

    def reboot_s(self, rng: random.Random) -> float:
        """Reboot: a stop and a start of a container that keeps its GPUs."""
        return self.stop_s(rng) + rng.uniform(2.0, 10.0) / self.boot_speed
