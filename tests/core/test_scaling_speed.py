"""A decision about 10,000 workers takes at most a second of CPU (DESIGN section 8)."""

from __future__ import annotations

import time
from typing import Final

from functions.core.lifecycle import WorkerState
from functions.core.scaling import decide
from tests.core.builders import NOW_S, a_group, a_snapshot, a_state, a_worker, an_offer

WORKERS: Final = 10_000


def test_a_decision_about_ten_thousand_workers_takes_less_than_a_second() -> None:
    fleet = (a_worker(number, WorkerState.READY if number % 10 else WorkerState.BOOTING) for number in range(1, WORKERS + 1))
    snapshot = a_snapshot(
        *fleet,
        group=a_group(max_workers=2 * WORKERS, max_hourly_cost_micro_usd=10**11),
        state=a_state(load_per_s=120.0 * WORKERS),
        offers={"a": tuple(an_offer(2 * WORKERS + number) for number in range(64))},
    )
    begun_s = time.process_time()
    plan = decide(snapshot, now_s=NOW_S)
    took_s = time.process_time() - begun_s

    assert plan.actions
    assert took_s < 1.0
