"""The worker's phases: which may follow which, and what stays."""

from __future__ import annotations

import pytest

from protocol.report import ERROR_LENGTH_MAX, Phase
from pyworker.perfcache import Kept
from pyworker.standing import Standing

FOUND = Kept(perf=100, half_width=5, slots=8, prompt_weight=0.3)


def ready() -> Standing:
    standing = Standing(secrets={"a secret token", "short"})
    standing.loading()
    standing.measuring()
    standing.measured(FOUND)
    standing.ready(loadtime_s=12.5)
    return standing


def test_a_worker_goes_through_its_phases_in_order() -> None:
    seen: list[Phase] = []
    standing = Standing()
    standing.on_change = lambda: seen.append(standing.phase)
    standing.loading()
    standing.measuring()
    standing.ready(loadtime_s=1)

    assert seen == [Phase.LOADING, Phase.MEASURING, Phase.READY]


def test_only_a_ready_worker_serves() -> None:
    standing = Standing()
    before = standing.serving

    assert (before, ready().serving) == (False, True)


def test_a_line_of_the_log_does_not_set_a_ready_worker_back() -> None:
    standing = ready()
    standing.loading()
    standing.measuring()

    assert standing.phase is Phase.READY


def test_an_error_is_final() -> None:
    standing = ready()
    standing.fail("out of memory")
    standing.drain(closing=True)
    standing.ready(loadtime_s=1)

    assert (standing.phase, standing.error) == (Phase.ERROR, "out of memory")


def test_the_first_reason_stays() -> None:
    standing = ready()
    standing.fail("CUDA out of memory")
    standing.fail("exited with code 1")

    assert standing.error == "CUDA out of memory"


def test_a_reason_is_cut_to_what_a_report_may_hold() -> None:
    standing = ready()
    standing.fail("x" * 10_000)

    assert len(standing.error) == ERROR_LENGTH_MAX


def test_a_reason_does_not_repeat_a_secret() -> None:
    standing = ready()
    standing.fail("cannot log in with a secret token")

    assert standing.error == "cannot log in with ***"


def test_a_drain_is_taken_back() -> None:
    standing = ready()
    standing.drain()
    standing.resume()

    assert standing.phase is Phase.READY


def test_a_drain_for_good_is_not_taken_back() -> None:
    standing = ready()
    standing.drain(closing=True)
    standing.resume()

    assert standing.phase is Phase.DRAINING


@pytest.mark.parametrize("closing", [True, False])
def test_a_worker_that_was_never_ready_does_not_become_so_by_a_drain_taken_back(*, closing: bool) -> None:
    standing = Standing()
    standing.drain(closing=closing)
    standing.resume()

    assert not standing.serving


def test_a_disowned_worker_serves_nobody() -> None:
    standing = ready()
    standing.disowned = True

    assert not standing.serving


@pytest.mark.parametrize(("peers_perf", "flags"), [(0, ()), (130, ()), (132, ("slow",))])
def test_a_worker_is_slow_when_even_its_upper_bound_is_far_below_its_peers(peers_perf: float, flags: tuple[str, ...]) -> None:
    """Measured 100 +- 5: at 130 four fifths are 104; at 132 they are 105.6. Nothing is known of peers where there are none."""
    standing = Standing()
    standing.peers_perf = peers_perf
    standing.measured(FOUND)

    assert standing.perf_flags == flags
