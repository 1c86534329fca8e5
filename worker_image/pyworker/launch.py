"""The command: check the environment, then run the worker, or else say what was wrong to whoever can hear it.

Whatever keeps the worker from running (a bad variable, a port that is taken, a library that cannot be imported, a bug) ends in an
error report that goes on until the container is stopped; only a worker that does not know whom to tell ends by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyworker.lastwords import CannotRun, report_failure
from pyworker.settings import BadEnvironment, read_environment

if TYPE_CHECKING:
    from pyworker.settings import Identity, Settings

EXIT_BAD_ENVIRONMENT: Final = 2
EXIT_CANNOT_RUN: Final = 3

_log = logging.getLogger(__name__)


def main() -> int:
    """Run until told to stop; return the exit status."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        identity, settings = read_environment(os.environ, working_directory=Path.cwd())
    except BadEnvironment as exc:
        for problem in exc.problems:
            _log.error("bad environment: %s", problem)
        if exc.identity is not None:
            report_failure(exc.identity, f"bad environment: {exc}")
        return EXIT_BAD_ENVIRONMENT
    try:
        asyncio.run(_run(identity, settings))
    except CannotRun as exc:
        _log.error("%s", exc)
        report_failure(identity, str(exc))
        return EXIT_CANNOT_RUN
    except Exception as exc:  # noqa: BLE001 - the outermost edge: a worker never dies silently
        _log.exception("internal error")
        report_failure(identity, f"internal error: {type(exc).__name__}")
        return EXIT_CANNOT_RUN
    return 0


async def _run(identity: Identity, settings: Settings) -> None:
    # Imported only now: half a second of HTTP machinery that a bad environment does not need, and whose failure can be reported.
    from pyworker.worker import Worker  # noqa: PLC0415

    await Worker(identity, settings).run()
