"""What `ScaleStore` promises, held by the table in memory and by DynamoDB alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.core.jsonable import decode
from functions.core.lifecycle import WorkerState
from functions.core.model import Assignments, Condition, Worker
from functions.core.record import DecisionRecord
from functions.core.scaler_state import ScalerState
from functions.ports import Lease, LeaseLost
from tests.contract.stores import ENDPOINT, Stores, renamed
from tests.core.builders import NOW_S, a_group, a_request, a_state, a_worker, an_autogroup, worker_id


@pytest.fixture(autouse=True)
def _group(stores: Stores) -> None:
    stores.pulumi.put_group(a_group())


def a_record(**changes: object) -> DecisionRecord:
    """Return a decision record of this moment."""
    record = DecisionRecord(
        endpoint=ENDPOINT,
        decided_at_s=NOW_S + 0.125,
        epoch=1,
        sentences=("Rent one more.",),
        actions=({"kind": "rent", "offer_id": 7},),
        facts={"load_per_s": 12.5},
        snapshot={"workers": [{"worker_id": "w0-a"}], "state": None},
    )
    return replace(record, **changes)  # type: ignore[arg-type]


def overtaken(stores: Stores, owner: str) -> Lease:
    """Take the lease from whoever has it, for a minute."""
    return stores.scale.overtake_lease(ENDPOINT, owner=owner, now_s=NOW_S, duration_s=60)


def test_a_lease_is_one_owners_while_it_lasts(stores: Stores) -> None:
    stores.lease("a")

    assert stores.scale.acquire_lease(ENDPOINT, owner="b", now_s=NOW_S + 29, duration_s=30) is None


def test_a_lease_that_has_run_out_goes_to_the_next_with_a_higher_epoch(stores: Stores) -> None:
    first = stores.lease("a")
    second = stores.lease("b", now_s=NOW_S + 31)

    assert second.epoch > first.epoch


def test_an_overtaken_lease_has_a_higher_epoch(stores: Stores) -> None:
    first = stores.lease("a")

    assert overtaken(stores, "b").epoch > first.epoch


def test_whoever_is_overtaken_has_lost_the_lease(stores: Stores) -> None:
    lost = stores.lease("a")
    overtaken(stores, "b")

    with pytest.raises(LeaseLost):
        stores.scale.put_state(lost, a_state())


def test_a_lease_that_overtook_another_one_holds_for_as_long_as_was_asked(stores: Stores) -> None:
    stores.lease("a")
    overtaken(stores, "b")

    assert stores.scale.acquire_lease(ENDPOINT, owner="c", now_s=NOW_S + 59, duration_s=30) is None
    assert stores.scale.acquire_lease(ENDPOINT, owner="c", now_s=NOW_S + 61, duration_s=30) is not None


def test_its_owner_may_take_the_lease_again(stores: Stores) -> None:
    first = stores.lease("a")

    assert stores.lease("a", now_s=NOW_S + 1).epoch > first.epoch


def test_a_lease_tells_who_holds_it_and_until_when(stores: Stores) -> None:
    lease = stores.lease("a")

    assert (lease.endpoint, lease.owner, lease.until_s) == (ENDPOINT, "a", NOW_S + 30)


def test_a_renewed_lease_keeps_others_out_for_longer(stores: Stores) -> None:
    lease = stores.scale.renew_lease(stores.lease("a"), now_s=NOW_S + 20, duration_s=30)

    assert lease.until_s == NOW_S + 50
    assert stores.scale.acquire_lease(ENDPOINT, owner="b", now_s=NOW_S + 49, duration_s=30) is None


def test_a_released_lease_is_free_at_once(stores: Stores) -> None:
    stores.scale.release_lease(stores.lease("a"))

    assert stores.scale.acquire_lease(ENDPOINT, owner="b", now_s=NOW_S, duration_s=30) is not None


def test_releasing_a_lost_lease_does_not_free_the_new_one(stores: Stores) -> None:
    lost = stores.lease("a")
    stores.lease("b", now_s=NOW_S + 31)
    stores.scale.release_lease(lost)

    assert stores.scale.acquire_lease(ENDPOINT, owner="c", now_s=NOW_S + 32, duration_s=30) is None


def test_a_scaler_that_was_overtaken_can_write_nothing(stores: Stores) -> None:
    tombstone = stores.hold(a_worker(1, WorkerState.DESTROYED))
    lost = stores.lease()
    stores.lease("b", now_s=NOW_S + 31)
    before = stores.scale.load(ENDPOINT)

    with pytest.raises(LeaseLost):
        stores.scale.renew_lease(lost, now_s=NOW_S, duration_s=30)
    with pytest.raises(LeaseLost):
        stores.scale.put_rental(lost, worker_id(2), tombstone.rental)
    with pytest.raises(LeaseLost):
        stores.scale.put_rental(lost, worker_id(1), replace(tombstone.rental, reason="late"))
    with pytest.raises(LeaseLost):
        stores.scale.forget_worker(lost, worker_id(1))
    with pytest.raises(LeaseLost):
        stores.scale.put_state(lost, a_state())
    with pytest.raises(LeaseLost):
        stores.scale.put_decision(lost, a_record(), expires_at_s=NOW_S + 60)
    assert (stores.scale.load(ENDPOINT), stores.pulumi.decisions(ENDPOINT)) == (before, [])


def test_the_lease_of_one_group_does_not_fence_another(stores: Stores) -> None:
    lease = stores.lease("a")
    stores.scale.acquire_lease("images", owner="b", now_s=NOW_S, duration_s=30)

    stores.scale.put_state(lease, a_state())


def test_a_new_worker_has_said_nothing_and_was_given_nothing(stores: Stores) -> None:
    worker = stores.hold(a_worker(1, WorkerState.RENTING))

    assert stores.stored(worker.worker_id) == replace(worker, condition=Condition(), assignments=Assignments())


def test_a_rental_replaces_the_last_one_and_nothing_else(stores: Stores) -> None:
    worker = stores.hold(a_worker(1, drain_to=WorkerState.STOPPING))
    totals = stores.route.assign(worker, cost=2.0, assigned_load_max=1e9, expires_at_s=NOW_S)
    after = replace(worker.rental, state=WorkerState.DRAINING, drain_to=None, instance_id=None)
    stores.scale.put_rental(stores.lease(), worker.worker_id, after)

    assert stores.stored(worker.worker_id) == replace(worker, rental=after, assignments=totals)


def test_a_group_that_does_not_exist_loads_as_none(stores: Stores) -> None:
    assert stores.scale.load("nobody") is None


def test_a_group_loads_whole(stores: Stores) -> None:
    autogroups = (an_autogroup("a", env={"MODEL_ID": "m"}), an_autogroup("b", image=None, template_hash="t"))
    for autogroup in autogroups:
        stores.pulumi.put_autogroup(ENDPOINT, autogroup)
    worker = stores.hold(a_worker(1))
    stores.scale.put_state(stores.lease(), a_state(load_per_s=3.0))
    stores.route.put_request(ENDPOINT, a_request(1), expires_at_s=NOW_S + 60)
    records = stores.scale.load(ENDPOINT)

    assert records is not None
    assert (records.group, records.autogroups, records.workers) == (a_group(), autogroups, (worker,))
    assert (records.waiting, records.state) == ((a_request(1),), a_state(load_per_s=3.0))


def test_a_group_that_no_scaler_has_seen_loads_with_an_empty_memory(stores: Stores) -> None:
    records = stores.scale.load(ENDPOINT)

    assert records is not None
    assert (records.workers, records.waiting, records.state) == ((), (), ScalerState())


def test_tombstones_are_loaded(stores: Stores) -> None:
    stores.hold(a_worker(1, WorkerState.DESTROYED))

    assert stores.stored(worker_id(1)) is not None


def test_requests_that_are_assigned_do_not_wait(stores: Stores) -> None:
    stores.route.put_request(ENDPOINT, replace(a_request(1), worker_id="w0-x"), expires_at_s=NOW_S + 60)
    records = stores.scale.load(ENDPOINT)

    assert records is not None
    assert records.waiting == ()


def test_workers_in_the_shards_of_a_larger_past_are_loaded(stores: Stores) -> None:
    stores.pulumi.put_group(a_group(max_workers=64 * 3))
    stores.scale.load(ENDPOINT)
    old = stores.hold(renamed(a_worker(1), f"w2-{1:026d}"))
    stores.pulumi.put_group(a_group(max_workers=1))

    assert stores.stored(old.worker_id) == old


def test_a_tombstone_can_be_forgotten(stores: Stores) -> None:
    tombstone: Worker = stores.hold(a_worker(1, WorkerState.DESTROYED))
    stores.scale.forget_worker(stores.lease(), tombstone.worker_id)

    assert stores.stored(tombstone.worker_id) is None


def test_forgetting_twice_is_no_error(stores: Stores) -> None:
    stores.scale.forget_worker(stores.lease(), worker_id(1))

    assert stores.stored(worker_id(1)) is None


def test_a_worker_that_may_cost_money_is_never_forgotten(stores: Stores) -> None:
    worker = stores.hold(a_worker(1, WorkerState.DESTROYING))

    with pytest.raises(AssertionError):
        stores.scale.forget_worker(stores.lease(), worker.worker_id)
    assert stores.stored(worker.worker_id) == worker


def test_a_decision_can_be_read_back_whole(stores: Stores) -> None:
    stores.scale.put_decision(stores.lease(), a_record(), expires_at_s=NOW_S + 60)

    assert [decode(DecisionRecord, record) for record in stores.pulumi.decisions(ENDPOINT)] == [a_record()]


def test_decisions_come_in_the_order_of_their_time(stores: Stores) -> None:
    lease = stores.lease()
    for offset_s in (9.0, 10.0, 100.0):
        stores.scale.put_decision(lease, a_record(decided_at_s=NOW_S + offset_s), expires_at_s=NOW_S + 60)

    assert [record["decided_at_s"] - NOW_S for record in stores.pulumi.decisions(ENDPOINT)] == [9.0, 10.0, 100.0]
