"""A changed autogroup, over the real scaler and the simulated market: what is rented, as what, and when the old ones leave."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from functions.core.labels import worker_of_label
from functions.core.lifecycle import HELD, WorkerState
from functions.core.model import Autogroup
from functions.scale.secret_digest import secret_digests
from functions.scale.tick import Tick
from protocol.report import Phase
from tests.scale.stage import ENDPOINT, TICK_S, Stage

AUTOGROUP: Final = Autogroup(name="a", search_params="num_gpus=1 verified=any", image="tgi:1", disk_gb=20.0)
_S = WorkerState


@dataclass(slots=True)
class Owner:
    """Somebody whose group serves 250 load/s, and who changes its autogroup."""

    stage: Stage
    bad: tuple[str, ...] = ()  # images that never come up
    workers: int = 0  # how many are held before anything is changed
    serving: int = 0  # how many of them serve
    serving_min: int = 99  # the fewest ready workers at any tick
    held_max: int = 0

    def changes(self, **changes: Any) -> None:
        """Write the autogroup's parameters."""
        self.stage.store.put_autogroup(ENDPOINT, replace(AUTOGROUP, **changes))

    def waits(self, duration_s: float) -> list[Tick]:
        """Let time pass, everybody reporting but those of a bad image, which say that they have failed."""
        made: list[Tick] = []
        for _ in range(int(duration_s / TICK_S)):
            self._everyone_reports()
            made += self.stage.ticks()
            self.serving_min = min(self.serving_min, self.ready())
            self.held_max = max(self.held_max, sum(worker.rental.state in HELD for worker in self.stage.workers()))
        return made

    def ready(self) -> int:
        """Count the workers that serve."""
        return sum(worker.rental.state is _S.READY for worker in self.stage.workers())

    def images(self) -> Counter[str | None]:
        """Count the contracts by the image that they run."""
        return Counter(contract.order.image for contract in self.stage.contracts())

    def _everyone_reports(self) -> None:
        known = {worker.worker_id: worker for worker in self.stage.workers()}
        for contract in self.stage.contracts():
            worker = known.get(worker_of_label(contract.label or ""))
            if contract.actual_status != "running" or worker is None:
                continue
            if contract.order.image in self.bad:
                self.stage.report(worker, phase=Phase.ERROR, perf=0.0, error="no such model")
            else:
                self.stage.report(worker)


@pytest.fixture
def owner() -> Owner:
    """Return the owner of a group whose workers serve."""
    stage = Stage()
    stage.configure(max_workers=6, min_load=250.0, target_util=1.0, update_surge="1", shortage_cost=20.0, cold_workers=4)
    owner = Owner(stage=stage)
    owner.changes()
    owner.waits(900.0)
    owner.workers = owner.images()["tgi:1"]
    owner.serving = owner.ready()
    assert (owner.serving, owner.workers) == (3, 4)
    owner.serving_min, owner.held_max = 99, 0
    return owner


def test_a_changed_image_replaces_every_worker_and_capacity_never_dips(owner: Owner) -> None:
    owner.changes(image="tgi:2")
    owner.waits(1_800.0)

    assert owner.images() == {"tgi:2": owner.workers}
    assert (owner.serving_min, owner.held_max) == (owner.serving, owner.workers + 1)


def test_an_image_that_never_comes_up_is_taken_back(owner: Owner) -> None:
    owner.bad = ("tgi:2",)
    owner.changes(image="tgi:2")
    ticks = owner.waits(1_800.0)

    assert owner.images() == {"tgi:1": owner.workers}
    assert owner.serving_min == owner.serving
    assert ticks[-1].plan.facts["update_failed"] == 1.0
    assert any("failed: 3 of its workers in a row failed" in sentence for sentence in ticks[-1].plan.sentences)


