"""Every fault of a stack file is named by key, value and remedy, and all are named at once."""

from __future__ import annotations

from typing import Any

import pytest

from infra.config import parse_stack_file
from infra.config_faults import StackFileInvalid
from tests.infra.stack_files import ENCRYPTED, autogroup, endpoint, faults, parsed, stack_file, texts


def with_endpoint(**changes: Any) -> dict[str, Any]:
    return {"endpoints": {"llm": endpoint(**changes)}}


def with_autogroup(**changes: Any) -> dict[str, Any]:
    return with_endpoint(autogroups={"fast": autogroup(**changes)})


FAST = "headgate:endpoints.llm.autogroups.fast"

ONE_FAULT: list[tuple[dict[str, Any], str]] = [
    (
        with_endpoint(max_workers=0),
        "headgate:endpoints.llm.max_workers = 0: must be greater than or equal to 1. "
        "Set the most workers the group may have, running or stopped (1 to 10000).",
    ),
    (
        with_endpoint(max_workers="4"),
        "headgate:endpoints.llm.max_workers = '4': must be a valid integer. "
        "Set the most workers the group may have, running or stopped (1 to 10000).",
    ),
    (
        with_endpoint(max_hourly_cost_usd=None),
        "headgate:endpoints.llm.max_hourly_cost_usd: is required. Set the most the group may cost in one hour, in dollars, above 0.",
    ),
    (
        with_endpoint(max_hourly_cost_usd=0),
        "headgate:endpoints.llm.max_hourly_cost_usd = 0: must be greater than 0. "
        "Set the most the group may cost in one hour, in dollars, above 0.",
    ),
    (
        with_endpoint(cold_workers=5),
        "headgate:endpoints.llm.cold_workers = 5: exceeds max_workers (4). Lower it, or raise 'max_workers' to 5.",
    ),
    (
        with_endpoint(test_workers=9),
        "headgate:endpoints.llm.test_workers = 9: exceeds max_workers (4). Lower it, or raise 'max_workers' to 9.",
    ),
    (
        with_endpoint(max_queue_time=5),
        "headgate:endpoints.llm.target_queue_time = 10.0: exceeds max_queue_time (5). Set it to 5 or less, or raise 'max_queue_time'.",
    ),
    (
        with_endpoint(target_util=1.5),
        "headgate:endpoints.llm.target_util = 1.5: must be less than or equal to 1. "
        "Set the share of capacity to use, above 0 and at most 1.",
    ),
    (
        with_endpoint(endpoint_state="paused"),
        "headgate:endpoints.llm.endpoint_state = 'paused': must be 'active', 'suspended' or 'stopped'. "
        "Set active, suspended (hold the fleet as it is) or stopped (no running worker).",
    ),
    (
        with_endpoint(max_worker=3),
        "headgate:endpoints.llm.max_worker: is not a key that Headgate knows. Write 'max_workers' if you meant that.",
    ),
    (
        with_endpoint(autoscaler_instance="prod"),
        "headgate:endpoints.llm.autoscaler_instance: is not a key that Headgate knows. Headgate has one engine, yours: remove it.",
    ),
    (
        with_endpoint(autogroups={}),
        "headgate:endpoints.llm.autogroups: must have at least 1 item after validation, not 0. "
        "Set at least one autogroup, as a map by name.",
    ),
    (
        {"endpoints": {"my llm": endpoint()}, "apiKeys": {}},
        "headgate:endpoints.my llm: is not a name that labels, keys and schedules can carry. "
        "Use 1 to 48 letters, digits, '-' and '_', beginning with a letter or digit.",
    ),
    (
        with_autogroup(template_hash="4e17"),
        f"{FAST}.template_hash = '4e17': both 'image' and 'template_hash' are set. Set exactly one of them.",
    ),
    (
        with_autogroup(image=None),
        f"{FAST}.template_hash: neither 'image' nor 'template_hash' is set. Set exactly one of them.",
    ),
    (
        with_autogroup(search_params="gpu_nmae=RTX_4090"),
        f"{FAST}.search_params = 'gpu_nmae=RTX_4090': filters on 'gpu_nmae', which offers do not have ('gpu_name' is meant?). "
        "Write it as for `vastai search offers`: 'gpu_name=RTX_4090 num_gpus=1 verified=true'.",
    ),
    (
        with_autogroup(env={"HF_TOKEN": "abc"}),
        f"{FAST}.env.HF_TOKEN: looks like a secret, and 'env' is not secret. "
        "Move it to 'secret_env' with `pulumi config set --secret --path 'headgate:endpoints.….secret_env.HF_TOKEN'`.",
    ),
    (
        with_autogroup(env={"UPSTREAM": "hf_abcdefghijklmnopqrst"}),
        f"{FAST}.env.UPSTREAM = (not shown): holds what looks like a credential, and 'env' is not secret. "
        "Move it to 'secret_env' with `pulumi config set --secret --path 'headgate:endpoints.….secret_env.NAME'`.",
    ),
    (
        with_autogroup(env={"PORT": 8000}),
        f"{FAST}.env.PORT = (not shown): must be a valid string. Write the value in quotes.",
    ),
    (
        with_autogroup(env={"REPORT_ADDR": "x"}),
        f"{FAST}.env.REPORT_ADDR: is set by Headgate or the marketplace for every worker. Remove it.",
    ),
    (
        with_autogroup(backend="tgi", env={"BACKEND": "tgi"}),
        f"{FAST}.env: BACKEND is set although 'backend' is. Remove one of them.",
    ),
    (
        with_autogroup(disk_gb=4),
        f"{FAST}.disk_gb = 4: must be greater than or equal to 8. Set the disk of an instance in GB, at least the marketplace's 8.",
    ),
    (
        {"apiKeys": {"website": {"endpoints": ["lm"]}}},
        "headgate:apiKeys.website.endpoints = 'lm': is no endpoint group of this stack. Declared: llm.",
    ),
    (
        {"logRetentionDays": 31},
        "headgate:logRetentionDays = 31: is no retention that CloudWatch knows. "
        "Use one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653.",
    ),
    (
        {"marketplaceUrl": "http://console.vast.ai"},
        "headgate:marketplaceUrl = 'http://console.vast.ai': would send the API key in the clear. "
        "Use https (http is for a marketplace on this machine alone).",
    ),
    (
        {"signingKeys": ["k1", "k1"]},
        "headgate:signingKeys: names a key twice. Give every key an id of its own.",
    ),
    (
        {"logRetenionDays": 30},
        "headgate:logRetenionDays: is not a key that Headgate knows. Write 'logRetentionDays' if you meant that.",
    ),
    (
        {"tickIntervalS": "soon"},
        "headgate:tickIntervalS = 'soon': must be a valid integer. Set the seconds between two looks at a busy group, 1 to 30.",
    ),
]


@pytest.mark.parametrize(("changes", "expected"), ONE_FAULT, ids=[text.partition(" ")[0] for _, text in ONE_FAULT])
def test_a_fault_is_named_by_key_value_and_remedy(changes: dict[str, Any], expected: str) -> None:
    found = faults(**changes)

    assert found == [expected]


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
    values = stack_file(endpoints={"llm": endpoint(autogroups={"fast": autogroup(secret_env={"HF_TOKEN": "hf_value"})})})

    with pytest.raises(StackFileInvalid) as caught:
        parse_stack_file("test", texts(values), encrypted=())

    assert [(fault.key, fault.fault) for fault in caught.value.faults] == [
        ("headgate:marketplaceApiKey", "stands in the stack file unencrypted"),
        (f"{FAST}.secret_env.HF_TOKEN", "stands in the stack file unencrypted"),
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
