"""Every fault of a stack file is named by key, value and remedy, and all are named at once."""

from __future__ import annotations

from typing import Any

import pytest

from infra.config import parse_stack_file
from infra.config_faults import Fault, StackFileInvalid
from tests.infra.stack_files import ENCRYPTED, autogroup, endpoint, faults, parsed, stack_file, texts


def with_endpoint(**changes: Any) -> dict[str, Any]:
    return {"endpoints": {"llm": endpoint(**changes)}}


def with_autogroup(**changes: Any) -> dict[str, Any]:
    return with_endpoint(autogroups={"fast": autogroup(**changes)})


def with_api_key(**changes: Any) -> dict[str, Any]:
    return {"apiKeys": {"website": {"endpoints": ["llm"], **changes}}}


FAST = "headgate:endpoints.llm.autogroups.fast"

ONE_FAULT: list[tuple[dict[str, Any], Fault]] = [
    (
        with_endpoint(max_workers=0),
        Fault(
            key="headgate:endpoints.llm.max_workers",
            value="0",
            fault="must be greater than or equal to 1",
            remedy="Set the most workers the group may have, running or stopped (1 to 1000)",
        ),
    ),
    (
        with_endpoint(max_workers="4"),
        Fault(
            key="headgate:endpoints.llm.max_workers",
            value="'4'",
            fault="must be a valid integer",
            remedy="Set the most workers the group may have, running or stopped (1 to 1000)",
        ),
    ),
    (
        with_endpoint(max_hourly_cost_usd=None),
        Fault(
            key="headgate:endpoints.llm.max_hourly_cost_usd",
            value=None,
            fault="is required",
            remedy="Set the most the group may cost in one hour, in dollars, above 0",
        ),
    ),
    (
        with_endpoint(max_hourly_cost_usd=0),
        Fault(
            key="headgate:endpoints.llm.max_hourly_cost_usd",
            value="0",
            fault="must be greater than 0",
            remedy="Set the most the group may cost in one hour, in dollars, above 0",
        ),
    ),
    (
        with_endpoint(cold_workers=5),
        Fault(
            key="headgate:endpoints.llm.cold_workers",
            value="5",
            fault="exceeds max_workers (4)",
            remedy="Lower it, or raise 'max_workers' to 5",
        ),
    ),
    (
        with_endpoint(test_workers=9),
        Fault(
            key="headgate:endpoints.llm.test_workers",
            value="9",
            fault="exceeds max_workers (4)",
            remedy="Lower it, or raise 'max_workers' to 9",
        ),
    ),
    (
        with_endpoint(max_queue_time=5),
        Fault(
            key="headgate:endpoints.llm.target_queue_time",
            value="10.0",
            fault="exceeds max_queue_time (5)",
            remedy="Set it to 5 or less, or raise 'max_queue_time'",
        ),
    ),
    (
        with_endpoint(target_util=1.5),
        Fault(
            key="headgate:endpoints.llm.target_util",
            value="1.5",
            fault="must be less than or equal to 1",
            remedy="Set the share of capacity to use, above 0 and at most 1",
        ),
    ),
    (
        with_endpoint(endpoint_state="paused"),
        Fault(
            key="headgate:endpoints.llm.endpoint_state",
            value="'paused'",
            fault="must be 'active', 'suspended' or 'stopped'",
            remedy="Set active, suspended (hold the fleet as it is) or stopped (no running worker)",
        ),
    ),
    (
        with_endpoint(max_worker=3),
        Fault(
            key="headgate:endpoints.llm.max_worker",
            value=None,
            fault="is not a key that Headgate knows",
            remedy="Write 'max_workers' if you meant that",
        ),
    ),
    (
        with_endpoint(autoscaler_instance="prod"),
        Fault(
            key="headgate:endpoints.llm.autoscaler_instance",
            value=None,
            fault="is not a key that Headgate knows",
            remedy="Headgate has one engine, yours: remove it",
        ),
    ),
    (
        with_endpoint(autogroups={}),
        Fault(
            key="headgate:endpoints.llm.autogroups",
            value=None,
            fault="must have at least 1 item after validation, not 0",
            remedy="Set at least one autogroup, as a map by name",
        ),
    ),
    (
        {"endpoints": {"my llm": endpoint()}, "apiKeys": {}},
        Fault(
            key="headgate:endpoints.my llm",
            value=None,
            fault="is not a name that labels, keys and schedules can carry",
            remedy="Use 1 to 48 letters, digits, '-' and '_', beginning with a letter or digit",
        ),
    ),
    (
        with_autogroup(template_hash="4e17"),
        Fault(
            key=f"{FAST}.template_hash",
            value="'4e17'",
            fault="both 'image' and 'template_hash' are set",
            remedy="Set exactly one of them",
        ),
    ),
    (
        with_autogroup(image=None),
        Fault(
            key=f"{FAST}.template_hash",
            value=None,
            fault="neither 'image' nor 'template_hash' is set",
            remedy="Set exactly one of them",
        ),
    ),
    (
        with_autogroup(search_params="gpu_nmae=RTX_4090"),
        Fault(
            key=f"{FAST}.search_params",
            value="'gpu_nmae=RTX_4090'",
            fault="filters on 'gpu_nmae', which offers do not have ('gpu_name' is meant?)",
            remedy="Write it as for `vastai search offers`: 'gpu_name=RTX_4090 num_gpus=1 verified=true'",
        ),
    ),
    (
        with_autogroup(search_params={"num_gpus": 1}),
        Fault(
            key=f"{FAST}.search_params",
            value=None,
            fault='has no operator for \'num_gpus\': write {"num_gpus": {"eq": …}}',
            remedy="Write it as for `vastai search offers`: 'gpu_name=RTX_4090 num_gpus=1 verified=true'",
        ),
    ),
    (
        with_autogroup(search_order="dph total"),
        Fault(
            key=f"{FAST}.search_order",
            value="'dph total'",
            fault="orders by 'dph total', which is no column",
            remedy="Write it as for `vastai search offers --order`: 'dph_total' or 'score-,num_gpus'",
        ),
    ),
    (
        with_autogroup(rental_type="spot"),
        Fault(
            key=f"{FAST}.rental_type",
            value="'spot'",
            fault="must be 'on-demand', 'interruptible' or 'reserved'",
            remedy="Set on-demand, interruptible (by a bid) or reserved (offers that can be prepaid)",
        ),
    ),
    (
        with_autogroup(rental_type="interruptible"),
        Fault(
            key=f"{FAST}.max_bid_usd",
            value=None,
            fault="is required where 'rental_type' is interruptible",
            remedy="Set the most to bid for a machine, in dollars an hour",
        ),
    ),
    (
        with_autogroup(max_bid_usd=0.5),
        Fault(
            key=f"{FAST}.max_bid_usd",
            value="0.5",
            fault="is set although nothing is bid",
            remedy="Set 'rental_type' to interruptible, or remove it",
        ),
    ),
    (
        with_autogroup(on_demand_fallback=True),
        Fault(
            key=f"{FAST}.on_demand_fallback",
            value="True",
            fault="is set although nothing is bid",
            remedy="Set 'rental_type' to interruptible, or remove it",
        ),
    ),
    (
        with_endpoint(blacklist={"machines": [7, 9], "allow": [9]}),
        Fault(
            key="headgate:endpoints.llm.blacklist.allow",
            value=None,
            fault="machine 9 is in 'machines' too",
            remedy="Remove it from one of them",
        ),
    ),
    (
        with_endpoint(blacklist=["gpu-7"]),
        Fault(
            key="headgate:endpoints.llm.blacklist.machines.0",
            value="'gpu-7'",
            fault="must be a valid integer",
            remedy="Pulumi.example.yaml explains every key",
        ),
    ),
    (
        with_autogroup(rental_type="interruptible", max_bid_usd=0.5, bid_factor=0.9),
        Fault(
            key=f"{FAST}.bid_factor",
            value="0.9",
            fault="must be greater than or equal to 1",
            remedy="Set how many times the least bid to bid, 1 to 10",
        ),
    ),
    (
        with_autogroup(image_login="somebody:password"),
        Fault(
            key=f"{FAST}.image_login",
            value="(not shown)",
            fault="is no login",
            remedy="Write it as for `docker login`: '-u USER -p TOKEN registry.example.com'",
        ),
    ),
    (
        with_autogroup(bid_price=0.1),
        Fault(
            key=f"{FAST}.bid_price",
            value=None,
            fault="is not a key that Headgate knows",
            remedy="Use 'rental_type', 'bid_factor' and 'max_bid_usd'",
        ),
    ),
    (
        {"marketplacePace": -1},
        Fault(
            key="headgate:marketplacePace",
            value="-1",
            fault="must be greater than or equal to 0",
            remedy="Set the pauses between calls, as a multiple of the documented ones (0 to 10)",
        ),
    ),
    (
        with_autogroup(env={"HF_TOKEN": "abc"}),
        Fault(
            key=f"{FAST}.env.HF_TOKEN",
            value=None,
            fault="looks like a secret, and 'env' is not secret",
            remedy="Move it to 'secret_env' with `pulumi config set --secret --path 'headgate:endpoints.….secret_env.HF_TOKEN'`",
        ),
    ),
    (
        with_autogroup(env={"UPSTREAM": "hf_abcdefghijklmnopqrst"}),
        Fault(
            key=f"{FAST}.env.UPSTREAM",
            value="(not shown)",
            fault="holds what looks like a credential, and 'env' is not secret",
            remedy="Move it to 'secret_env' with `pulumi config set --secret --path 'headgate:endpoints.….secret_env.NAME'`",
        ),
    ),
    (
        with_autogroup(env={"PORT": 8000}),
        Fault(key=f"{FAST}.env.PORT", value="(not shown)", fault="must be a valid string", remedy="Write the value in quotes"),
    ),
    (
        with_autogroup(env={"REPORT_ADDR": "x"}),
        Fault(
            key=f"{FAST}.env.REPORT_ADDR",
            value=None,
            fault="is set by Headgate or the marketplace for every worker",
            remedy="Remove it",
        ),
    ),
    (
        with_autogroup(backend="tgi", env={"BACKEND": "tgi"}),
        Fault(key=f"{FAST}.env", value=None, fault="BACKEND is set although 'backend' is", remedy="Remove one of them"),
    ),
    (
        with_autogroup(disk_gb=4),
        Fault(
            key=f"{FAST}.disk_gb",
            value="4",
            fault="must be greater than or equal to 8",
            remedy="Set the disk of an instance in GB, at least the marketplace's 8",
        ),
    ),
    (
        {"apiKeys": {"website": {"endpoints": ["lm"]}}},
        Fault(
            key="headgate:apiKeys.website.endpoints",
            value="'lm'",
            fault="is no endpoint group of this stack",
            remedy="Declared: llm",
        ),
    ),
    (
        with_api_key(scopes=["write"]),
        Fault(
            key="headgate:apiKeys.website.scopes.0",
            value="'write'",
            fault="must be 'route', 'read' or 'update'",
            remedy="Pulumi.example.yaml explains every key",
        ),
    ),
    (
        with_api_key(keys=[]),
        Fault(
            key="headgate:apiKeys.website.keys",
            value=None,
            fault="is empty",
            remedy="Name at least one, or remove the line for the default",
        ),
    ),
    (
        with_api_key(keys=["v2 v1"]),
        Fault(
            key="headgate:apiKeys.website.keys.0",
            value="'v2 v1'",
            fault="is neither a name nor 'name until time'",
            remedy="Write 'v1', or 'v1 until 2026-12-01T12:00:00Z'",
        ),
    ),
    (
        with_api_key(keys=["v2", "v1 until tomorrow"]),
        Fault(
            key="headgate:apiKeys.website.keys.1",
            value="'v1 until tomorrow'",
            fault="ends at no moment that can be read",
            remedy="Write the end as 2026-12-01T12:00:00Z",
        ),
    ),
    (
        with_api_key(keys=["v1 until 2026-12-01T12:00:00"]),
        Fault(
            key="headgate:apiKeys.website.keys.0",
            value="'v1 until 2026-12-01T12:00:00'",
            fault="ends at a time without its zone",
            remedy="Write a Z behind it for UTC, or the offset, as in +02:00",
        ),
    ),
    (
        with_api_key(keys=["v1", "v1 until 2026-12-01T12:00:00Z"]),
        Fault(
            key="headgate:apiKeys.website.keys",
            value=None,
            fault="names a key twice",
            remedy="Give every key a name of its own; one that was removed should not come back",
        ),
    ),
    (
        with_api_key(requests_per_s=0),
        Fault(
            key="headgate:apiKeys.website.requests_per_s",
            value="0",
            fault="must be greater than 0",
            remedy="Set how many requests per second the client may send, above 0, or nothing for no limit",
        ),
    ),
    (
        {"logRetentionDays": 31},
        Fault(
            key="headgate:logRetentionDays",
            value="31",
            fault="is no retention that CloudWatch knows",
            remedy="Use 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or another of its periods",
        ),
    ),
    (
        {"marketplaceUrl": "http://console.vast.ai"},
        Fault(
            key="headgate:marketplaceUrl",
            value="'http://console.vast.ai'",
            fault="would send the API key in the clear",
            remedy="Use https (http is for a marketplace on this machine alone)",
        ),
    ),
    (
        {"signingKeys": ["k1"]},
        Fault(
            key="headgate:signingKeys",
            value=None,
            fault="is not a key that Headgate knows",
            remedy="The rotate function makes and names the keys: remove it",
        ),
    ),
    (
        {"logRetenionDays": 30},
        Fault(
            key="headgate:logRetenionDays",
            value=None,
            fault="is not a key that Headgate knows",
            remedy="Write 'logRetentionDays' if you meant that",
        ),
    ),
    (
        {"tickIntervalS": "soon"},
        Fault(
            key="headgate:tickIntervalS",
            value="'soon'",
            fault="must be a valid integer",
            remedy="Set the seconds between two looks at a busy group, 1 to 30",
        ),
    ),
]


