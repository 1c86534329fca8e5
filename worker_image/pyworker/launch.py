"""The command: check the environment, then run the worker, or else say what was wrong to whoever can hear it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyworker.settings import BadEnvironment, read_environment

if TYPE_CHECKING:
    from pyworker.settings import Identity

EXIT_BAD_ENVIRONMENT: Final = 2
EXIT_CANNOT_LISTEN: Final = 3

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
            asyncio.run(_report_failure(exc.identity, f"bad environment: {exc}"))
        return EXIT_BAD_ENVIRONMENT
    # Imported only now: half a second of HTTP machinery that a bad environment does not need.
    from pyworker.worker import CannotListen, Worker  # noqa: PLC0415

    async def run() -> None:
        await Worker(identity, settings).run()

    try:
        asyncio.run(run())
    except CannotListen as exc:
        asyncio.run(_report_failure(identity, str(exc)))
        return EXIT_CANNOT_LISTEN
    return 0


async def _report_failure(identity: Identity, reason: str) -> None:
    """Report an error until told to stop. A container that ended would be started again, and fail again, unseen."""
    from pyworker.clock import RouterClock  # noqa: PLC0415 - as in main
    from pyworker.controlplane import ControlPlane  # noqa: PLC0415
    from pyworker.ledger import Ledger  # noqa: PLC0415
    from pyworker.reporter import Reporter  # noqa: PLC0415
    from pyworker.standing import Standing  # noqa: PLC0415

    standing, control_plane = Standing(secrets={identity.token}), ControlPlane(identity)
    standing.fail(reason)
    reporter = Reporter(identity, control_plane=control_plane, standing=standing, ledger=Ledger(), clock=RouterClock())
    reporting = asyncio.create_task(reporter.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, reporting.cancel)
    await asyncio.wait({reporting})
    await control_plane.close()
