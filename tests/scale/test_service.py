"""The scaler at work: what it asks of the marketplace, and what it makes of the answers."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import urlsplit

from functions.core.capacity import peers_perf
from functions.core.jsonable import encode
from functions.core.labels import instance_label, worker_of_label
from functions.core.lifecycle import WorkerState
from functions.core.model import Autogroup, Instance, Offer
from functions.core.plan import action_json
from functions.core.scaler_state import LearnedPerf
from functions.core.scaling import decide
from functions.core.snapshot import from_json
from functions.scale.apply import Result
from functions.scale.figures import line, metrics
from functions.scale.worker_env import worker_env
from protocol.report import Phase
from protocol.worker_token import WorkerIdentity, verify_worker_token
from sandbox.marketplace.faults import AnswerFault, Fate, Operation
from sandbox.marketplace.order import Order, read_order
from tests.core.builders import a_group, an_offer
from tests.fakes.marketplace import WorldSession, make_api, marketplace_over
from tests.scale.stage import ENDPOINT, SECRET, STACK, START_S, Stage

_S = WorkerState


def _states(stage: Stage) -> list[WorkerState]:
    return [worker.rental.state for worker in stage.workers()]


def _held(stage: Stage) -> list[WorkerState]:
    return [state for state in _states(stage) if state is not _S.DESTROYED]


def _results(stage: Stage, count: int = 1) -> list[Result]:
    return [outcome.result for done in stage.ticks(count) for outcome in done.outcomes]


def _order(label: str) -> Order:
    return read_order({"image": "tgi", "disk": 20.0, "label": label, "env": {}, "cancel_unavail": True})


def test_a_waiting_request_rents_one_worker_and_records_its_instance(stage: Stage) -> None:
    stage.somebody_waits()
    stage.ticks()
    (worker,), (contract,) = stage.workers(), stage.contracts()

    assert worker.rental.state is _S.BOOTING
    assert worker.rental.instance_id == contract.contract_id
    assert contract.label == instance_label(STACK, ENDPOINT, worker.worker_id)


def test_the_intent_is_on_record_before_the_marketplace_is_asked(stage: Stage) -> None:
    stage.somebody_waits()
    stage.meets(Operation.CREATE, AnswerFault.DROPPED_BEFORE)
    stage.ticks()
    (worker,) = stage.workers()

    assert worker.rental.state is _S.RENTING
    assert worker.rental.running_micro_usd_per_hour > 0


def test_a_worker_is_born_with_its_identity_its_token_and_its_secrets(stage: Stage) -> None:
    stage.somebody_waits()
    stage.ticks()
    (contract,) = stage.contracts()
    env = dict(contract.order.flags.variables)
    identity = verify_worker_token(SECRET, env["MASTER_TOKEN"], stack=STACK)

    assert (identity.endpoint, identity.worker_id) == (ENDPOINT, worker_of_label(contract.label or ""))
    assert env["HEADGATE_WORKER_ID"] == identity.worker_id
    assert env["HEADGATE_ENDPOINT"] == ENDPOINT
    assert env["REPORT_ADDR"] == "https://report.test"
    assert env["WORKER_PORT"] == "3000"
    assert env["HF_TOKEN"] == "hf-very-secret"
    assert [port.key for port in contract.order.flags.ports] == ["3000/tcp"]


def test_a_worker_that_knows_of_no_token_finds_it_in_its_address(stage: Stage) -> None:
    identity = WorkerIdentity(endpoint=ENDPOINT, worker_id="w0-a")
    autogroup = Autogroup(name="old", search_params="num_gpus=1", image="i", report_addr_token=True)

    env = worker_env(stage.settings, a_group(), autogroup, identity)

    address = urlsplit(env["REPORT_ADDR"])
    assert (address.scheme, address.hostname, address.password) == ("https", "report.test", env["MASTER_TOKEN"])


def test_a_worker_is_told_what_its_like_have_measured_once_there_are_two() -> None:
    def told(samples: int) -> float | None:
        return peers_perf({"a|RTX 4090|1": LearnedPerf(perf=120.0, samples=samples)}, "a", an_offer())

    assert (told(1), told(2), peers_perf({}, "a", an_offer())) == (None, 120.0, None)


def test_what_its_like_have_measured_travels_in_the_worker_s_environment(stage: Stage) -> None:
    identity = WorkerIdentity(endpoint=ENDPOINT, worker_id="w0-a")
    autogroup = Autogroup(name="a", search_params="num_gpus=1", image="i")

    assert worker_env(stage.settings, a_group(), autogroup, identity, peers_perf=120.5)["HEADGATE_PEERS_PERF"] == "120.500"
    assert "HEADGATE_PEERS_PERF" not in worker_env(stage.settings, a_group(), autogroup, identity)


def test_no_secret_is_in_a_record_a_log_line_or_a_repr(stage: Stage) -> None:
    stage.somebody_waits()
    told = [repr(stage.settings), *(json.dumps(line(done)) + repr(done) for done in stage.ticks())]
    told += [json.dumps(encode(record)) for record in stage.store.decisions(ENDPOINT)]

    assert not [
        text for text in told if "very-secret" in text or "hg1." in text or SECRET.decode() in text or "account-key" in text
    ]


def test_a_worker_that_reports_ready_may_be_routed_to(stage: Stage) -> None:
    stage.somebody_waits()
    stage.run(300)

    assert _held(stage) == [_S.READY]


def test_an_idle_group_costs_one_tick_an_invocation(stage: Stage) -> None:
    stage.clock.wait_s(100)
    calls_before = dict(stage.world.plan.calls)
    made = stage.ticks()

    assert len(made) == 1
    assert stage.world.plan.calls[Operation.LIST] == calls_before.get(Operation.LIST, 0) + 1
    assert stage.world.plan.calls[Operation.SEARCH] == 0


def test_an_unchanged_idle_decision_is_recorded_once(stage: Stage) -> None:
    stage.ticks(6)

    assert len(stage.store.decisions(ENDPOINT)) == 2  # nothing is known yet; nothing is asked


def test_every_recorded_decision_replays_to_the_same_plan(stage: Stage) -> None:
    stage.somebody_waits()
    stage.run(60)
    for record in stage.store.decisions(ENDPOINT):
        snapshot = from_json(json.loads(json.dumps(record.snapshot)))
        plan = decide(snapshot, now_s=record.decided_at_s)

        assert plan.sentences == record.sentences
        assert tuple(action_json(action) for action in plan.actions) == record.actions


def test_a_scaler_that_finds_the_lease_taken_does_nothing(stage: Stage) -> None:
    stage.somebody_waits()
    stage.store.acquire_lease(ENDPOINT, owner="another", now_s=START_S, duration_s=60.0)

    assert stage.ticks() == []
    assert stage.contracts() == []


def test_a_group_that_does_not_exist_is_left_alone(stage: Stage) -> None:
    stage.store = type(stage.store)()

    assert stage.ticks() == []


def test_a_create_whose_answer_was_lost_is_adopted_by_its_label(stage: Stage) -> None:
    stage.somebody_waits()
    stage.meets(Operation.CREATE, AnswerFault.DROPPED_AFTER)
    stage.ticks(2)
    (worker,), (contract,) = stage.workers(), stage.contracts()

    assert worker.rental.state is _S.BOOTING
    assert worker.rental.instance_id == contract.contract_id


def test_a_create_that_never_happened_is_given_up_after_a_while_and_made_anew(stage: Stage) -> None:
    stage.somebody_waits()
    stage.meets(Operation.CREATE, AnswerFault.SERVER_ERROR_BEFORE)
    for _ in range(30):
        stage.somebody_waits()
        stage.ticks()

    assert sorted(_states(stage)) == [_S.BOOTING, _S.DESTROYED]
    assert len(stage.contracts()) == 1


def test_a_rent_is_not_given_up_for_an_empty_list(stage: Stage) -> None:
    stage.somebody_waits()
    stage.meets(Operation.CREATE, AnswerFault.DROPPED_AFTER)
    stage.ticks()
    stage.clock.wait_s(200)
    stage.meets(Operation.LIST, AnswerFault.EMPTY_LIST)
    stage.ticks(2)

    assert _states(stage) == [_S.BOOTING]


def test_an_offer_that_someone_else_took_leaves_nothing_behind_but_a_tombstone(stage: Stage) -> None:
    stage.somebody_waits()
    stage.meets(Operation.CREATE, AnswerFault.OFFER_GONE_400)

    assert _results(stage) == [Result.OFFER_GONE]
    assert _states(stage) == [_S.DESTROYED]


def test_a_contract_that_was_created_stopped_is_destroyed(stage: Stage) -> None:
    stage.somebody_waits()
    stage.meets(Operation.CREATE, AnswerFault.CREATED_STOPPED)
    stage.ticks()
    stage.nobody_waits()
    stage.ticks(8)

    assert stage.contracts() == []
    assert _held(stage) == []


def test_a_rate_limit_on_a_create_rents_nothing_and_pauses_renting(stage: Stage) -> None:
    stage.somebody_waits()
    stage.meets(Operation.CREATE, AnswerFault.RATE_LIMITED)
    stage.ticks()

    assert _held(stage) == []
    assert stage.store.scaler_state(ENDPOINT).halted_until_s > stage.clock.now_s() - 5.0


def test_an_account_without_credit_halts_renting_and_says_so(stage: Stage) -> None:
    stage.world.add_credit(-1_000.0, START_S)
    stage.somebody_waits()
    stage.ticks()
    (done,) = stage.ticks()

    assert stage.workers()[0].rental.state is _S.DESTROYED
    assert any("lack credit" in sentence for sentence in done.plan.sentences)


def test_a_key_that_is_not_accepted_halts_renting(stage: Stage) -> None:
    stage.somebody_waits()
    stage.marketplace = marketplace_over(WorldSession(make_api(stage.world), stage.clock), stage.clock, api_key="wrong")
    (done,) = stage.ticks()

    assert done.snapshot.listing is None
    assert stage.store.scaler_state(ENDPOINT).halted_until_s > START_S


def test_an_instance_of_ours_without_a_record_is_destroyed_within_two_ticks(stage: Stage) -> None:
    offer = stage.marketplace.search(stage.store.load(ENDPOINT).autogroups[0])[0]  # type: ignore[union-attr]
    stage.world.create(offer.offer_id, _order(instance_label(STACK, ENDPOINT, "w0-nobody")), START_S)
    stage.ticks(2)

    assert stage.contracts() == []


def test_instances_of_other_groups_and_stacks_are_left_alone(stage: Stage) -> None:
    offers = stage.marketplace.search(stage.store.load(ENDPOINT).autogroups[0])  # type: ignore[union-attr]
    for offer, label in zip(offers, ("headgate/other/chat/w0-x", "headgate/test/chat2/w0-x", "mine"), strict=False):
        stage.world.create(offer.offer_id, _order(label), START_S)
    stage.ticks(2)

    assert len(stage.world.contracts.live) == 3


def test_a_worker_that_vanishes_is_recorded_gone_and_its_machine_avoided(stage: Stage) -> None:
    stage.somebody_waits()
    stage.run(200)
    stage.nobody_waits()
    stage.world.destroy(stage.contracts()[0].contract_id, stage.clock.now_s())
    stage.ticks(16)
    (worker,) = (worker for worker in stage.workers())

    assert worker.rental.state is _S.DESTROYED
    assert [each.machine_id for each in stage.store.scaler_state(ENDPOINT).avoided] == [worker.rental.machine_id]


def test_a_list_that_fails_takes_nothing_from_the_fleet(stage: Stage) -> None:
    stage.configure(inactivity_timeout=3_600.0)
    stage.somebody_waits()
    stage.run(200)
    for number in range(30):
        stage.meets(Operation.LIST, AnswerFault.SERVER_ERROR_BEFORE, after=number)
        stage.everyone_reports()
        stage.ticks()

    assert _held(stage) == [_S.READY]


def test_an_instance_that_costs_more_than_its_offer_is_destroyed(stage: Stage) -> None:
    class Cheater:
        """A marketplace whose offers promise half the price."""

        def __getattr__(self, name: str) -> object:
            return getattr(stage.marketplace, name)

        def search(self, autogroup: object) -> list[Offer]:
            found: list[Offer] = stage.marketplace.search(autogroup)  # type: ignore[arg-type]
            return [replace(one, running_micro_usd_per_hour=one.running_micro_usd_per_hour // 2) for one in found]

    stage.somebody_waits()
    stage.ticks(1, wrap=lambda port: Cheater() if port is stage.marketplace else port)
    stage.nobody_waits()
    stage.ticks(6)

    assert stage.contracts() == []
    assert "offered at" in stage.workers()[0].rental.reason


def test_after_the_inactivity_timeout_the_group_goes_to_zero(stage: Stage) -> None:
    stage.somebody_waits()
    stage.run(200)
    stage.nobody_waits()
    stage.run(500)

    assert stage.contracts() == []
    assert _held(stage) == []


def test_a_cold_worker_is_kept_stopped_and_started_when_it_is_needed(stage: Stage) -> None:
    stage.configure(cold_workers=1)
    stage.somebody_waits()
    stage.run(200)
    stage.nobody_waits()
    stage.run(500)
    cold = [(_held(stage), contract.actual_status) for contract in stage.contracts()]
    stage.somebody_waits()
    stage.run(100)

    assert cold == [([_S.STOPPED], "exited")]
    assert _held(stage) == [_S.READY]
    assert stage.world.plan.calls[Operation.CREATE] == 1


def test_a_worker_with_a_request_in_flight_is_not_taken(stage: Stage) -> None:
    stage.somebody_waits()
    stage.run(200)
    stage.nobody_waits()
    for _ in range(100):
        stage.everyone_reports(in_flight=1)
        stage.ticks()

    assert _held(stage) == [_S.READY]


def test_boots_that_fail_again_and_again_halt_their_autogroup(stage: Stage) -> None:
    for number in range(8):
        stage.meets(Operation.CREATE, Fate.DOCKER_ERROR, after=number)
    for _ in range(150):
        stage.somebody_waits()
        stage.ticks()
    halts = stage.store.scaler_state(ENDPOINT).halted_autogroups

    assert stage.world.plan.calls[Operation.CREATE] == 4
    assert "failures in a row" in halts["a"].reason


def test_a_worker_whose_model_fails_is_destroyed_with_its_own_words(stage: Stage) -> None:
    stage.somebody_waits()
    stage.run(100)
    stage.nobody_waits()
    stage.everyone_reports(phase=Phase.ERROR, error="CUDA out of memory")
    stage.ticks(2)

    assert any("CUDA out of memory" in worker.rental.reason for worker in stage.workers())


def test_the_metrics_of_a_tick_say_what_is_held_and_what_waits(stage: Stage) -> None:
    stage.somebody_waits()
    (done,) = stage.ticks()
    told = metrics(done)

    assert told["RequestsWaitingNowCount"] == 1
    assert told["HeldCostMicroUsdPerHour"] == stage.workers()[0].rental.running_micro_usd_per_hour


def test_a_stop_that_the_marketplace_never_heard_is_asked_again(stage: Stage) -> None:
    stage.configure(cold_workers=1, inactivity_timeout=0.0)
    stage.somebody_waits()
    stage.run(200)
    stage.nobody_waits()
    stage.meets(Operation.STOP, AnswerFault.DROPPED_BEFORE)
    stage.run(250)

    assert _held(stage) == [_S.STOPPED]


def test_an_instance_is_told_apart_by_its_whole_label(stage: Stage) -> None:
    stage.somebody_waits()
    stage.ticks()
    found: list[Instance] = stage.marketplace.instances("headgate/test/cha")

    assert [worker_of_label(one.label) for one in found] == [stage.workers()[0].worker_id]
