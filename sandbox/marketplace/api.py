"""The API without a socket: a request in, a reply out.

`Api.handle` is everything the marketplace does with one HTTP request, in this order: find the route, authenticate, parse, count
the call and see what fault it meets, check the rate, act, and perhaps lose the answer. It is pure like the world below it, so a
simulation can drive a client against it through a fake transport, and a socket server only moves bytes.

Keys: the account's key may do everything; each instance's own key may show, start, stop and destroy that instance. A key is taken
from `Authorization: Bearer`, else the query's `api_key`, else the body's.
"""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sandbox.marketplace.errors import Refused, bad_key, bad_query, bad_request, invalid_id, no_such_instance, not_found
from sandbox.marketplace.fault_plan import Drawn
from sandbox.marketplace.faults import AnswerFault, Operation
from sandbox.marketplace.instance import Contract
from sandbox.marketplace.process_port import NoProcesses, Processes
from sandbox.marketplace.serverless import Serverless
from sandbox.marketplace.templates import Templates
from sandbox.marketplace.world import World

BODY_BYTES_MAX: Final = 256 * 1024
JSON_TYPE: Final = "application/json"
TEXT_TYPE: Final = "text/plain"
SERVER_ERRORS: Final = (500, 502, 503, 504)
TOO_FREQUENT_SHAPES: Final[Sequence[Callable[[str], object]]] = (
    lambda text: {"detail": text},
    lambda text: {"success": False, "error": "rate_limit_exceeded", "msg": text},
)
_DAY_S: Final = 86_400
LOG_RESULTS_MAX: Final = 256
_LOST_BEFORE: Final = frozenset(
    {
        AnswerFault.RATE_LIMITED,
        AnswerFault.RATE_LIMITED_JSON,
        AnswerFault.SEARCH_QUOTA_EXCEEDED,
        AnswerFault.SERVER_ERROR_BEFORE,
        AnswerFault.DROPPED_BEFORE,
    },
)
_LOST_AFTER: Final = frozenset({AnswerFault.SERVER_ERROR_AFTER, AnswerFault.DROPPED_AFTER})
_ID_CHARS_MAX: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request. `query` holds the first value of each name; `host` is where the caller reached us (`127.0.0.1:8000`)."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    authorization: str | None = None
    body: bytes = field(default=b"", repr=False)
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP reply, `delay_s` (of the wall) after its request; `dropped` means the connection is cut instead of answering."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    content_type: str = JSON_TYPE
    dropped: bool = False
    delay_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An authenticated, parsed request, as handlers see it. `ids` are the path's numbers; `key` is unchecked on an open route."""

    api: Api
    request: Request
    ids: tuple[int, ...]
    body: Mapping[str, object]
    drawn: Drawn
    now_s: float
    key: str = field(default="", repr=False)

    @property
    def world(self) -> World:
        """The marketplace."""
        return self.api.world

    @property
    def by_account(self) -> bool:
        """Whether the account's own key was shown, which may do everything."""
        return hmac.compare_digest(self.key.encode(), self.api.api_key.encode())

    def live(self) -> Contract:
        """Return the instance that the path names. Raises Refused (404)."""
        contract = self.world.show(self.ids[0], self.now_s)
        if contract is None:
            raise no_such_instance(self.ids[0])
        return contract

    def query_json(self, name: str, default: object) -> object:
        """Return a query parameter, JSON-decoded. Raises Refused (400)."""
        text = self.request.query.get(name)
        if text is None:
            return default
        try:
            return decode(text)
        except (ValueError, RecursionError) as exc:
            raise bad_query(f"Error in query parameters: {name} is not JSON") from exc


