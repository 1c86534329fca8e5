"""Runs a Pulumi program against the emulator, and takes down again what it made.

As `pulumi up`: first a preview, which creates nothing and over whose resources the policies are asked;
then the update. In the preview some inputs are unknown, since they come from resources that do not
exist yet; the policies see such a resource a second time in the update, complete, just before it is
made. So each is judged complete before it exists, and the stack as a whole before anything does.

Every run has a context of its own, so that nothing of it (settings, configuration, pending calls)
is left in the process for the next one.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pulumi.runtime import mocks
from pulumi.runtime.config import set_all_config
from pulumi.runtime.settings import Settings, configure
from pulumi.runtime.stack import run_in_stack

from sandbox.aws.destruction import next_to_delete
from sandbox.aws.errors import (
    DeploymentFailed,
    DestroyStopped,
    EmulatorFailed,
    ResourceProtected,
    SandboxFault,
    StackRefused,
    UnsupportedResource,
)
from sandbox.aws.inputs import unknown_paths
from sandbox.aws.maker import Maker, Report
from sandbox.aws.monitor import Admit, SandboxMonitor
from sandbox.aws.plan import PlannedResource, Resource, ResourceEvent, StackOutput
from sandbox.aws.resources.kind import Cloud
from sandbox.aws.settings import StackSettings

REGION_KEY: Final = "aws:region"
ORGANIZATION: Final = "sandbox"

Program = Callable[[], None]
Check = Callable[[Sequence[PlannedResource]], Sequence[str]]
"""Judges resources; gives back the violations, in words for a person. See the module's docstring
for when it is asked: with all resources of the preview, and then with single ones."""

_log = logging.getLogger(__name__)


def _ignore(_event: ResourceEvent) -> None:
    """Take an event that nobody watches for."""


def _allow(_resources: Sequence[PlannedResource]) -> Sequence[str]:
    """Find no violation."""
    return ()


class Deployment:
    """What a program made: `resources` still standing, in order of creation, and the stack's `outputs`."""

    def __init__(self, maker: Maker, standing: Mapping[str, Resource], outputs: Mapping[str, StackOutput]) -> None:
        self.outputs = dict(outputs)
        self._maker = maker
        self._standing = dict(standing)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """What stands now."""
        return tuple(self._standing.values())

    def destroy(self, *, unprotect: bool = False) -> None:
        """Delete everything, dependents first; see `destruction` for the order.

        `unprotect` says that the stack is being torn down on purpose: it overrides `protect`, and
        deletion protection where the resource itself has it. Raises `ResourceProtected` before
        anything is deleted, `DestroyStopped` at the first deletion that fails, and `EmulatorFailed`.
        Called again it goes on with what stands.
        """
        if not unprotect:
            self._refuse_if_protected()
        while self._standing:
            self._delete_together(next_to_delete(self._standing), unprotect=unprotect)

    def _refuse_if_protected(self) -> None:
        if protected := [resource.urn for resource in self.resources if resource.protect]:
            raise ResourceProtected(f"protected: {', '.join(protected)}")

    def _delete_together(self, resources: Sequence[Resource], *, unprotect: bool) -> None:
        """Delete at the same time; one that fails leaves the others to finish first."""
        with ThreadPoolExecutor(max_workers=len(resources)) as pool:
            deletions = [pool.submit(self._delete, resource, unprotect=unprotect) for resource in resources]
        for deletion in deletions:
            deletion.result()

    def _delete(self, resource: Resource, *, unprotect: bool) -> None:
        try:
            self._maker.unmake(resource, unprotect=unprotect)
        except EmulatorFailed:
            raise
        except SandboxFault as exc:
            raise DestroyStopped(str(exc)) from exc
        del self._standing[resource.urn]


def deploy(
    program: Program,
    settings: StackSettings,
    *,
    cloud: Cloud,
    check: Check = _allow,
    on_resource: Report = _ignore,
) -> Deployment:
    """Preview the program, have the stack checked, and make it.

    `program` is called twice and declares the same both times. `on_resource` hears of every step of
    this deployment, its destruction included.

    Raises `StackRefused` if `check` finds violations in the preview, `UnsupportedResource` or
    `InvalidInputs` for what the preview already shows to be wrong, whatever the program raises in the
    preview (all of them before anything is created), `DeploymentFailed` with what exists by then when
    the update stops, and `EmulatorFailed`.
    """
    _require_region(settings, cloud)
    maker = Maker(cloud, settings, on_resource)
    planned = _preview(program, settings, maker)
    _refuse_if_violated(check, planned)
    judged = frozenset(resource.urn for resource in planned if resource.is_known)
    return _update(program, settings, maker, _gate(check, judged))


def _preview(program: Program, settings: StackSettings, maker: Maker) -> list[PlannedResource]:
    planned: list[PlannedResource] = []
    # Appending to a list is atomic, and the order between threads is of no account.
    _run(program, settings, SandboxMonitor(maker, settings, makes=False, admit=planned.append), dry_run=True)
    return planned


def _update(program: Program, settings: StackSettings, maker: Maker, admit: Admit) -> Deployment:
    monitor = SandboxMonitor(maker, settings, makes=True, admit=admit)
    try:
        _run(program, settings, monitor, dry_run=False)
        _require_known(monitor.outputs)
    except EmulatorFailed:
        raise
    except Exception as exc:
        # Whatever a program raises: what exists by then must not be lost.
        partial = Deployment(maker, monitor.made, monitor.outputs)
        raise DeploymentFailed(str(exc), partial=partial) from exc
    return Deployment(maker, monitor.made, monitor.outputs)


def _run(program: Program, settings: StackSettings, monitor: SandboxMonitor, *, dry_run: bool) -> None:
    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(_note_unawaited)
        configure(
            Settings(
                project=settings.project,
                stack=settings.stack,
                organization=ORGANIZATION,
                root_directory=str(settings.root_dir),
                monitor=monitor,
                engine=mocks.MockEngine(_log),
                dry_run=dry_run,
            )
        )
        set_all_config(dict(settings.config), sorted(settings.secret_keys))
        await run_in_stack(program)

    contextvars.Context().run(asyncio.run, run())


def _note_unawaited(_loop: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
    """Keep quiet: a resource that fails also fails every output built from it, which nobody awaits any more."""
    _log.debug("%s: %s", context.get("message"), context.get("exception"))


def _gate(check: Check, judged: frozenset[str]) -> Admit:
    """Have those resources judged that were not complete in the preview, or not there at all."""

    def admit(resource: PlannedResource) -> None:
        if resource.urn not in judged:
            _refuse_if_violated(check, [resource])

    return admit


def _refuse_if_violated(check: Check, resources: Sequence[PlannedResource]) -> None:
    if violations := check(resources):
        raise StackRefused(violations)


def _require_region(settings: StackSettings, cloud: Cloud) -> None:
    region = settings.config.get(REGION_KEY, cloud.region)
    if region != cloud.region:
        raise UnsupportedResource(f"the stack is for {region}, the emulator for {cloud.region}")


def _require_known(outputs: Mapping[str, StackOutput]) -> None:
    values = {name: output.value for name, output in outputs.items()}
    if paths := list(unknown_paths(values)):
        raise UnsupportedResource(f"exports built from an output that the sandbox does not give: {', '.join(paths)}")
