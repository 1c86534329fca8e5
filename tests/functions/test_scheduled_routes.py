"""A router goes by what a schedule sets, within the seconds for which it remembers a group's parameters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.civil_time import Zone
from functions.core.model import EndpointState, Schedule, ScheduledParameters
from functions.route.caches import GROUP_TTL_S
from functions.route.call import Assigned
from tests.core.builders import NOW_S, a_group, a_worker
from tests.core.test_cron import cron
from tests.functions.router import Router, ready


def schedule(age_s: float, **sets: object) -> Schedule:
    """Return a schedule that began so long before NOW_S (a full minute), or that will begin as long after it."""
    minute = int(NOW_S - age_s) // 60 % 60
    hour = int(NOW_S - age_s) // 3_600 % 24
    return Schedule(cron=cron(f"{minute} {hour} * * ? *"), zone=Zone(), for_s=3_600.0, sets=ScheduledParameters(**sets))  # type: ignore[arg-type]


@pytest.fixture
def router() -> Router:
    """Return a router whose group has one worker."""
    made = Router()
    made.holds(*ready(1))
    return made


def test_a_group_that_a_schedule_has_stopped_is_stopped_to_its_callers(router: Router) -> None:
    router.store.put_group(a_group(schedules={"night": schedule(120.0, endpoint_state=EndpointState.STOPPED)}))

    assert router.waits().status == "endpoint stopped"


def test_a_schedule_that_begins_is_noticed_within_seconds(router: Router) -> None:
    begins_in_s = 60.0 - NOW_S % 60
    router.store.put_group(a_group(schedules={"night": schedule(-begins_in_s, endpoint_state=EndpointState.STOPPED)}))
    before = router.ask()
    router.clock.advance(begins_in_s + GROUP_TTL_S)
    after = router.waits()

    assert isinstance(before, Assigned)
    assert after.status == "endpoint stopped"


def test_a_lower_ceiling_hides_no_worker_from_the_router() -> None:
    """Workers are spread by the group's own ceiling: in shard 1 is who came when there were to be more than 64."""
    far = replace(a_worker(2), worker_id=f"w1-{2:026d}")
    router = Router()
    router.holds(far, group=a_group(max_workers=128, schedules={"night": schedule(120.0, max_workers=2)}))

    assert router.ticket().worker_id == far.worker_id
