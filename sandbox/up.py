"""`python -m sandbox up`: the same system, staying up until Ctrl-C, with commands to paste."""

from __future__ import annotations

import threading

from rich.console import Console

from sandbox.demo import TROUBLE
from sandbox.system import LLM, System, SystemSettings

LOOK_S = 0.5


def run_sandbox(settings: SystemSettings, *, console: Console) -> int:
    """Deploy, print the ways in, stay until interrupted, destroy. Return the exit status."""
    try:
        with System(settings) as system:
            system.deploy(lambda _event: None)
            console.print(invitation(system), markup=False, highlight=False, soft_wrap=True)
            _stay(system)
            console.print("Destroying the stack: every instance is released first.")
            system.destroy(lambda _event: None)
            left = system.marketplace.open_contracts()
    except TROUBLE as exc:
        console.print(f"The sandbox ended: {exc}" if str(exc) else "Interrupted.", markup=False, style="bold red")
        return 1
    console.print(f"Instances left on the marketplace: {len(left)}.")
    return 1 if left else 0


def invitation(system: System) -> str:
    """Return what a person needs to use the system: addresses, a key, and both steps as shell commands."""
    return f"""
The sandbox is up: {system.resources} resources deployed, no GPU rented yet. Ctrl-C ends it and leaves nothing behind.

  route URL     {system.route_url}/route/
  report URL    {system.report_url}
  marketplace   {system.marketplace.url}
  API key       {system.api_key}

Step 1: ask for a worker. The first time one is rented, booted and measured; ask again by the same number until it is there.

IDX=0
until TICKET=$(curl -s {system.route_url}/route/ -H 'Authorization: Bearer {system.api_key}' \\
    -d "{{\\"endpoint\\": \\"{LLM}\\", \\"cost\\": 64, \\"request_idx\\": $IDX}}")
  echo "$TICKET"; echo "$TICKET" | grep -q '"url"'
do
  IDX=$(echo "$TICKET" | sed 's/.*"request_idx": *\\([0-9]*\\).*/\\1/')
  sleep 2
done

Step 2: call the worker itself, with the ticket and the payload (within its lifetime, and once).

curl -sN "$(echo "$TICKET" | sed 's/.*"url": *"\\([^"]*\\)".*/\\1/')/generate_stream" -H 'Content-Type: application/json' \\
    -d "{{\\"auth_data\\": $TICKET, \\"payload\\": {{\\"inputs\\": \\"Hello\\", \\"parameters\\": {{\\"max_new_tokens\\": 64}}}}}}"
"""


def _stay(system: System) -> None:
    """Return at Ctrl-C. Raises SystemDied."""
    try:
        while True:
            system.ensure_alive()
            threading.Event().wait(LOOK_S)
    except KeyboardInterrupt:
        return
