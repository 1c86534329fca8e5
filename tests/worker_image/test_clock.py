"""The control plane's time, whatever this machine's clock says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyworker.clock import SAMPLE_AGE_MAX_S, RouterClock


class Machine:
    """A rented machine: a monotonic clock, and a wall clock that is wrong."""

    def __init__(self, *, wrong_by_s: float = 500.0, true_s: float = 1_800_000_000.25) -> None:
        self.true_s = true_s
        self.wrong_by_s = wrong_by_s
        self.clock = RouterClock(monotonic=lambda: self.true_s - 1_799_000_000, wall=lambda: self.true_s + self.wrong_by_s)

    def hear(self, *, out_s: float = 0.01, back_s: float = 0.01) -> None:
        """One report and its answer: the control plane reads its clock `out_s` after it was sent."""
        sent_s = self.clock.monotonic_s()
        self.true_s += out_s
        now_s = self.true_s
        self.true_s += back_s
        self.clock.learn(now_s, sent_s=sent_s, received_s=self.clock.monotonic_s())


def test_until_it_is_told_the_worker_believes_its_own_clock() -> None:
    machine = Machine(wrong_by_s=500)

    assert machine.clock.now_s() == machine.true_s + 500
    assert not machine.clock.known


def test_an_answer_corrects_a_clock_that_is_minutes_off() -> None:
    machine = Machine(wrong_by_s=500)
    machine.hear()

    assert abs(machine.clock.now_s() - machine.true_s) <= 0.01


def test_a_slow_answer_does_not_replace_a_quick_one() -> None:
    machine = Machine()
    machine.hear(out_s=0.01, back_s=0.01)
    machine.hear(out_s=4, back_s=0)

    assert abs(machine.clock.now_s() - machine.true_s) <= 0.01


def test_an_old_sample_is_replaced_by_any() -> None:
    machine = Machine()
    machine.hear(out_s=0.001, back_s=0.001)
    machine.true_s += SAMPLE_AGE_MAX_S + 1
    machine.wrong_by_s = 0
    machine.hear(out_s=0, back_s=1)

    assert machine.clock.now_s() - machine.true_s == -0.5


@given(st.floats(0, 1), st.floats(0, 3), st.floats(0, 3), st.floats(-900, 900))
def test_every_ticket_issued_before_the_start_is_too_old(fraction: float, out_s: float, back_s: float, wrong_by_s: float) -> None:
    """Also one of the very second in which the run began: it may have been used with the run before."""
    machine = Machine(wrong_by_s=wrong_by_s, true_s=1_800_000_000 + fraction)
    issued_at = int(machine.true_s)
    machine.hear(out_s=out_s, back_s=back_s)

    assert issued_at < machine.clock.first_issue_s


@given(st.floats(0, 1), st.floats(0, 3), st.floats(0, 3), st.floats(-900, 900))
def test_no_ticket_issued_after_the_wait_is_too_old(fraction: float, out_s: float, back_s: float, wrong_by_s: float) -> None:
    machine = Machine(wrong_by_s=wrong_by_s, true_s=1_800_000_000 + fraction)
    machine.hear(out_s=out_s, back_s=back_s)
    machine.true_s += machine.clock.seconds_to_first_issue() + 1e-3

    assert int(machine.true_s) >= machine.clock.first_issue_s