Handler = Callable[[Call], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What one method on one path does. `interval_s` is the documented least time between two calls of one caller.

    `operation` is how faults count it, a function where that depends on the body, None for what faults never meet. `open` needs
    no key; `instance_key` lets an instance's own key in.
    """

    handler: Handler
    operation: Operation | Callable[[Mapping[str, object]], Operation] | None
    interval_s: float = 0.0
    open: bool = False
    instance_key: bool = False


Routes = Mapping[tuple[str, str], Route]


@dataclass(slots=True, kw_only=True)
class Api:
    """The marketplace's face. `rate_limits` enforces the documented intervals, on the world's clock."""

    world: World
    api_key: str = field(repr=False)
    routes: Routes
    processes: Processes = field(default_factory=NoProcesses)
    rate_limits: bool = False
    templates: Templates = field(default_factory=Templates)
    serverless: Serverless = field(init=False)
    logs: dict[str, str] = field(default_factory=dict, repr=False)
    _last_call_s: dict[tuple[str, str, str], float] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Begin with no endpoints."""
        self.serverless = Serverless(secret=self.api_key, templates=self.templates)

    def handle(self, request: Request, *, now_s: float) -> Reply:
        """Answer one request at world time `now_s`."""
        try:
            return self._answer(request, now_s)
        except Refused as refused:
            return _json(refused.wire(), status=refused.status)

    def _answer(self, request: Request, now_s: float) -> Reply:
        pattern, ids = split_path(request.path)
        route = self.routes.get((request.method, pattern))
        if route is None:
            raise invalid_id() if (request.method, _with_id(pattern)) in self.routes else not_found(request.path)
        key, body = self._authenticate(request, route, ids)
        call = Call(api=self, request=request, ids=ids, body=body, drawn=self._draw(route, body), now_s=now_s, key=key)
        try:
            reply = self._act(route, call, (request.method, pattern, key))
        except Refused as refused:
            reply = _json(refused.wire(), status=refused.status)
        delay_s = 0.0 if route.operation is None else self.world.plan.draw_latency_s(call.drawn.answer)
        return replace(reply, delay_s=delay_s) if delay_s else reply

    def _act(self, route: Route, call: Call, caller: tuple[str, str, str]) -> Reply:
        """Meet the call's fault, or do what was asked. Raises Refused."""
        if call.drawn.answer in _LOST_BEFORE:
            return self._lost(call, route)
        if self.rate_limits and self._too_soon(caller, route, call.now_s):
            return self._too_frequent(route.interval_s)
        if call.drawn.answer is AnswerFault.CREDIT_EXHAUSTED:
            self.world.exhaust_credit(call.now_s)
        if call.drawn.answer in _LOST_AFTER:
            return self._act_and_lose(route, call)
        return _reply(route.handler(call))

    def _authenticate(self, request: Request, route: Route, ids: tuple[int, ...]) -> tuple[str, Mapping[str, object]]:
        """Return the caller's key and the parsed body; the body is parsed first only if the key can be nowhere else."""
        if route.open:
            body = _parse(request.body)
            return _bearer(request.authorization) or request.query.get("api_key") or str(body.get("api_key") or ""), body
        key = _bearer(request.authorization) or request.query.get("api_key")
        if key is not None:
            self._check_key(key, route, ids)
            return key, _parse(request.body)
        body = _parse(request.body)
        key = str(body.get("api_key") or "")
        self._check_key(key, route, ids)
        return key, body

    def _check_key(self, key: str, route: Route, ids: tuple[int, ...]) -> None:
        if hmac.compare_digest(key.encode(), self.api_key.encode()):
            return
        contract = self.world.contracts.live.get(ids[0]) if route.instance_key and ids else None
        if contract is None or not hmac.compare_digest(key.encode(), contract.instance_key.encode()):
            raise bad_key()

    def _draw(self, route: Route, body: Mapping[str, object]) -> Drawn:
        if route.operation is None:
            return Drawn()
        return self.world.plan.begin(route.operation if isinstance(route.operation, Operation) else route.operation(body))

    def _too_soon(self, caller: tuple[str, str, str], route: Route, now_s: float) -> bool:
        last_s = self._last_call_s.get(caller)
        if last_s is not None and now_s - last_s < route.interval_s:
            return True
        self._last_call_s[caller] = now_s
        return False

    def _act_and_lose(self, route: Route, call: Call) -> Reply:
        try:
            route.handler(call)
        except Refused:
            # Nothing happened, and nobody will be told that either.
            return self._lost(call, route)
        return self._lost(call, route)

    def _lost(self, call: Call, route: Route) -> Reply:
        match call.drawn.answer:
            case AnswerFault.RATE_LIMITED:
                return self._too_frequent(route.interval_s)
            case AnswerFault.RATE_LIMITED_JSON:
                return self._too_frequent(route.interval_s, encode_as=self.world.plan.rng.choice(TOO_FREQUENT_SHAPES))
            case AnswerFault.SEARCH_QUOTA_EXCEEDED:
                return _quota_exceeded(call.now_s)
            case AnswerFault.DROPPED_BEFORE | AnswerFault.DROPPED_AFTER:
                return Reply(dropped=True)
            case _:
                status = self.world.plan.rng.choice(SERVER_ERRORS)
                return Reply(status=status, body=f"<html>{status} Server Error</html>".encode(), content_type="text/html")

    def _too_frequent(self, interval_s: float, *, encode_as: Callable[[str], object] | None = None) -> Reply:
        """The documented plain text with its odd colon, or one of the JSON objects that the same documents show elsewhere."""
        wait_s = self.world.plan.options.retry_after_s
        headers = {} if wait_s is None else {"Retry-After": f"{wait_s:g}"}
        if encode_as is not None:
            told = encode(encode_as(f"API requests too frequent endpoint threshold={interval_s:.1f}"))
            return Reply(status=429, body=told, headers=headers)
        text = "API requests too frequent" + (f": endpoint threshold={interval_s}" if interval_s else "")
        return Reply(status=429, body=text.encode(), content_type=TEXT_TYPE, headers=headers)


def split_path(path: str) -> tuple[str, tuple[int, ...]]:
    """Return the route's pattern and the numbers in it: `/api/v0/asks/12/` is `v0/asks/#` and 12. Final slashes do not matter."""
    ids: list[int] = []
    words: list[str] = []
    for word in path.strip("/").removeprefix("api/").split("/"):
        number = word.isascii() and word.isdigit() and len(word) <= _ID_CHARS_MAX
        if number:
            ids.append(int(word))
        words.append("#" if number else word)
    # Only fetched logs are addressed by a name of their own.
    pattern = f"{words[0]}/*" if len(words) == 2 and words[0] == "instance_logs" else "/".join(words)
    return pattern, tuple(ids)


def _with_id(pattern: str) -> str:
    """Return the pattern with a number for its last word."""
    return f"{pattern.rpartition('/')[0]}/#"


def decode(text: str | bytes) -> object:
    """Return what JSON says. Raises ValueError, also for numbers that JSON has no word for, which no answer could repeat."""
    return json.loads(text, parse_float=_finite, parse_constant=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def encode(payload: object) -> bytes:
    """Return compact JSON."""
    return json.dumps(payload, separators=(",", ":")).encode()


def _parse(body: bytes) -> Mapping[str, object]:
    if len(body) > BODY_BYTES_MAX:
        raise bad_request(f"error 400: a body has at most {BODY_BYTES_MAX} bytes")
    if not body.strip():
        return {}
    try:
        parsed = decode(body)
    except (ValueError, RecursionError) as exc:
        raise bad_request("Invalid json body") from exc
    if not isinstance(parsed, dict):
        raise bad_request("Invalid json body")
    return parsed


def _bearer(authorization: str | None) -> str | None:
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else None


def _reply(payload: object) -> Reply:
    if isinstance(payload, Reply):
        return payload
    return Reply(body=payload) if isinstance(payload, bytes) else _json(payload)


def _json(payload: object, *, status: int = 200) -> Reply:
    return Reply(status=status, body=encode(payload))


def _quota_exceeded(now_s: float) -> Reply:
    """The daily number of searches is used up; the header says when the next day begins (UTC)."""
    resets_s = (int(now_s) // _DAY_S + 1) * _DAY_S
    told = {"success": False, "error": "search_quota_exceeded", "msg": "Daily search quota exceeded."}
    return Reply(status=429, body=encode(told), headers={"X-RateLimit-Reset": str(resets_s)})