@pytest.mark.parametrize(("changes", "expected"), ONE_FAULT, ids=[fault.key for _, fault in ONE_FAULT])
def test_a_fault_is_named_by_key_value_and_remedy(changes: dict[str, Any], expected: Fault) -> None:
    with pytest.raises(StackFileInvalid) as caught:
        parsed(**changes)

    assert caught.value.faults == (expected,)


def test_a_fault_reads_as_one_line() -> None:
    found = faults(**with_endpoint(cold_workers=5))

    assert found == ["headgate:endpoints.llm.cold_workers = 5: exceeds max_workers (4). Lower it, or raise 'max_workers' to 5."]


def test_all_faults_are_reported_at_once() -> None:
    wrong = {
        "endpoints": {
            "llm": endpoint(max_workers=0, target_util=2, autogroups={"fast": autogroup(disk_gb=1)}),
            "hello": endpoint(max_hourly_cost_usd=-1),
        },
        "apiKeys": {"website": {"endpoints": ["chat"]}},
        "tickIntervalS": 0,
    }

    keys = [fault.partition(" = ")[0] for fault in faults(**wrong)]

    assert sorted(keys) == [
        "headgate:apiKeys.website.endpoints",
        "headgate:endpoints.hello.max_hourly_cost_usd",
        "headgate:endpoints.llm.autogroups.fast.disk_gb",
        "headgate:endpoints.llm.max_workers",
        "headgate:endpoints.llm.target_util",
        "headgate:tickIntervalS",
    ]


