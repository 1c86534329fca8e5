"""First safety with every fault on, then liveness with every fault off, one history a seed (DESIGN, "What must always hold").

A failing seed is in the test's name. `make simulate SEED=17` tells its story; keep it in KEPT_SEEDS when it has found something.
`make soak SEEDS=5000` looks further.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Final

import pytest

from tests.simulation.__main__ import main
from tests.simulation.episode import play
from tests.simulation.story import Fault, Line

SEEDS: Final = int(os.environ.get("HEADGATE_SIMULATION_SEEDS", "500"))
KEPT_SEEDS: Final[tuple[int, ...]] = (184,)  # suspended while it kept a pause, it rented without its lease
# Between them they met every fault when this was written; after a change of the code others may have to help.
RICH_SEEDS: Final = (75, 25, 23, 116)
REPLAYS_EVERY: Final = 3  # of some 25 decisions a seed; `make simulate` and `make soak` replay each
SEEDS_FOR_FAULTS: Final = 160  # tried only if those do not


@pytest.mark.parametrize("seed", sorted({*range(SEEDS), *KEPT_SEEDS}), ids=lambda seed: f"seed-{seed}")
def test_nothing_unsafe_happens_then_the_group_serves_rests_and_can_be_removed(seed: int) -> None:
    assert play(seed, replays_every=REPLAYS_EVERY).ticks > 0, f"make simulate SEED={seed}"


def test_everything_that_may_go_wrong_goes_wrong_in_the_first_seeds() -> None:
    met: Counter[Fault] = Counter()
    for seed in dict.fromkeys((*RICH_SEEDS, *range(SEEDS_FOR_FAULTS))):
        met.update(play(seed).faults)
        if len(met) == len(Fault):
            break

    assert set(met) == set(Fault)


def test_one_seed_gives_one_history() -> None:
    once: list[Line] = []
    again: list[Line] = []
    play(3, hears=once.append)
    play(3, hears=again.append)

    assert once == again
    assert once


def test_who_listens_changes_nothing() -> None:
    heard: list[Line] = []

    assert play(4, hears=heard.append) == play(4)


def test_a_history_is_told_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["one", "--seed", "3", "--json"]) == 0

    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["seed"] == 3
    assert set(told["faults"]) <= {fault.value for fault in Fault}
