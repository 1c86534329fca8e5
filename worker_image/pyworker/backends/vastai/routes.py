"""A handler of a worker file as a route and as a trial.

What the file's functions raise is told to the client: a payload that its parser refuses is answered with 422, a reply that it
cannot make with 500. A load that is no number counts as LOAD_DEFAULT, as with the marketplace's worker.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pyworker.backend import Answer, Ask, BadBackend, BadPayload, Route, Server, Trial
from pyworker.backends.vastai.surface import ApiPayload, BenchmarkConfig, EndpointHandler, HandlerConfig
from pyworker.metrics import bounded_load

if TYPE_CHECKING:
    from aiohttp import ClientResponse, web

LOAD_DEFAULT: Final = 100.0

_log = logging.getLogger(__name__)

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A route of the file: `sample` makes a payload to measure with and its load, None where the file gives none."""

    route: Route
    sample: Callable[[Ask], tuple[Payload, float]] | None
    parallel: bool
    concurrency: int
    queue_time_s: float | None
    local: bool  # answered by a function of the file, without a server


def handler_of(config: HandlerConfig) -> Handler:
    """Read one handler."""
    if config.handler_class is not None:
        return _of_class(config.route, config.handler_class())
    payloads, benchmark = config.payload_class, config.benchmark_config
    call = config.remote_function
    route = Route(
        path=config.route,
        load=_class_load(payloads) if payloads else _given_load(config),
        prepare=_class_prepare(payloads) if payloads else _given_prepare(config.request_parser),
        serve=_calling(call) if call else None,
        respond=_responding(config.response_generator) if config.response_generator else None,
    )
    return Handler(
        route=route,
        sample=_sample(config, payloads, benchmark) if benchmark else None,
        parallel=config.allow_parallel_requests,
        concurrency=(benchmark.concurrency if benchmark else None) or BenchmarkConfig().concurrency or 1,
        queue_time_s=config.max_queue_time,
        local=call is not None,
    )


def _of_class(path: str, handler: EndpointHandler[Any]) -> Handler:
    payloads = handler.payload_cls()
    route = Route(
        path=path,
        server_path=handler.endpoint,
        load=_class_load(payloads),
        prepare=_class_prepare(payloads),
        serve=_calling(handler.remote_function) if handler.remote_function else None,
        respond=_responding(handler.generate_client_response),
    )
    return Handler(
        route=route,
        sample=(lambda _ask: _written(handler.make_benchmark_payload())) if handler.has_benchmark else None,
        parallel=handler.allow_parallel_requests,
        concurrency=handler.concurrency,
        queue_time_s=handler.max_queue_time,
        local=handler.remote_function is not None,
    )


def trial_of(handler: Handler) -> Callable[[Ask], Trial]:
    """Return a trial of the handler's own payloads. What the file measures with is what its server gets: it is not parsed again."""
    sample = handler.sample
    assert sample is not None
    route = replace(handler.route, prepare=lambda payload: payload)

    def trial(ask: Ask) -> Trial:
        payload, load = sample(ask)
        return Trial(route=route, payload=payload, unit_load=load)

    return trial


def _sample(
    config: HandlerConfig, payloads: type[ApiPayload] | None, benchmark: BenchmarkConfig
) -> Callable[[Ask], tuple[Payload, float]]:
    if payloads is not None:
        return lambda _ask: _written(payloads.for_test())
    dataset, generator, load = benchmark.dataset, benchmark.generator, _given_load(replace(config, request_parser=None))
    if not dataset and generator is None:
        raise BadBackend(f"the BenchmarkConfig of {config.route} has neither a dataset nor a generator")

    def sample(ask: Ask) -> tuple[Payload, float]:
        payload = dict(ask.rng.choice(dataset)) if dataset else generator() if generator else {}
        return payload, load(payload, 0.0)

    return sample


def _written(payload: ApiPayload) -> tuple[Payload, float]:
    if payload.generate_payload_multipart() is not None:
        raise BadBackend(
            f"{type(payload).__name__} is sent as a form, which cannot be measured with; give another route a benchmark"
        )
    return payload.generate_payload_json(), _counted(payload.count_workload)


def _given_load(config: HandlerConfig) -> Callable[[Payload, float], float]:
    calculate, parse = config.workload_calculator, config.request_parser
    if calculate is None:
        return lambda _payload, _weight: LOAD_DEFAULT
    return lambda payload, _weight: _counted(lambda: calculate(parse(dict(payload)) if parse else dict(payload)))


def _class_load(payloads: type[ApiPayload]) -> Callable[[Payload, float], float]:
    return lambda payload, _weight: _counted(lambda: payloads.from_json_msg(dict(payload)).count_workload())


def _counted(count: Callable[[], Any]) -> float:
    try:
        load = float(count())
    except Exception as exc:  # noqa: BLE001 - the file's own function, of which nothing is known; its owner reads the log
        _log.warning("a workload could not be counted: %s", type(exc).__name__)
        return LOAD_DEFAULT
    return bounded_load(load) if math.isfinite(load) and load >= 0 else LOAD_DEFAULT


def _given_prepare(parse: Callable[[dict[str, Any]], dict[str, Any]] | None) -> Callable[[Payload], Payload]:
    return (lambda payload: payload) if parse is None else lambda payload: _parsed(lambda: parse(dict(payload)))


def _class_prepare(payloads: type[ApiPayload]) -> Callable[[Payload], Payload]:
    def prepare(payload: Payload) -> Payload:
        read = _parsed(lambda: payloads.from_json_msg(dict(payload)))
        if read.generate_payload_multipart() is not None:
            raise BadPayload("payload", "this route sends a form to its server, which this worker does not")
        return _parsed(read.generate_payload_json)  # type: ignore[no-any-return]

    return prepare


def _parsed(parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except Exception as exc:  # the file's own function; JsonDataException says what is wrong, of others their kind must do
        told = getattr(exc, "message", None)
        if isinstance(told, dict) and told:
            field = str(next(iter(told)))
            raise BadPayload(field, str(told[field])) from exc
        raise BadPayload("payload", f"the parser of this route refused it: {type(exc).__name__}") from exc


def _calling(call: Callable[..., Awaitable[Any]]) -> Callable[[Server, Payload], Awaitable[Answer]]:
    async def serve(_server: Server, payload: Payload) -> Answer:
        await asyncio.sleep(0)  # a function that waits for nothing would let nobody else run while it is measured
        try:
            result = await call(**payload)
            return Answer(status=200, body=json.dumps({"result": result}).encode())
        except Exception as exc:  # noqa: BLE001 - as in _counted
            _log.exception("a remote function failed")
            return Answer(status=500, body=json.dumps({"error": f"the function failed: {type(exc).__name__}"}).encode())

    return serve


def _responding(
    make: Callable[[Any, Any], Awaitable[Any]],
) -> Callable[[web.BaseRequest, ClientResponse], Awaitable[web.StreamResponse]]:
    async def respond(request: web.BaseRequest, reply: ClientResponse) -> web.StreamResponse:
        from aiohttp import web  # noqa: PLC0415 - the rest of this module is needed before the worker serves anything

        try:
            response: web.StreamResponse = await make(request, reply)
        except Exception as exc:  # noqa: BLE001 - as in _counted
            _log.exception("a response could not be made")
            return web.json_response({"error": f"the response could not be made: {type(exc).__name__}"}, status=500)
        return response

    return respond