def test_the_message_counts_the_faults_and_lists_one_a_line() -> None:
    with pytest.raises(StackFileInvalid) as caught:
        parsed(tickIntervalS=0, rentConfirmS=0)

    assert [line.partition(" = ")[0] for line in str(caught.value).splitlines()] == [
        "The configuration of stack 'test' has 2 faults:",
        "  headgate:tickIntervalS",
        "  headgate:rentConfirmS",
    ]


def test_a_secret_in_plain_text_is_refused_without_showing_it() -> None:
    secrets = {"secret_env": {"HF_TOKEN": "hf_value"}, "image_login": "-u u -p p registry.test"}
    values = stack_file(endpoints={"llm": endpoint(autogroups={"fast": autogroup(**secrets)})})

    with pytest.raises(StackFileInvalid) as caught:
        parse_stack_file("test", texts(values), encrypted=())

    assert [(fault.key, fault.fault) for fault in caught.value.faults] == [
        ("headgate:marketplaceApiKey", "stands in the stack file unencrypted"),
        (f"{FAST}.secret_env.HF_TOKEN", "stands in the stack file unencrypted"),
        (f"{FAST}.image_login", "stands in the stack file unencrypted"),
    ]


def test_no_message_shows_a_secret() -> None:
    secrets = {"HF_TOKEN": "hf_value", "BAD NAME": "another-value", "EMPTY_KEY": "", "LONG": "x" * 300}
    plain = {"API_KEY": "third-value", "SOME": "sk-abcdefghijklmnopqrstuv", "NUMBER": 12345}
    changes = with_autogroup(secret_env=secrets, env=plain, bogus="fourth-value")

    message = "\n".join(faults(**changes))

    assert not [text for text in (*secrets.values(), *map(str, plain.values()), "fourth-value") if text and text in message]


