"""A rotation as a world: routers that hold the secret for minutes, workers that ask again for keys, faults everywhere."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.adapters.public_key_item import CACHED_S
from functions.core.key_rotation import ACCEPTED_S, DAY_S, LEARN_S, SECRET_CACHED_S, TICKET_TTL_S_MAX, SigningKeys
from functions.ports import StoreUnavailable
from functions.rotate.service import Command, RotatePorts, Standing, rotate
from protocol.ticket import CLOCK_SKEW_S
from tests.fakes.clock import FakeClock
from tests.fakes.keys import CountingMaker, MemoryBoard, MemoryVault

NOW_S = 1_795_392_000.0
REFETCH_GAP_S = 10.0  # pyworker's


class Killed(Exception):
    """The invocation ended here."""


@dataclass
class Stack:
    """A vault, a board and a clock, and invocations of the function over them."""

    vault: MemoryVault = field(default_factory=MemoryVault)
    board: MemoryBoard = field(default_factory=MemoryBoard)
    maker: CountingMaker = field(default_factory=CountingMaker)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW_S))
    every_s: float = 0.0
    expire_at_s: dict[str, float] = field(default_factory=dict)  # of the newest ticket of each key

    def __post_init__(self) -> None:
        self.routers = (Router(self), Router(self, cached_s=0.0))
        self.worker = Worker(Front(self))

    def ports(self, **changes: Any) -> RotatePorts:
        """Return the ports of an invocation."""
        given = {"vault": self.vault, "board": self.board, "maker": self.maker, "clock": self.clock, "every_s": self.every_s}
        return RotatePorts(**{**given, **changes})

    def run(self, command: Command = Command.ADVANCE, **ports: Any) -> Standing:
        """Invoke the function."""
        return rotate(command, ports=self.ports(**ports))

    @property
    def keys(self) -> SigningKeys:
        """What the vault holds."""
        return self.vault.keys


@pytest.fixture
def stack() -> Stack:
    """A stack whose first keys have been made."""
    begun = Stack()
    begun.run()
    return begun


def test_the_first_invocation_makes_a_key_that_signs_and_shows_it() -> None:
    stack = Stack()

    told = stack.run()

    assert (told.keys.active, stack.board.shown) == ("k1795392000", ("k1795392000",))
    assert told.keys.rsa == "rsa 2"


def test_the_first_invocation_repeated_changes_nothing(stack: Stack) -> None:
    before = stack.keys

    told = stack.run()

    assert (stack.keys, told.steps) == (before, ())


def test_a_rotation_shows_the_new_key_before_it_signs(stack: Stack) -> None:
    signed = stack.keys.active

    told = stack.run(Command.ROTATE)

    assert told.steps == ("make", "note_published")
    assert stack.keys.active == signed
    assert len(stack.board.shown) == 2
    assert told.next_step_at_s == NOW_S + LEARN_S


def test_the_new_key_signs_once_everybody_can_have_learned_it(stack: Stack) -> None:
    stack.run(Command.ROTATE)
    new = stack.board.shown[1]

    stack.clock.advance(LEARN_S)
    stack.run()

    assert stack.keys.active == new


def test_the_old_key_is_accepted_until_its_last_ticket_has_expired(stack: Stack) -> None:
    old = stack.keys.active
    rotated(stack)

    stack.clock.advance(ACCEPTED_S - 1)
    stack.run()
    assert old in stack.board.shown

    stack.clock.advance(1)
    stack.run()
    assert old not in stack.board.shown


def test_a_second_command_during_a_rotation_begins_no_other(stack: Stack) -> None:
    stack.run(Command.ROTATE)
    told = stack.run(Command.ROTATE)

    assert (told.steps, len(stack.keys.keys)) == ((), 2)


def test_a_command_after_the_switch_waits_for_the_old_key_to_be_forgotten(stack: Stack) -> None:
    rotated(stack)

    told = stack.run(Command.ROTATE)

    assert (told.steps, told.next_step_at_s) == ((), stack.clock.now_s() + ACCEPTED_S)


@pytest.mark.parametrize(("days", "steps"), [(29.0, ()), (30.0, ("make", "note_published"))])
def test_a_key_is_replaced_by_itself_when_it_is_old_enough(days: float, steps: tuple[str, ...]) -> None:
    stack = Stack(every_s=30 * DAY_S)
    stack.run()
    stack.clock.advance(days * DAY_S)

    assert stack.run().steps == steps


def test_without_a_schedule_a_key_stays_for_ever(stack: Stack) -> None:
    stack.clock.advance(1_000 * DAY_S)

    assert stack.run().steps == ()


def test_a_revocation_replaces_every_key_at_once(stack: Stack) -> None:
    stack.run(Command.ROTATE)
    before = stack.keys

    told = stack.run(Command.REVOKE)

    assert told.keys.active not in {key.key_id for key in before.keys}
    assert stack.board.shown == (told.keys.active,)
    assert told.keys.rsa != before.rsa


def test_what_is_told_holds_no_key(stack: Stack) -> None:
    stack.run(Command.ROTATE)

    told = repr(stack.run()) + repr(stack.run().wire())

    assert not [key for key in stack.keys.keys if repr(key.seed) in told]
    assert stack.keys.rsa not in told


def test_two_at_once_do_what_one_alone_would_do(stack: Stack) -> None:
    class Meanwhile(MemoryBoard):
        """Lets another invocation run to its end between this one's decision and its write."""

        def publish(self, keys: SigningKeys) -> None:
            stack.board.publish(keys)
            if not self.shown:
                self.shown = ("done",)
                stack.run(Command.ROTATE)

    told = stack.run(Command.ROTATE, board=Meanwhile())

    assert len(stack.keys.keys) == 2
    assert stack.board.shown == tuple(key.key_id for key in told.keys.keys)


