"""The items that a stack declares are the ones that the functions read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from functions.adapters.dynamodb_items import read
from functions.adapters.spec_codec import decode_autogroup, decode_group
from functions.core.model import ApiKey, Autogroup, Blacklist, EndpointGroup, EndpointState, RentalType, Scope
from infra.api_key_settings import ApiKeySettings
from infra.api_keys import key_item
from infra.autogroup_settings import AutogroupSettings
from infra.blacklist_settings import BlacklistSettings
from infra.endpoint_settings import EndpointSettings
from infra.group import autogroup_spec, group_spec
from infra.program import main
from tests.infra.recording import RecordedStack, record
from tests.infra.stack_files import as_file, autogroup, endpoint, parsed


def test_a_group_reads_as_the_functions_read_it(stack: RecordedStack) -> None:
    group = decode_group(stack.item("group-llm"))

    assert group == EndpointGroup(endpoint="llm", max_workers=4, max_hourly_cost_micro_usd=2_500_000)


def test_every_parameter_of_a_group_arrives() -> None:
    changed: dict[str, Any] = {
        "min_load": 10.5,
        "min_cold_load": 20.0,
        "target_util": 0.5,
        "cold_mult": 3.0,
        "cold_workers": 2,
        "test_workers": 0,
        "max_queue_time": 60.0,
        "target_queue_time": 20.0,
        "inactivity_timeout": -1.0,
        "scale_down_window": 30.0,
        "ticket_ttl_s": 30,
        "update_surge": "10%",
        "update_perf_min": 0.0,
        "endpoint_state": "suspended",
    }
    settings = parsed(endpoints={"llm": endpoint(**changed)}).endpoints["llm"]

    group = decode_group(spec_item(group_spec("llm", settings)))

    assert group == EndpointGroup(
        endpoint="llm",
        max_workers=4,
        max_hourly_cost_micro_usd=2_500_000,
        **{**changed, "endpoint_state": EndpointState.SUSPENDED},
    )


def test_every_parameter_of_an_autogroup_arrives() -> None:
    plain: dict[str, Any] = {
        "search_params": "num_gpus=2",
        "search_order": "dph_total",
        "rental_type": "interruptible",
        "bid_factor": 1.25,
        "image": "example/worker:2",
        "onstart": "echo",
        "launch_args": "--ssh",
        "gpu_ram": 24.0,
        "disk_gb": 32.0,
        "download_gb": 12.5,
        "traffic_gb_per_hour": 1.5,
        "boot_timeout_s": 60.0,
        "report_addr_token": True,
    }
    configured = autogroup(
        **plain,
        max_bid_usd=0.123456,
        backend="tgi",
        env={"MODEL_ID": "m"},
        secret_env={"HF_TOKEN": "t"},
        image_login="-u u -p p registry.test",
    )
    settings = parsed(endpoints={"llm": endpoint(autogroups={"fast": configured})}).endpoints["llm"].autogroups["fast"]

    group = decode_autogroup(spec_item(autogroup_spec("fast", settings, blacklist=BlacklistSettings())))

    given = {**plain, "rental_type": RentalType.INTERRUPTIBLE, "env": {"MODEL_ID": "m", "BACKEND": "tgi"}}
    assert group == Autogroup(name="fast", max_bid_micro_usd=123_456, **given)


def test_a_query_that_is_a_map_arrives_as_its_json() -> None:
    settings = parsed(endpoints={"llm": endpoint(autogroups={"fast": autogroup(search_params={"num_gpus": {"gte": 2}})})})

    spec = autogroup_spec(
        "fast", settings.endpoints["llm"].autogroups["fast"], blacklist=BlacklistSettings(machines=(7,), hosts=(5,))
    )

    assert json.loads(str(spec["search_params"])) == {
        "num_gpus": {"gte": 2},
        "machine_id": {"notin": [7]},
        "host_id": {"notin": [5]},
    }


def test_a_stack_files_ways_of_renting_are_the_functions() -> None:
    ways = typing.get_args(AutogroupSettings.model_fields["rental_type"].annotation)

    assert list(ways) == [way.value for way in RentalType]


def test_an_item_holds_the_models_fields_and_no_others(stack: RecordedStack) -> None:
    group, of_group = (set(json.loads(stack.item(name)["spec"]["S"])) for name in ("group-llm", "autogroup-llm.fast"))

    assert group == {field.name for field in dataclasses.fields(EndpointGroup)}
    assert of_group == {field.name for field in dataclasses.fields(Autogroup)}


def test_a_template_in_place_of_an_image_arrives(stack: RecordedStack) -> None:
    group = decode_autogroup(stack.item("autogroup-llm.cheap"))

    assert (group.image, group.template_hash) == (None, "4e17788f")


def test_the_secret_environment_is_not_in_the_table(stack: RecordedStack) -> None:
    item = json.dumps(stack.item("autogroup-llm.fast"))

    assert [secret for secret in ("hf_secret_of_the_group", "registry_password") if secret in item] == []


def test_blacklisted_machines_are_left_out_of_the_search() -> None:
    settings = parsed(endpoints={"llm": endpoint(blacklist=[7, 9])}).endpoints["llm"]

    spec = autogroup_spec("fast", settings.autogroups["fast"], blacklist=settings.blacklist)

    assert spec["search_params"] == "gpu_name=RTX_4090 num_gpus=1 machine_id notin [7,9]"


def test_what_the_blacklist_says_reaches_the_scaler_too() -> None:
    settings = parsed(endpoints={"llm": endpoint(blacklist={"machines": [7], "hosts": [5], "allow": [9]})}).endpoints["llm"]

    assert decode_group(spec_item(group_spec("llm", settings))).blacklist == Blacklist(machines=(7,), hosts=(5,), allow=(9,))


@pytest.mark.parametrize(
    ("name", "pk", "sk"),
    [
        ("group-llm", "ENDPOINT#llm", "SPEC"),
        ("autogroup-llm.fast", "ENDPOINT#llm", "AUTOGROUP#fast"),
        ("autogroup-hello.fast", "ENDPOINT#hello", "AUTOGROUP#fast"),
    ],
)
def test_an_item_has_the_key_that_the_functions_look_under(stack: RecordedStack, name: str, pk: str, sk: str) -> None:
    item = stack.item(name)

    assert (item["pk"], item["sk"]) == ({"S": pk}, {"S": sk})


def test_an_api_key_is_stored_as_its_hash_and_what_it_opens(stack: RecordedStack) -> None:
    key = stack.outputs["api_keys"][0]["all"]
    key_sha256 = hashlib.sha256(key.encode()).hexdigest()

    assert stack.item("api-key-all") == {
        "pk": {"S": f"KEY#{key_sha256}"},
        "sk": {"S": "KEY"},
        "key_sha256": {"S": key_sha256},
        "label": {"S": "all"},
        "endpoints": {"SS": ["hello", "llm"]},
        "scopes": {"SS": ["route"]},
    }


def test_everything_that_an_api_key_may_have_arrives() -> None:
    written = {
        "endpoints": ["llm"],
        "scopes": ["read", "route", "update"],
        "keys": ["v2", "v1 until 2026-12-01T12:00:00+02:00"],
        "requests_per_s": 0.5,
        "load_per_s": 5_000,
    }
    settings = parsed(apiKeys={"website": written}).api_keys["website"]
    current, replaced = (read(ApiKey, key_item("hg_x", "website", settings, version)) for version in settings.versions)  # type: ignore[arg-type]

    assert current == ApiKey(
        key_sha256=hashlib.sha256(b"hg_x").hexdigest(),
        endpoints=frozenset({"llm"}),
        scopes=frozenset(Scope),
        label="website",
        requests_per_s=0.5,
        load_per_s=5_000.0,
    )
    assert replaced == dataclasses.replace(current, expires_at_s=1796119200.0)


@pytest.fixture(scope="module")
def rotating() -> RecordedStack:
    """A stack in which one client's key is being replaced, as a person writes it."""
    keys = yaml.safe_load("keys: [v2, v1 until 2026-12-01T12:00:00Z]")
    configured = as_file(apiKeys={"website": {"endpoints": ["llm"], **keys}})
    return record(lambda: main(lambda _target: Path("functions.zip")), configured)


