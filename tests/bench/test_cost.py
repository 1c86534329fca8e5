"""The cost page says what the model computes, and the model's sizes are those of what is really stored and logged."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bench import cost
from bench.environment import route_environment
from bench.instant_aws import InstantAws
from bench.lambda_process import LambdaProcess
from bench.route import EVENT
from functions.adapters.dynamodb_items import attributes_of, scaler_key, worker_key
from functions.adapters.spec_codec import state_attribute
from functions.core.model import Assignments
from functions.route.snapshot import SHARDS_READ_MAX, SNAPSHOT_TTL_S
from infra.route import MEMORY_MB
from tests.core.builders import a_condition, a_worker
from tests.scale.entry_point import Context, imported, wired
from tests.scale.stage import ENDPOINT, TICK_S, Stage

PAGE = (Path(__file__).parents[2] / "docs" / "cost.md").read_text()


def test_the_page_holds_the_tables_that_are_computed() -> None:
    assert cost.route_table() in PAGE
    assert cost.idle_table() in PAGE


def test_the_model_has_the_functions_memory_and_the_router_s_cache() -> None:
    assert cost.ROUTE_MEMORY_GB * 1_024 == MEMORY_MB
    assert (cost.SNAPSHOT_TTL_S, cost.WORKERS_READ_MAX) == (SNAPSHOT_TTL_S, 64 * SHARDS_READ_MAX)


def test_what_is_paid_for_a_route_does_not_depend_on_who_else_pays() -> None:
    busy, busier = (cost.per_million(cost.Load(routes_per_s=rate)) for rate in (1_000.0, 5_000.0))

    assert sum(busy.values()) == pytest.approx(sum(busier.values()), rel=0.02)


def test_a_quiet_group_pays_more_for_reading() -> None:
    quiet, busy = (cost.per_million(cost.Load(routes_per_s=rate))["DynamoDB reads"] for rate in (1.0, 100.0))

    assert quiet > 10 * busy


def item_bytes(item: dict[str, Any]) -> int:
    """Return the size of an item as DynamoDB counts it: names, text in UTF-8, two digits a byte.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name) + _value_bytes(held) for name, held in item.items())


def _value_bytes(held: dict[str, Any]) -> int:
    [(kind, value)] = held.items()
    if kind == "L":
        return 3 + sum(1 + _value_bytes(each) for each in value)
    if kind == "B":
        return len(value)
    return len(value.encode()) if kind == "S" else 1 + (len(value) + 1) // 2


def test_the_item_that_a_route_writes_is_one_write_unit() -> None:
    rental = a_worker(1, offer_id=12_345_678, machine_id=54_321, gpu_name="RTX_PRO_6000_WS", instance_id=23_456_789).rental
    said = a_condition(
        url="https://203.0.113.207:40001",
        run_id="f" * 32,
        cert_sha256="0f" * 32,
        perf=1234.5678,
        perf_flags=("slow",),
        loadtime_s=123.456,
    )
    long = 1_234_567.25
    totals = Assignments(
        assigned_load=long, reqnum=123_456, ticket_expires_at_s=1_790_000_000, settled_load=long, settled_finished_load=long
    )
    key = worker_key("a-group-of-some-name", "w15-01234567890abcdefghijklmno")
    size = item_bytes({**key, **attributes_of(rental), **attributes_of(said), **attributes_of(totals)})

    assert 0.8 * cost.WORKER_BYTES < size <= 1_024


def test_a_route_logs_what_the_model_says(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log, InstantAws(3) as aws:
        with LambdaProcess("functions.route.handler.handler", environment=route_environment(aws.url), log=log) as function:
            for _ in range(2):
                assert function.invoke(json.dumps(EVENT).encode())["statusCode"] == 200
        counted = aws.counts
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")][-2:]
    told, metric = sorted(lines, key=lambda line: "_aws" in line)

    assert counted["UpdateItem"] == 2
    assert 0.7 * cost.ROUTE_LINE_BYTES < len(told) <= cost.ROUTE_LINE_BYTES
    assert 0.7 * cost.METRICS_LINE_BYTES < len(metric) <= cost.METRICS_LINE_BYTES


def idle_stage() -> Stage:
    """Return a group that has been busy and then idle for two hours."""
    stage = Stage()
    stage.somebody_waits()
    stage.run(600)
    stage.nobody_waits()
    for _ in range(120):
        stage.clock.wait_s(60.0 - TICK_S)
        stage.ticks()
    stage.store.calls.clear()
    return stage


def test_an_idle_tick_writes_what_the_model_says() -> None:
    stage = idle_stage()
    stage.ticks()
    records = stage.store.load(ENDPOINT)
    assert records is not None
    lease = {
        "lease_owner": {"S": "x" * 36},
        "lease_until_s": {"N": "1900000000.123456"},
        "epoch": {"N": "1234567"},
        "shards": {"N": "1"},
    }
    kib = math.ceil(item_bytes({**scaler_key(ENDPOINT), **lease, "state": state_attribute(records.state)}) / 1_024)

    assert list(stage.store.calls)[:-1] == ["acquire_lease", "load", "put_state", "release_lease"]
    assert 0.6 * cost.IDLE_WRITES < 3 * kib <= cost.IDLE_WRITES


def test_an_idle_tick_logs_what_the_model_says(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stage = idle_stage()
    wired(imported(monkeypatch), stage, monkeypatch).handler({"endpoint": ENDPOINT}, Context())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    size = sum(len(line) + cost.LINE_BYTES for line in lines) + cost.PLATFORM_LINES_BYTES

    assert 0.7 * cost.IDLE_LOG_BYTES < size <= cost.IDLE_LOG_BYTES
