"""The inference server's queue and cache, from its Prometheus page."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyworker.backends.tgi.backend import BACKEND
from pyworker.gauges import read_gauges, watch_gauges
from pyworker.metrics import Gauges, Metrics
from pyworker.upstream import Upstream
from tests.worker_image.model import FakeModel
from tests.worker_image.process import free_port
from tests.worker_image.waiting import until_async

NAMES = Metrics(
    gauges_path="/metrics",
    queue_depth=("vllm:num_requests_waiting",),
    cache_use=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
)
PAGE = b"""\
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="a {brace} \\" model"} 3.0
vllm:num_requests_waiting{engine="1",model_name="a"} 4.0 1700000000000
vllm:num_requests_waiting_by_reason{reason="capacity"} 99.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
vllm:gpu_cache_usage_perc 0.1
"""


def test_queues_are_summed_and_the_fullest_cache_counts() -> None:
    assert read_gauges(PAGE, NAMES) == Gauges(queue_depth=7, cache_use=0.75)


def test_an_older_name_is_read_where_the_newer_one_is_not() -> None:
    assert read_gauges(b"vllm:gpu_cache_usage_perc 0.1\n", NAMES).cache_use == 0.1


@pytest.mark.parametrize("page", [b"", b"<html>", b"\xff\xfe", b"vllm:num_requests_waiting NaN", b"vllm:num_requests_waiting many"])
def test_what_is_not_told_is_not_known(page: bytes) -> None:
    assert read_gauges(page, NAMES) == Gauges()


def test_what_is_beyond_the_range_is_cut() -> None:
    page = b"vllm:num_requests_waiting +Inf\nvllm:kv_cache_usage_perc 97\n"

    assert read_gauges(page, NAMES) == Gauges(queue_depth=10**9, cache_use=1.0)


@given(st.binary(max_size=300))
def test_no_page_breaks_the_reader(page: bytes) -> None:
    gauges = read_gauges(b"vllm:num_requests_waiting " + page + b"\n" + PAGE, NAMES)

    assert gauges.cache_use is not None


async def watched(url: str) -> Gauges:
    """Return what the watch takes first."""
    taken: list[Gauges] = []
    upstream = Upstream(dataclasses.replace(BACKEND, metrics=NAMES), url)
    watch = asyncio.create_task(watch_gauges(upstream, take=taken.append, busy=lambda: True))
    await until_async(lambda: taken)
    watch.cancel()
    await upstream.close()
    return taken[0]


async def test_the_page_of_a_running_server_is_read() -> None:
    async with FakeModel().serving() as model:
        model.page = PAGE

        assert await watched(model.url) == Gauges(queue_depth=7, cache_use=0.75)


async def test_a_server_without_the_page_leaves_it_unknown() -> None:
    async with FakeModel().serving() as model:
        assert await watched(model.url) == Gauges()


async def test_a_server_that_does_not_answer_leaves_it_unknown() -> None:
    assert await watched(f"http://127.0.0.1:{free_port()}") == Gauges()
