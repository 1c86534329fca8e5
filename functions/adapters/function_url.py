"""Lambda Function URLs, payload version 2.0: events to requests, replies to results.

Nothing is decoded before it is asked for, so that a caller can be refused by a header before its body costs anything.
Source of the shape: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from protocol.canonical import MalformedJson, parse_object
from protocol.problem import Problem, RequestRefused

JSON_HEADERS: Final = {"content-type": "application/json", "cache-control": "no-store"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request. `path` ends with a slash; header names are lower case; `text` is the body as it came, repr hides it all."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False)
    is_base64: bool = field(default=False, repr=False)

    @classmethod
    def of_event(cls, event: Mapping[str, Any]) -> HttpRequest:
        """Read the event of a Function URL."""
        http = event["requestContext"]["http"]
        return cls(
            method=http["method"],
            path=event["rawPath"].rstrip("/") + "/",
            headers=event.get("headers") or {},
            query=event.get("queryStringParameters") or {},
            text=event.get("body") or "",
            is_base64=bool(event.get("isBase64Encoded")),
        )

    def bearer(self) -> str | None:
        """Return the token of the Authorization header, None if there is no such header."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    def basic_password(self) -> str | None:
        """Return the password of a Basic Authorization header, None if there is no such header or it cannot be read."""
        scheme, _, encoded = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            return base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return None

    def json_object(self, *, size_max: int) -> dict[str, Any]:
        """Return the body's JSON object of at most `size_max` bytes. Raises RequestRefused (413, 400)."""
        body = self._body(size_max)
        if len(body) > size_max:
            raise _too_large(size_max)
        try:
            return parse_object(body, size_max=size_max)
        except MalformedJson as exc:
            raise _not_json(str(exc)) from exc

    def _body(self, size_max: int) -> bytes:
        if not self.is_base64:
            return self.text.encode(errors="surrogatepass")
        if len(self.text) > 2 * size_max:  # base64 adds a third; what is far over is not even decoded
            raise _too_large(size_max)
        try:
            return base64.b64decode(self.text, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise _not_json("body is not valid base64") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """One reply: a JSON object, the list that some of Vast's clients demand, or a text that is sent as it is.

    `outcome` (a short code) and `facts` are for the log and the metrics; they are not sent.
    """

    status: int
    body: Any
    outcome: str
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str | float] = field(default_factory=dict)

    def result(self, **added: str) -> dict[str, Any]:
        """Return what the function answers, with these keys added to the body if it is an object."""
        body = {**self.body, **added} if isinstance(self.body, Mapping) else self.body
        text = body if isinstance(body, str) else json.dumps(body, separators=(",", ":"), allow_nan=False)
        return {"statusCode": self.status, "headers": {**JSON_HEADERS, **self.headers}, "body": text}


def refusal(problem: Problem) -> HttpReply:
    """Return the reply that tells a problem."""
    headers = {"www-authenticate": "Bearer"} if problem.status == _UNAUTHORIZED else {}
    if problem.retry_after_s is not None:
        headers["retry-after"] = str(problem.retry_after_s)
    return HttpReply(status=problem.status, body=problem.wire(), outcome=problem.code, headers=headers)


def check_path(request: HttpRequest, methods: Mapping[str, str]) -> None:
    """Refuse what is not one of these paths with its method. Raises RequestRefused (404, 405)."""
    method = methods.get(request.path)
    if method is None:
        message = "there is nothing at this path"
        raise RequestRefused(Problem(status=404, code="unknown_path", message=message, remedy=f"use one of {', '.join(methods)}"))
    if request.method != method:
        message = f"{request.path} is asked with {method}"
        raise RequestRefused(Problem(status=405, code="wrong_method", message=message, remedy=f"send a {method}"))


STORE_UNAVAILABLE: Final = Problem(
    status=503,
    code="store_unavailable",
    message="the state could not be read or written in time; nothing is wrong with the request",
    remedy="send it again in a few seconds",
)
INTERNAL_ERROR: Final = Problem(status=500, code="internal_error", message="the request met a fault of ours, which has been logged")

_UNAUTHORIZED: Final = 401


def _too_large(size_max: int) -> RequestRefused:
    message, remedy = f"the body may have at most {size_max} bytes", "send less; the prompt belongs in the request to the worker"
    return RequestRefused(Problem(status=413, code="body_too_large", message=message, remedy=remedy))


def _not_json(message: str) -> RequestRefused:
    remedy = "send one JSON object in UTF-8, every field once"
    return RequestRefused(Problem(status=400, code="invalid_json", message=message, remedy=remedy))
