"""Makes and unmakes single resources, and reports what it does.

Everything that a provider adds of itself is added here: default tags on what can have tags, and a
clear error with the resource's URN around whatever AWS answers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.aws.errors import SandboxFault, UnsupportedResource
from sandbox.aws.plan import PlannedResource, Resource, ResourceEvent, Step
from sandbox.aws.resources import KINDS
from sandbox.aws.resources.kind import Cloud, Creation, Deletion, Kind, Made
from sandbox.aws.settings import StackSettings

DEFAULT_TAGS_KEY: Final = "aws:defaultTags"

Report = Callable[[ResourceEvent], None]


def kind_of(planned: PlannedResource) -> Kind:
    """Give the kind of a resource; raises `UnsupportedResource`, naming the type."""
    if planned.type not in KINDS:
        raise UnsupportedResource(f"{planned.urn}: the sandbox does not know the resource type {planned.type}")
    return KINDS[planned.type]


class Maker:
    """Makes resources in a cloud, from several threads at a time; `report` is called by one at a time."""

    def __init__(self, cloud: Cloud, settings: StackSettings, report: Report) -> None:
        self.cloud = cloud
        self._settings = settings
        self._default_tags = _default_tags(settings)
        self._report = report
        self._lock = threading.Lock()

    def say(self, step: Step, planned: PlannedResource, elapsed_s: float = 0.0) -> None:
        """Report a step."""
        with self._lock:
            self._report(ResourceEvent(step=step, type=planned.type, name=planned.name, urn=planned.urn, elapsed_s=elapsed_s))

    def make(self, planned: PlannedResource) -> Resource:
        """Create a resource; raises `SandboxFault`, naming it, when AWS refuses."""
        self.say(Step.CREATING, planned)
        started_s = time.monotonic()
        kind, tags = kind_of(planned), self._tags(planned)
        with self._faults_named(planned):
            made = kind.create(self._creation(planned, tags))
        self.say(Step.CREATED, planned, time.monotonic() - started_s)
        return _existing(planned, made, {"tagsAll": tags, "region": self.cloud.region})

    def unmake(self, resource: Resource, *, unprotect: bool) -> None:
        """Delete a resource, or leave it where the program says so; raises `SandboxFault`, naming it."""
        if resource.retain:
            self.say(Step.RETAINED, resource)
            return
        self.say(Step.DELETING, resource)
        started_s = time.monotonic()
        deletion = Deletion(resource=resource, cloud=self.cloud, unprotect=unprotect)
        with self._faults_named(resource):
            kind_of(resource).delete(deletion)
        self.say(Step.DELETED, resource, time.monotonic() - started_s)

    def _creation(self, planned: PlannedResource, tags: Mapping[str, str]) -> Creation:
        return Creation(
            urn=planned.urn,
            name=planned.name,
            inputs=planned.inputs,
            tags=tags,
            cloud=self.cloud,
            program_dir=self._settings.program_dir,
        )

    def _tags(self, planned: PlannedResource) -> dict[str, str]:
        return {**self._default_tags, **planned.inputs.get("tags", {})}

    @contextlib.contextmanager
    def _faults_named(self, planned: PlannedResource) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as exc:
            # A dead emulator explains every connection error, and better.
            self.cloud.ensure_alive()
            raise SandboxFault(f"{planned.urn}: {exc}") from exc


def _existing(planned: PlannedResource, made: Made, provided: Mapping[str, Any]) -> Resource:
    values = {field.name: getattr(planned, field.name) for field in dataclasses.fields(PlannedResource)}
    return Resource(**values, id=made.id, outputs={**provided, **made.outputs})


def _default_tags(settings: StackSettings) -> dict[str, str]:
    configured = json.loads(settings.config.get(DEFAULT_TAGS_KEY, "{}"))
    return dict(configured.get("tags", {}))
