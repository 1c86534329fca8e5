"""What the route function is measured beside: a handler that does nothing, which is what the runtime itself costs."""

from __future__ import annotations

from typing import Any


def nothing(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer as short as a Function URL allows."""
    assert event, context
    return {"statusCode": 200, "body": "{}"}
