"""The keys that sign route tickets, and the steps by which one takes over from another without a ticket being refused.

    made ──publish──▶ published ──LEARN_S──▶ signs ──next key signs──▶ retired ──ACCEPTED_S──▶ forgotten

Every step is one write of the whole state, and follows from the state and the clock alone. So a rotation may be cut off between
any two steps, or carried out by two at once, and whoever comes next goes on where it stands.

Why nothing is refused on the way:

* A key signs only after its public half has been served for LEARN_S. Workers ask again for a key that they do not know, so by
  then whoever asks is answered with it, whatever was cached.
* A key that no longer signs stays published until its last ticket has expired: a router may hold it for as long as it caches the
  secret, and what it signs then lives for a ticket's lifetime, by a clock that may be CLOCK_SKEW_S behind.

The RSA key of Vast's own workers is not rotated, but replaced together with everything else (`revoked`): such a worker reads its
key once, when it starts, so there is no moment at which two could be valid.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from protocol.ticket import CLOCK_SKEW_S

DAY_S: Final = 86_400.0
# Longer than what serves public keys caches them, and than a worker pauses between two fetches (10 s).
LEARN_S: Final = 60.0
# What a router caches the secret for, and the longest lifetime that a stack file may give a ticket.
SECRET_CACHED_S: Final = 300.0
TICKET_TTL_S_MAX: Final = 3_600.0
ACCEPTED_S: Final = SECRET_CACHED_S + TICKET_TTL_S_MAX + CLOCK_SKEW_S


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketKey:
    """One Ed25519 key. `published_at_s` and `retired_at_s` are 0 until they are so."""

    key_id: str
    seed: bytes = field(repr=False)
    published_at_s: float = 0.0
    retired_at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeys:
    """The signing keys of a stack: none before the first step, then one that signs, and one beside it during a rotation.

    `rsa` is the private key for Vast's own workers, in PEM. `revision` grows with every write.
    """

    keys: tuple[TicketKey, ...] = ()
    active: str = ""
    rsa: str = field(default="", repr=False)
    revision: int = 0

    @property
    def signing(self) -> TicketKey | None:
        """The key that signs, None before the first step."""
        return next((key for key in self.keys if key.key_id == self.active), None)

    @property
    def other(self) -> TicketKey | None:
        """The key that will sign, or that no longer does; None outside a rotation."""
        return next((key for key in self.keys if key.key_id != self.active), None)


class Step(enum.StrEnum):
    """What can be done next."""

    BEGIN = "begin"  # make the first keys
    MAKE = "make"  # make the key that will sign
    NOTE_PUBLISHED = "note_published"  # every public half is served from now on
    SWITCH = "switch"  # the new key signs
    FORGET = "forget"  # the old key's last ticket has expired


def next_step(keys: SigningKeys, *, asked: bool, every_s: float, now_s: float) -> Step | None:
    """Return what is due, given that everything in `keys` has just been published; None if nothing is.

    `asked` begins a rotation unless one is under way. So does a signing key as old as `every_s`, unless that is 0.
    """
    signing, other = keys.signing, keys.other
    if signing is None:
        return Step.BEGIN
    if not all(key.published_at_s for key in keys.keys):
        return Step.NOTE_PUBLISHED
    if other is None:
        return Step.MAKE if asked or 0 < every_s <= now_s - signing.published_at_s else None
    if other.retired_at_s:
        return Step.FORGET if now_s >= other.retired_at_s + ACCEPTED_S else None
    return Step.SWITCH if now_s >= other.published_at_s + LEARN_S else None


def next_step_at_s(keys: SigningKeys, *, every_s: float) -> float | None:
    """Return when the next step falls due, None if nothing is planned."""
    signing, other = keys.signing, keys.other
    if other is not None:
        return other.retired_at_s + ACCEPTED_S if other.retired_at_s else other.published_at_s + LEARN_S
    return signing.published_at_s + every_s if signing is not None and every_s else None


def begun(seed: bytes, *, rsa: str, now_s: float) -> SigningKeys:
    """Return the first keys: nobody can have learned another, so they sign at once."""
    return revoked(SigningKeys(), seed=seed, rsa=rsa, now_s=now_s)


def revoked(keys: SigningKeys, *, seed: bytes, rsa: str, now_s: float) -> SigningKeys:
    """Return new keys in place of all others, which count for nothing from now on."""
    key = TicketKey(key_id=_key_id(keys.keys, now_s), seed=seed)
    return SigningKeys(keys=(key,), active=key.key_id, rsa=rsa, revision=_revision(keys, now_s))


def made(keys: SigningKeys, *, seed: bytes, now_s: float) -> SigningKeys:
    """Return the keys with the one that will sign."""
    added = TicketKey(key_id=_key_id(keys.keys, now_s), seed=seed)
    return replace(keys, keys=(*keys.keys, added), revision=_revision(keys, now_s))


def noted_published(keys: SigningKeys, *, now_s: float) -> SigningKeys:
    """Return the keys with the time noted since when each has been served."""
    noted = tuple(replace(key, published_at_s=key.published_at_s or now_s) for key in keys.keys)
    return replace(keys, keys=noted, revision=_revision(keys, now_s))


def switched(keys: SigningKeys, *, now_s: float) -> SigningKeys:
    """Return the keys with the other one signing."""
    assert keys.other is not None, "nothing to switch to"
    retired = tuple(replace(key, retired_at_s=now_s) if key.key_id == keys.active else key for key in keys.keys)
    return replace(keys, keys=retired, active=keys.other.key_id, revision=_revision(keys, now_s))


def forgotten(keys: SigningKeys, *, now_s: float) -> SigningKeys:
    """Return the keys without the one that no longer signs."""
    kept = tuple(key for key in keys.keys if not key.retired_at_s)
    return replace(keys, keys=kept, revision=_revision(keys, now_s))


def _key_id(keys: Sequence[TicketKey], now_s: float) -> str:
    """Name a key by the second it was made in, or the next one that is free: no name is ever used twice."""
    taken = {key.key_id for key in keys}
    second = int(now_s)
    while f"k{second}" in taken:
        second += 1
    return f"k{second}"


def _revision(keys: SigningKeys, now_s: float) -> int:
    # By the clock, so that a secret that was made anew still comes after what it published before.
    return max(keys.revision + 1, int(now_s * 1000))