def test_what_is_lost_after_a_failure_is_rented_as_the_version_that_works(owner: Owner) -> None:
    owner.bad = ("tgi:2",)
    owner.changes(image="tgi:2", search_params="num_gpus=1 verified=any dlperf>=1")
    owner.waits(1_800.0)
    lost = owner.stage.contracts()[0]
    owner.stage.world.destroy(lost.contract_id, owner.stage.clock.now_s())
    owner.waits(600.0)

    assert (set(owner.images()), owner.ready()) == ({"tgi:1"}, owner.serving)


def test_a_change_after_a_failure_is_tried_anew(owner: Owner) -> None:
    owner.bad = ("tgi:2",)
    owner.changes(image="tgi:2")
    owner.waits(900.0)
    owner.changes(image="tgi:3")
    owner.waits(1_800.0)

    assert owner.images() == {"tgi:3": owner.workers}


def test_a_change_in_the_middle_of_an_update_ends_with_what_was_said_last(owner: Owner) -> None:
    owner.changes(image="tgi:2")
    owner.waits(140.0)
    assert len(owner.images()) == 2
    owner.changes(image="tgi:3")
    owner.waits(2_400.0)

    assert owner.images() == {"tgi:3": owner.workers}
    assert owner.serving_min == owner.serving


def test_a_rotated_secret_rolls_out_and_is_nowhere_in_the_records(owner: Owner) -> None:
    before = {contract.contract_id for contract in owner.stage.contracts()}
    owner.stage.settings = replace(owner.stage.settings, secret_env={"chat/a": {"HF_TOKEN": "hf-rotated-secret"}})
    owner.waits(2_400.0)
    records = str(owner.stage.store.decisions(ENDPOINT)) + str(owner.stage.store.load(ENDPOINT))

    assert not before & {contract.contract_id for contract in owner.stage.contracts()}
    assert "hf-" not in records


def test_an_update_of_one_worker_in_a_group_of_one_waits_for_room_and_says_so() -> None:
    stage = Stage()
    stage.configure(max_workers=1, min_load=50.0)
    owner = Owner(stage=stage)
    owner.waits(300.0)
    owner.changes(image="tgi:2")
    ticks = owner.waits(600.0)

    assert owner.images() == {"tgi": 1}
    assert any("Raise max_workers by one" in sentence for sentence in ticks[-1].plan.sentences)


# Asked for


def test_an_update_that_is_asked_for_replaces_every_worker_by_its_like(owner: Owner) -> None:
    before = {contract.contract_id for contract in owner.stage.contracts()}
    owner.stage.store.ask_update(ENDPOINT, "a", asked_at_s=owner.stage.clock.now_s(), settled_s=60.0)
    owner.waits(1_800.0)
    after = {contract.contract_id for contract in owner.stage.contracts()}

    assert (len(after), after & before, owner.serving_min) == (owner.workers, set(), owner.serving)


def test_an_update_that_is_called_off_stops_where_it_is(owner: Owner) -> None:
    owner.stage.store.ask_update(ENDPOINT, "a", asked_at_s=owner.stage.clock.now_s(), settled_s=60.0)
    owner.waits(140.0)
    owner.stage.store.cancel_update(ENDPOINT, "a")
    owner.waits(60.0)
    between = {contract.contract_id for contract in owner.stage.contracts()}
    owner.waits(1_800.0)

    assert {contract.contract_id for contract in owner.stage.contracts()} == between


# Digests


def test_an_autogroup_without_anything_secret_has_no_digest() -> None:
    assert secret_digests(Stage().settings, ENDPOINT, [replace(AUTOGROUP, name="plain")]) == {}


def test_a_digest_changes_with_the_secret_environment_the_login_and_the_key() -> None:
    settings = Stage().settings
    others = (
        replace(settings, secret_env={"chat/a": {"HF_TOKEN": "other"}}),
        replace(settings, image_login={"chat/a": "-u u -p p registry.test"}),
        replace(settings, worker_token_secret=b"another-token-secret-of-32-bytes"),
    )

    assert len({secret_digests(each, ENDPOINT, [AUTOGROUP])["a"] for each in (settings, *others)}) == 4