def test_others_that_never_stop_end_in_an_honest_error(stack: Stack) -> None:
    class Restless(MemoryBoard):
        def publish(self, keys: SigningKeys) -> None:  # noqa: ARG002 - the port's signature
            stack.vault.version += 1

    with pytest.raises(StoreUnavailable):
        stack.run(Command.ROTATE, board=Restless())


# ---- the whole of it, cut off anywhere


class Cut:
    """Ends an invocation after so many effects; before the effect itself or right after it."""

    def __init__(self, stack: Stack, *, effects: int, after: bool) -> None:
        self._stack = stack
        self._left = effects
        self._after = after

    def __getattr__(self, name: str) -> Any:
        owner = self._stack.board if name == "publish" else self._stack.vault
        method = getattr(owner, name)
        return method if name == "load" else lambda *args, **kwargs: self._effect(method, *args, **kwargs)

    def _effect(self, method: Any, *args: Any, **kwargs: Any) -> None:
        if self._left == 0 and not self._after:
            raise Killed
        method(*args, **kwargs)
        if self._left == 0:
            raise Killed
        self._left -= 1


@dataclass
class Router:
    """Holds what it read of the vault for as long as it may."""

    stack: Stack
    cached_s: float = SECRET_CACHED_S
    held: str = ""
    until_s: float = 0.0

    def sign(self) -> str:
        """Return the key that a ticket is signed with now."""
        now_s = self.stack.clock.now_s()
        if now_s >= self.until_s:
            self.held, self.until_s = self.stack.keys.active, now_s + self.cached_s
        return self.held


@dataclass
class Front:
    """What answers `/pubkey/`: from its cache, which is as old as it may be."""

    stack: Stack
    held: tuple[str, ...] = ()
    until_s: float = 0.0

    def serve(self) -> tuple[str, ...]:
        """Return the ids of the keys."""
        now_s = self.stack.clock.now_s()
        if now_s >= self.until_s:
            self.held, self.until_s = self.stack.board.shown, now_s + CACHED_S
        return self.held


@dataclass
class Worker:
    """Asks for keys that it does not know, at most every REFETCH_GAP_S; strangers who name unknown keys use that up."""

    front: Front
    known: tuple[str, ...] = ()
    asked_at_s: float = 0.0

    def accepts(self, key_id: str) -> bool:
        """Tell whether a ticket of this key would be accepted now."""
        if key_id not in self.known:
            self.refetch()
        return key_id in self.known

    def refetch(self) -> None:
        """Ask again, if it is time."""
        now_s = self.front.stack.clock.now_s()
        if now_s - self.asked_at_s >= REFETCH_GAP_S:
            self.known, self.asked_at_s = self.front.serve(), now_s


MOMENT = st.tuples(
    st.sampled_from([0.0, 5.0, 20.0, LEARN_S, SECRET_CACHED_S, TICKET_TTL_S_MAX]),  # seconds that pass
    st.sampled_from([None, Command.ADVANCE, Command.ROTATE]),
    st.sampled_from([None, None, *((effects, after) for effects in range(3) for after in (False, True))]),  # where it is cut off
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([5.0, 15.0, 25.0, 30.0]), st.lists(MOMENT, min_size=5, max_size=15))
def test_no_ticket_is_refused_wherever_an_invocation_is_cut_off(begin_s: float, moments: list[Any]) -> None:
    stack = Stack()
    stack.run()
    live(stack, begin_s)
    for seconds, command, cut in [(LEARN_S, Command.ROTATE, None), *moments]:
        if command is not None:
            invoke(stack, command, cut)
        live(stack, seconds)
    live(stack, TICKET_TTL_S_MAX)


def live(stack: Stack, seconds: float) -> None:
    """Let time pass while tickets are signed, and are used as soon and as late as they may be, and strangers name unknown keys."""
    end_s = stack.clock.now_s() + seconds
    while stack.clock.now_s() < end_s:
        stack.clock.advance(5.0)
        now_s = stack.clock.now_s()
        for router in stack.routers:
            stack.expire_at_s[router.sign()] = now_s + TICKET_TTL_S_MAX + CLOCK_SKEW_S
        usable = [key for key, until_s in stack.expire_at_s.items() if now_s < until_s]
        assert [key for key in usable if not stack.worker.accepts(key)] == []
        stack.worker.refetch()


def invoke(stack: Stack, command: Command, cut: tuple[int, bool] | None) -> None:
    if cut is None:
        stack.run(command)
        return
    effects, after = cut
    port = Cut(stack, effects=effects, after=after)
    with suppress(Killed):
        stack.run(command, vault=port, board=port)


def rotated(stack: Stack) -> None:
    stack.run(Command.ROTATE)
    stack.clock.advance(LEARN_S)
    stack.run()
