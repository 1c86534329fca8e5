"""Lines of the web frames that servers stand on: uvicorn (transformers serve, llama-cpp-python, FastAPI), gunicorn, Flask.

Uvicorn's "Application startup complete." is no sign: it comes before the port is bound, also where the port is taken.
"""

from __future__ import annotations

from typing import Final

from pyworker.logwatch import LogRules

LOG_RULES: Final = LogRules(
    ready=(r"Uvicorn running on (?:http|unix).*", r"Listening at: http.*", r"\* Running on http.*"),
    fatal=(
        r"(?:OSError: )?\[Errno 98\] .*address already in use.*",
        r"\[Errno 98\] Address already in use",
        r"Connection in use: .*",
        r"Address already in use",
    ),
    request_error=(r"Exception in ASGI application", r"ASGI callable returned without completing response\."),
    loading=(r"\[transformers\] Loading .*", r"Started server process \[\d+\]", r"Application startup complete\."),
)