def test_a_key_without_a_value_means_its_default() -> None:
    group = parsed(**with_endpoint(max_queue_time=None)).endpoints["llm"]

    assert group.max_queue_time == 30.0


def test_money_is_exact_in_micro_dollars() -> None:
    group = parsed(**with_endpoint(max_hourly_cost_usd=0.1)).endpoints["llm"]

    assert group.max_hourly_cost_micro_usd == 100_000


def test_a_cost_finer_than_a_micro_dollar_is_refused() -> None:
    found = faults(**with_endpoint(max_hourly_cost_usd=0.0000001))

    assert [fault.partition(" = ")[0] for fault in found] == ["headgate:endpoints.llm.max_hourly_cost_usd"]


def test_names_with_the_word_tokens_are_no_secrets() -> None:
    found = faults(**with_autogroup(env={"MAX_TOTAL_TOKENS": "8192", "TOKENIZER": "t", "PUBLIC_KEY": "p", "-p 8000:8000": "1"}))

    assert found == []


@pytest.mark.parametrize("name", ["", "a.b", "-a", "a" * 41, "über"])
def test_a_stack_that_functions_cannot_be_named_after_is_refused(name: str) -> None:
    with pytest.raises(StackFileInvalid, match="the stack's name"):
        parse_stack_file(name, texts(stack_file()), encrypted=ENCRYPTED)


@pytest.mark.parametrize("wrong", ["just text", "[1, 2]", '{"llm": 3}', '{"llm": {"autogroups": []}}', "null"])
def test_a_map_of_the_wrong_shape_is_refused_and_not_crashed_on(wrong: str) -> None:
    with pytest.raises(StackFileInvalid, match="headgate:endpoints"):
        parse_stack_file("test", {**texts(stack_file(apiKeys={})), "endpoints": wrong}, encrypted=ENCRYPTED)


def test_a_repr_of_the_settings_shows_no_secret() -> None:
    settings = parsed(**with_autogroup(secret_env={"HF_TOKEN": "hf_value"}))

    assert "hf_value" not in repr(settings)
    assert "marketplace-key" not in repr(settings)
