"""How a policy that only says "so many" gets them: the same hands for every peer.

More: take back what drains, start what is stopped, rent the rest. Less: drain the emptiest, and once it is empty stop it while the
pool has room, else destroy it. A boot that takes longer than `boot_timeout_s` is destroyed and rented anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.backtest.world import State, Unit, World


def take_back(world: World, most: int) -> list[Unit]:
    """Let so many machines that drain serve on, and return them."""
    draining = [unit for unit in world.units if unit.state is State.DRAINING][: max(0, most)]
    for unit in draining:
        world.undrain(unit)
    return draining


def start(world: World, most: int) -> list[Unit]:
    """Start so many stopped machines, and return them; those whose GPUs are taken are destroyed."""
    started: list[Unit] = []
    for unit in [unit for unit in world.units if unit.state is State.STOPPED]:
        if len(started) >= most:
            break
        if world.start(unit):
            started.append(unit)
        else:
            world.destroy(unit)
    return started


@dataclass(slots=True)
class Steering:
    """`pool` is how many machines may stand stopped."""

    boot_timeout_s: float = 900.0

    def steer(self, world: World, *, running: int, pool: int = 0) -> None:
        """Bring the fleet nearer to `running` machines that serve or boot, and at most `pool` stopped ones."""
        self._give_up(world)
        self._finish_drains(world, pool=pool)
        coming = [unit for unit in world.units if unit.state in {State.BOOTING, State.READY}]
        missing = running - len(coming)
        if missing > 0:
            self._add(world, missing)
        elif missing < 0:
            self._remove(world, coming, -missing)
        self._shrink_pool(world, pool)

    def _give_up(self, world: World) -> None:
        for unit in [unit for unit in world.units if unit.state is State.BOOTING]:
            if world.now_s - unit.boot_began_s > self.boot_timeout_s:
                world.destroy(unit)

    def _finish_drains(self, world: World, *, pool: int) -> None:
        for unit in [unit for unit in world.units if unit.state is State.DRAINING and not unit.station.in_flight]:
            if world.count(State.STOPPED, State.STOPPING) < pool:
                world.stop(unit)
            else:
                world.destroy(unit)

    def _add(self, world: World, missing: int) -> None:
        missing -= len(take_back(world, missing))
        missing -= len(start(world, missing))
        for _ in range(missing):
            world.rent()

    def _remove(self, world: World, coming: list[Unit], surplus: int) -> None:
        booting = sorted((unit for unit in coming if unit.state is State.BOOTING), key=lambda unit: -unit.boot_began_s)
        for unit in booting[:surplus]:
            world.destroy(unit)
        ready = sorted((unit for unit in coming if unit.state is State.READY), key=lambda unit: unit.station.in_flight)
        for unit in ready[: max(0, surplus - len(booting))]:
            world.drain(unit)

    def _shrink_pool(self, world: World, pool: int) -> None:
        stopped = [unit for unit in world.units if unit.state is State.STOPPED]
        for unit in stopped[: max(0, len(stopped) - pool)]:
            world.destroy(unit)
