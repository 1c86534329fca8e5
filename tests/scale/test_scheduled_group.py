"""A group whose floor is raised by a schedule, over the real scaler: nobody calls at the hour, and it happens all the same."""

from __future__ import annotations

from typing import Final

from functions.core.civil_time import Zone
from functions.core.model import EndpointState, Schedule, ScheduledParameters
from tests.core.test_cron import cron
from tests.scale.stage import ENDPOINT, Stage  # which begins at 17:46:40 UTC

AT_SIX: Final = cron("0 18 * * ? *")
HOUR_S: Final = 3_600.0


def scheduled(stage: Stage, **sets: float | EndpointState) -> None:
    """Give the group a schedule from 18:00 to 19:00, and none that is asked for at other times."""
    schedule = Schedule(cron=AT_SIX, zone=Zone(), for_s=HOUR_S, sets=ScheduledParameters(**sets))  # type: ignore[arg-type]
    stage.configure(schedules={"evening": schedule}, inactivity_timeout=60.0)


def test_the_fleet_follows_a_schedule_up_and_down(stage: Stage) -> None:
    scheduled(stage, min_load=150.0)
    held = {}
    for until in ("17:56", "18:16", "18:56", "19:11"):
        hours, minutes = map(int, until.split(":"))
        stage.run(hours * HOUR_S + minutes * 60.0 + 40.0 - stage.clock.now_s() % 86_400.0)
        held[until] = len(stage.contracts())

    assert held == {"17:56": 0, "18:16": 2, "18:56": 2, "19:11": 0}


def test_the_decision_that_a_schedule_caused_says_so(stage: Stage) -> None:
    scheduled(stage, min_load=150.0)
    stage.run(20 * 60)
    (rented, *_) = [
        record for record in stage.store.decisions(ENDPOINT) if any(text.startswith("Rent ") for text in record.sentences)
    ]

    assert "Schedule evening holds since 2030-03-17 18:00 until 2030-03-17 19:00 (UTC): min_load 150." in rented.sentences
    assert (rented.facts["scheduled_min_load"], rented.facts["schedules_in_force"]) == (150.0, 1.0)


def test_a_record_keeps_the_group_as_the_stack_file_has_it(stage: Stage) -> None:
    scheduled(stage, min_load=150.0)
    stage.run(20 * 60)

    assert {record.snapshot["group"]["min_load"] for record in stage.store.decisions(ENDPOINT)} == {0.0}
