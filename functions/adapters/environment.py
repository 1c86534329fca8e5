"""The functions' environment variables, read once when a handler is imported. A missing one stops the function, by its name."""

from __future__ import annotations

from collections.abc import Mapping


class Misconfigured(Exception):
    """The function was deployed without something that it needs; nothing can be served until that is mended."""


def required(environ: Mapping[str, str], name: str) -> str:
    """Return a variable that must be there. Raises Misconfigured."""
    value = environ.get(name, "")
    if not value:
        raise Misconfigured(f"the environment variable {name} is missing: deploy the stack again")
    return value
