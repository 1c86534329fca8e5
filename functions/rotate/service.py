"""Carry out whatever step of a rotation is due, and tell how it stands.

Each round reads the state, publishes the public halves of every key in it, and then takes one step. What is published never
depends on what this invocation did before: it is what the state says, so an invocation that was cut off is made good by the next.

Two at once: each step is written over the very state that it was decided on (`VaultChanged` otherwise), and a public half of an
older state never replaces that of a newer one. So both together do what one alone would have done.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final

from functions.core.key_rotation import (
    SigningKeys,
    Step,
    begun,
    forgotten,
    made,
    next_step,
    next_step_at_s,
    noted_published,
    revoked,
    switched,
)
from functions.key_ports import KeyMaker, KeyVault, PublicKeyBoard
from functions.ports import Clock, StoreUnavailable, VaultChanged

ROUNDS_MAX: Final = 12  # a whole rotation takes four steps; the rest is for those who do the same at the same time


class Command(enum.StrEnum):
    """What the function may be asked for."""

    ADVANCE = "advance"  # what the schedule asks: take whatever step is due
    ROTATE = "rotate"  # begin a rotation, unless one is under way
    REVOKE = "revoke"  # new keys at once; whatever the old ones signed is refused


@dataclass(frozen=True, slots=True, kw_only=True)
class RotatePorts:
    """What a rotation needs of the world. `every_s` is the age at which a key is replaced by itself, 0 for never."""

    vault: KeyVault
    board: PublicKeyBoard
    maker: KeyMaker
    clock: Clock
    every_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the keys stand after an invocation. `steps` are those that it took."""

    keys: SigningKeys
    steps: tuple[str, ...]
    next_step_at_s: float | None

    def wire(self) -> dict[str, Any]:
        """Return what the caller is told; names and times, nothing of a key itself."""
        return {
            "signs": self.keys.active,
            "accepted": [key.key_id for key in self.keys.keys],
            "steps": list(self.steps),
            "next_step_at_s": self.next_step_at_s,
        }


def rotate(command: Command, *, ports: RotatePorts) -> Standing:
    """Take every step that is due. Raises StoreUnavailable and UnreadableItem; what was done by then stays done."""
    steps = [_revoke(ports)] if command is Command.REVOKE else []
    asked = command is Command.ROTATE
    for _ in range(ROUNDS_MAX):
        held = ports.vault.load()
        now_s = ports.clock.now_s()
        ports.board.publish(held.keys)
        step = next_step(held.keys, asked=asked, every_s=ports.every_s, now_s=now_s)
        if step is None:
            return Standing(keys=held.keys, steps=tuple(steps), next_step_at_s=next_step_at_s(held.keys, every_s=ports.every_s))
        try:
            ports.vault.save(_taken(step, held.keys, maker=ports.maker, now_s=now_s), over=held)
        except VaultChanged:
            continue  # someone else took a step: look again
        steps.append(step.value)
    raise StoreUnavailable(f"others changed the keys {ROUNDS_MAX} times in a row")


def _taken(step: Step, keys: SigningKeys, *, maker: KeyMaker, now_s: float) -> SigningKeys:
    match step:
        case Step.BEGIN:
            return begun(maker.seed(), rsa=maker.rsa(), now_s=now_s)
        case Step.MAKE:
            return made(keys, seed=maker.seed(), now_s=now_s)
        case Step.NOTE_PUBLISHED:
            return noted_published(keys, now_s=now_s)
        case Step.SWITCH:
            return switched(keys, now_s=now_s)
        case Step.FORGET:
            return forgotten(keys, now_s=now_s)


def _revoke(ports: RotatePorts) -> str:
    """Replace every key, whatever else is going on."""
    seed, rsa = ports.maker.seed(), ports.maker.rsa()
    for _ in range(ROUNDS_MAX):
        held = ports.vault.load()
        try:
            ports.vault.save(revoked(held.keys, seed=seed, rsa=rsa, now_s=ports.clock.now_s()), over=held)
        except VaultChanged:
            continue
        return Command.REVOKE.value
    raise StoreUnavailable(f"others changed the keys {ROUNDS_MAX} times in a row")
