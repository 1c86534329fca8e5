"""The files that ship are right: the project's schema, the example that explains it, and the sandbox's stack."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_core import PydanticUndefined

from infra.autogroup_settings import AutogroupSettings
from infra.config import NAMESPACE, StackSettings, parse_stack_file
from infra.endpoint_settings import EndpointSettings
from sandbox.aws.settings import read_settings
from tests.infra.stack_files import endpoint, faults

ROOT = Path(__file__).resolve().parents[2]


def schema() -> dict[str, dict[str, Any]]:
    """Return the project's declared keys, without namespace."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    return {key.removeprefix(NAMESPACE): entry for key, entry in declared.items()}


def read(stack: str) -> StackSettings:
    file = read_settings(ROOT, stack, secrets={"marketplaceApiKey": "key"})
    values = {key.removeprefix(NAMESPACE): text for key, text in file.config.items() if key.startswith(NAMESPACE)}
    return parse_stack_file(stack, values, encrypted={"marketplaceApiKey"})


def test_the_schema_declares_what_the_program_reads() -> None:
    assert set(schema()) == {str(field.alias) for field in StackSettings.model_fields.values()}


def test_the_schemas_defaults_are_the_programs() -> None:
    defaults = {str(field.alias): field.get_default(call_default_factory=True) for field in StackSettings.model_fields.values()}

    declared = {key: entry.get("default", PydanticUndefined) for key, entry in schema().items()}
    assert declared == {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}


@pytest.mark.parametrize("stack", ["example", "sandbox"])
def test_a_shipped_stack_file_is_accepted(stack: str) -> None:
    assert read(stack).endpoints


def test_the_example_explains_every_key() -> None:
    text = (ROOT / "Pulumi.example.yaml").read_text()
    fields = [*EndpointSettings.model_fields, *AutogroupSettings.model_fields]

    missing = [key for key in (*schema(), *fields) if f"{key}:" not in text]
    assert missing == []


def test_what_the_example_shows_is_the_default_where_there_is_one() -> None:
    group = read("example").endpoints["llm"]
    described = EndpointSettings(
        max_workers=group.max_workers, max_hourly_cost_usd=group.max_hourly_cost_usd, autogroups=group.autogroups
    )

    assert group == described


def test_the_sandbox_offers_two_kinds_of_machine_to_choose_from() -> None:
    autogroups = read("sandbox").endpoints["llm"].autogroups

    gpus = {term for autogroup in autogroups.values() for term in autogroup.search_params.split() if term.startswith("gpu_name=")}
    assert len(gpus) == len(autogroups) == 2


def test_the_sandbox_fits_on_one_machine() -> None:
    groups = read("sandbox").endpoints.values()

    assert max(group.max_workers for group in groups) <= 8
    assert sum(group.max_hourly_cost_usd for group in groups) <= 10


def test_the_schedules_that_the_example_shows_are_accepted() -> None:
    text = (ROOT / "Pulumi.example.yaml").read_text()
    (shown,) = re.findall(r"^      schedules: \{\}\n((?:      #   .*\n)+)", text, re.MULTILINE)
    schedules = yaml.safe_load(shown.replace("      #   ", ""))

    assert list(schedules) == ["office-hours", "night"]
    assert faults(endpoints={"llm": endpoint(max_workers=8, schedules=schedules)}) == []