def test_the_key_that_replaces_another_is_the_one_given_out(rotating: RecordedStack) -> None:
    given_out = rotating.outputs["api_keys"][0]["website"]

    assert rotating.item("api-key-website.v2")["key_sha256"]["S"] == hashlib.sha256(given_out.encode()).hexdigest()


def test_the_key_that_is_replaced_is_the_same_as_before_with_an_end(rotating: RecordedStack) -> None:
    assert rotating.item("api-key-website")["expires_at_s"] == {"N": "1796126400.0"}
    assert "expires_at_s" not in rotating.item("api-key-website.v2")


def test_both_keys_of_a_client_open_the_same(rotating: RecordedStack) -> None:
    old, new = (rotating.item(name) for name in ("api-key-website", "api-key-website.v2"))

    assert all(old[name] == new[name] for name in ("label", "endpoints", "scopes"))


def test_a_stack_files_scopes_are_the_functions() -> None:
    [scopes] = {typing.get_args(each) for each in typing.get_args(ApiKeySettings.model_fields["scopes"].annotation)[:1]}

    assert set(scopes) == {scope.value for scope in Scope}


def test_a_stack_files_endpoint_states_are_the_functions() -> None:
    states = typing.get_args(EndpointSettings.model_fields["endpoint_state"].annotation)

    assert list(states) == [state.value for state in EndpointState]


@pytest.mark.parametrize(("settings", "model"), [(EndpointSettings, EndpointGroup), (AutogroupSettings, Autogroup)])
def test_a_default_of_the_stack_file_is_the_models(settings: type[Any], model: type[Any]) -> None:
    ours = {name: field.get_default(call_default_factory=True) for name, field in settings.model_fields.items()}
    theirs = {field.name: default_of(field) for field in dataclasses.fields(model)}

    shared = ours.keys() & theirs.keys()

    assert {name: plain(ours[name]) for name in shared} == {name: plain(theirs[name]) for name in shared}


def spec_item(spec: dict[str, object]) -> dict[str, Any]:
    return {"pk": {"S": "ENDPOINT#llm"}, "sk": {"S": "any"}, "spec": {"S": json.dumps(spec)}}


def plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return PydanticUndefined if field.default_factory is dataclasses.MISSING else field.default_factory()
