"""`python -m sandbox demo`: deploy, tell the story, destroy, account for everything. Exit status 0 only if all of it happened."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, Final

import requests
from rich.console import Console
from rich.table import Table

from client.errors import HeadgateError
from functions.ports import PortError
from sandbox.aws.errors import SandboxFault
from sandbox.aws.plan import ResourceEvent, Step
from sandbox.market_process import MarketplaceFailed
from sandbox.scenario.display import Display, Outcome, display_for
from sandbox.scenario.facts import Facts, StepFailed, percentile, require
from sandbox.scenario.load import IN_FLIGHT_MAX, LoadGenerator
from sandbox.scenario.story import Story
from sandbox.scenario.view import MICRO_USD
from sandbox.scenario.watch import Watch
from sandbox.system import HELLO, LLM, System, SystemDied, SystemSettings

# What can go wrong with a running system; anything else is a bug, and shows itself as one.
TROUBLE: Final = (
    StepFailed,
    SystemDied,
    SandboxFault,
    MarketplaceFailed,
    HeadgateError,
    PortError,
    requests.RequestException,
    KeyboardInterrupt,
)
# The table's prices are those of the offer and count from the intent; the ledger counts GPU time from the moment a container runs.
BILL_ERROR_MAX: Final = 0.35


def run_demo(settings: SystemSettings, *, console: Console, facts_file: Path | None) -> int:
    """Run the whole demo; return the exit status."""
    facts, started_s = Facts(), time.monotonic()
    try:
        with System(settings) as system, display_for(console) as display:
            _play(system, display, facts, seed=settings.seed)
        facts.passed = True
    except TROUBLE as exc:
        facts.failure = str(exc) or "interrupted"
    facts.record(total_seconds=round(time.monotonic() - started_s, 1))
    _print_summary(console, facts)
    if facts_file is not None:
        facts.write(facts_file)
    return 0 if facts.passed else 1


def _play(system: System, display: Display, facts: Facts, *, seed: int) -> None:
    try:
        _deploy(system, display, facts)
        load = LoadGenerator(request=system.generate, rng=random.Random(seed))
        watch = Watch(table=system.table, endpoints=(LLM, HELLO), display=display, figures=load.figures)
        watch.start()
        try:
            Story(system=system, display=display, facts=facts, watch=watch, load=load).tell()
        finally:
            load.halt()
            watch.stop()
            _account(facts, load, watch)
        _destroy(system, display, facts)
        _compare_bills(facts, system, watch)
    except TROUBLE:
        # A part that has died is the better explanation of whatever failed after it.
        system.ensure_alive()
        raise


def _deploy(system: System, display: Display, facts: Facts) -> None:
    display.begin("Deploying the Pulumi program")
    started_s = time.monotonic()
    system.deploy(lambda event: _show(display, event, Step.CREATED))
    seconds = time.monotonic() - started_s
    facts.steps.append({"step": "deploy", "seconds": round(seconds, 2)})
    facts.record(resources=system.resources)
    display.end(Outcome.DONE, f"Deployed {system.resources} resources in {seconds:.1f} s; they violate no policy")


def _destroy(system: System, display: Display, facts: Facts) -> None:
    display.begin("Destroying the stack")
    started_s = time.monotonic()
    system.destroy(lambda event: _show(display, event, Step.DELETED))
    facts.steps.append({"step": "destroy", "seconds": round(time.monotonic() - started_s, 2)})
    left = system.marketplace.open_contracts()
    require(not left, f"the marketplace still bills instances {left}")
    require(system.resources == 0, f"{system.resources} resources still stand")
    display.end(Outcome.DONE, "The stack is destroyed; the marketplace confirms that no instance is left")


def _show(display: Display, event: ResourceEvent, step: Step) -> None:
    if event.step is step:
        display.progress(f"{step} {event.type} {event.name}")


def _account(facts: Facts, load: LoadGenerator, watch: Watch) -> None:
    """Record what can be said at any point, also of a run that failed."""
    figures, waits = load.figures(), [served.first_token_s for served in load.served]
    facts.record(
        requests=figures.succeeded + figures.failed + figures.shed,
        failures=figures.failed + figures.shed,
        errors={**load.errors, **({f"not sent, since {IN_FLIGHT_MAX} were under way": figures.shed} if figures.shed else {})},
        first_token_s={f"p{share}": round(percentile(waits, share / 100), 2) for share in (50, 95, 99)},
        peak_ready_workers=dict(watch.peak_ready),
        peak_memory_mb=round(watch.peak_memory_bytes / 1e6),
        estimated_usd=round(watch.estimate_usd, 6),
    )


def _compare_bills(facts: Facts, system: System, watch: Watch) -> None:
    bill = system.marketplace.bill_micro_usd()
    # Traffic (the image's download above all) has no hourly price, so the estimate cannot know it.
    billed_usd = (bill["gpu"] + bill["storage"]) / MICRO_USD
    facts.record(billed_usd=round(billed_usd, 6), billed_traffic_usd=round(bill["bandwidth"] / MICRO_USD, 6))
    facts.record(instances_rented=len(system.marketplace.contracts()))
    require(facts.measured["failures"] == 0, f"{facts.measured['failures']} requests failed: {facts.measured['errors']}")
    error = abs(watch.estimate_usd - billed_usd) / billed_usd if billed_usd else 1.0
    facts.record(estimate_error=round(error, 3))
    require(error <= BILL_ERROR_MAX, f"estimated ${watch.estimate_usd:.4f}, billed ${billed_usd:.4f}")


def _print_summary(console: Console, facts: Facts) -> None:
    told = facts.measured
    table = Table(title="Summary", title_justify="left", show_header=False, show_edge=False)
    for name, text in _rows(told):
        table.add_row(name, text)
    console.print()
    console.print(table)
    verdict = "Everything above really happened." if facts.passed else f"FAILED: {facts.failure}"
    console.print(verdict, style="green" if facts.passed else "bold red", markup=False)


def _rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines of the summary, as far as the run got."""
    texts = {
        "Resources": "{resources} deployed and destroyed",
        "From zero to the first token": "{zero_to_first_token_s} s (boots are compressed to seconds; real ones take minutes)",
        "DynamoDB operations a routed request": "{dynamodb_operations_per_route}",
        "Requests": "{requests}, {failures} failed, {requests_moved} moved off the machine that vanished",
        "Seconds to the first token": "{first_token_s}",
        "Load per dollar": "{load_per_usd}, preferred: {preferred}",
        "Peak of ready workers": "{peak_ready_workers}, of {instances_rented} instances rented",
        "Bill, machines": "${billed_usd} by the marketplace's ledger, ${estimated_usd} by the table's prices",
        "Bill, traffic": "${billed_traffic_usd}",
        "Peak memory, all processes": "{peak_memory_mb} MB",
        "Total": "{total_seconds} s",
    }
    rows: list[tuple[str, str]] = []
    for name, text in texts.items():
        try:
            rows.append((name, text.format(**{key: _plain(value) for key, value in told.items()})))
        except KeyError:
            continue  # the run did not get that far
    return rows


def _plain(value: Any) -> Any:
    """Return a figure as a person reads it; several of them as one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
