"""Events of a Lambda Function URL, payload version 2.0, as AWS documents them."""

from __future__ import annotations

import base64
import json
from typing import Any


def an_event(
    path: str,
    body: Any = None,
    *,
    method: str = "POST",
    bearer: str | None = None,
    accept: str | None = None,
    query: dict[str, str] | None = None,
    as_base64: bool = False,
) -> dict[str, Any]:
    """Return an event; a body that is not text is sent as JSON."""
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "x-amzn-trace-id": "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e"},
        "requestContext": {
            "accountId": "anonymous",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.1", "userAgent": "agent"},
            "requestId": "id",
        },
        "isBase64Encoded": as_base64,
    }
    if bearer is not None:
        event["headers"]["authorization"] = f"Bearer {bearer}"
    if accept is not None:
        event["headers"]["accept"] = accept
    if query is not None:
        event["queryStringParameters"] = query
    if body is not None:
        event["body"] = _text(body, as_base64=as_base64)
    return event


def _text(body: Any, *, as_base64: bool) -> str:
    text = body if isinstance(body, str) else json.dumps(body)
    return base64.b64encode(text.encode()).decode() if as_base64 else text
