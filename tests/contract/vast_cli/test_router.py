"""The CLI, the simulator with `--router`, and Headgate's own route function: `--url` names one host for all of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from functions.core.public_ids import autogroup_id, endpoint_id
from tests.contract.vast_cli.headgate import serving
from tests.contract.vast_cli.market import Market, market
from tests.contract.vast_cli.official import Official, Ran
from tests.core.builders import an_autogroup, worker_id
from tests.functions.router import API_KEY, READ_KEY, UPDATE_KEY, Router, ready

CHAT, AUTOGROUP = endpoint_id("chat"), autogroup_id("chat", "a")


@pytest.fixture
def front(cli: Official) -> Iterator[Market]:
    """Return a simulator in front of a Headgate that has one group of two ready workers."""
    router = Router()
    router.holds(*ready(1, 2))
    router.store.put_autogroup("chat", an_autogroup("a", search_params="num_gpus=1"))
    with serving(router) as url, market(cli, router_url=url) as shop:
        yield shop


def _run(front: Market, command: str, *args: object, key: str = READ_KEY) -> Ran:
    """Run a command with a key that Headgate knows."""
    words = [str(word) for word in args]
    return front.cli.run(*command.split(" "), "--url", front.server.url, "--api-key", key, *words)


def _raw(front: Market, command: str, *args: object) -> Any:
    ran = _run(front, command, *args, "--raw")
    assert (ran.status, ran.err) == (0, ""), str(ran)
    return json.loads(ran.out)


def test_endpoints_and_workergroups_are_the_stacks(front: Market) -> None:
    assert [(row["id"], row["endpoint_name"]) for row in _raw(front, "show endpoints")] == [(CHAT, "chat")]
    assert [(row["id"], row["endpoint_id"]) for row in _raw(front, "show workergroups")] == [(AUTOGROUP, CHAT)]


def test_workers_are_the_fleet(front: Market) -> None:
    workers = _raw(front, "get endpt-workers", CHAT)
    table = _run(front, "get endpt-workers", CHAT).out

    assert {worker["worker_id"] for worker in workers} == {worker_id(1), worker_id(2)}
    assert table.count("status=idle") == 2
    assert all(f"id={worker['id']} " in table for worker in workers)


def test_logs_are_the_decisions(front: Market) -> None:
    for command, number in (("get endpt-logs", CHAT), ("get wrkgrp-logs", AUTOGROUP)):
        assert set(_raw(front, command, number, "--tail", 5)) == {"info0", "info1", "trace", "debug"}


def test_what_the_stack_file_says_is_not_changed_here(front: Market) -> None:
    for command in (("create endpoint", "--endpoint_name", "b"), ("update endpoint", CHAT), ("delete endpoint", CHAT)):
        told = _run(front, *command).err
        assert told.startswith("Failed with error 405: groups are what the stack file says"), command


def test_an_update_of_workers_is_started_and_called_off(front: Market) -> None:
    started = _run(front, "update workers", AUTOGROUP, key=UPDATE_KEY).out
    cancelled = _run(front, "update workers", AUTOGROUP, "--cancel", key=UPDATE_KEY).out

    assert started == f"Update started for workergroup {AUTOGROUP} (2 workers)\n"
    assert cancelled == f"Update cancelled for workergroup {AUTOGROUP}\n"


def test_an_update_of_workers_takes_a_key_of_its_scope(front: Market) -> None:
    assert "403" in _run(front, "update workers", AUTOGROUP).err


def test_a_key_that_headgate_does_not_know_is_refused_by_headgate(front: Market) -> None:
    assert "Failed with error 401" in _run(front, "show endpoints", key="unknown-key").err
    assert _run(front, "show endpoints", key=API_KEY).status == 0
