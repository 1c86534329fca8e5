"""What the documentation lists is what the code has: neither more nor less."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from functions.core.jsonable import encode
from functions.core.model import EndpointGroup
from functions.scale.figures import (
    FACT_METRICS,
    METRIC_CREDIT,
    METRIC_REFUSED,
    METRIC_STRAYS,
    METRIC_UNLISTED,
    TROUBLE_METRICS,
)
from infra.alarms import GROUP_WATCHES
from infra.endpoint_settings import EndpointSettings
from protocol.ticket import INTEGER_MAX

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("functions", "protocol", "worker_image", "client", "infra", "policies", "sandbox")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("worker_image/*.md")])


def text(name: str) -> str:
    return (ROOT / name).read_text()


def code(*folders: str) -> str:
    return "\n".join(path.read_text() for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))


def test_operations_lists_every_metric() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \| (?:route|report|scale) \|", text("docs/operations.md"), re.MULTILINE))
    routed = set(re.findall(r'"(\w+Count)"', code("functions/route", "functions/report")))

    scaled = {*FACT_METRICS.values(), *TROUBLE_METRICS.values(), METRIC_CREDIT, METRIC_REFUSED, METRIC_STRAYS, METRIC_UNLISTED}
    assert listed == routed | scaled


def test_operations_says_for_every_alarm_what_to_do() -> None:
    told = set(re.findall(r"^\*\*`([^`]+)`(?:, `([^`]+)`)*\*\*", text("docs/operations.md"), re.MULTILINE))
    names = {name for names in told for name in names if name}

    of_groups = {f"<group>-{name}" for name in (*(watch.name for watch in GROUP_WATCHES), "silent")}
    of_the_stack = {"<part>-errors", "<part>-throttles", "route-5xx", "report-5xx", "dead-letters", "credit-low"}
    assert names == of_groups | of_the_stack


def test_the_protocol_page_lists_every_error_code() -> None:
    table = text("docs/protocol.md").split("## Errors")[1]
    listed = set(re.findall(r"`([a-z_]+)`", table.split("| status | code |")[1]))
    raised = set(re.findall(r'code="([a-z_]+)"', code("functions/route", "functions/report", "functions/adapters")))

    assert listed == raised | {"missing_api_key", "invalid_api_key", "expired_api_key"}


def test_the_protocol_page_lists_every_reason_to_refuse_a_ticket() -> None:
    table = text("docs/protocol.md").split("| `error` | the ticket |")[1].split("##")[0]

    assert set(re.findall(r"`([a-z_]+)`", table)) == set(
        re.findall(r'TicketRejected\("([a-z_]+)"\)', code("protocol", "worker_image"))
    )


def group_settings(**changes: object) -> EndpointSettings:
    """Return a group as a stack file has it, with as little as it takes."""
    least = {"max_workers": 9, "max_hourly_cost_usd": 1, "autogroups": {"a": {"search_params": "num_gpus=1", "image": "x"}}}
    return EndpointSettings.model_validate_json(json.dumps(least | changes))


def test_the_readme_lists_every_parameter_of_a_group_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text("README.md"), re.MULTILINE))
    fields = {name: field for name, field in EndpointSettings.model_fields.items() if name != "autogroups"}

    assert rows.keys() == fields.keys()
    assert {name for name, told in rows.items() if told.strip() == "required"} == {
        name for name, field in fields.items() if field.is_required()
    }
    told = {name: yaml.safe_load(told) for name, told in rows.items() if told.strip() != "required"}
    assert group_settings(**told) == group_settings()


def test_what_the_functions_assume_is_what_the_stack_file_defaults_to() -> None:
    assumed = encode(EndpointGroup(endpoint="x", max_workers=9, max_hourly_cost_micro_usd=1))
    described = group_settings().model_dump(mode="json")

    shared = described.keys() & assumed.keys()
    assert {name: assumed[name] for name in shared} == {name: described[name] for name in shared}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_within_the_project_leads_somewhere(document: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()) if "://" not in link]

    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_verb_of_make_that_is_named_exists(document: Path) -> None:
    verbs = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))

    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", document.read_text(), re.MULTILINE)) <= verbs


def test_every_number_of_the_protocol_page_survives_a_javascript_client() -> None:
    numbers = [int(digits) for digits in re.findall(r": (\d+)", text("docs/protocol.md"))]

    assert numbers
    assert max(numbers) < INTEGER_MAX
