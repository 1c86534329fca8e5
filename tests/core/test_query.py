"""The query language, held to what the official client sends: examples captured from it, and the client itself beside ours."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vastai.api.query import offers_alias, offers_fields, offers_mult
from vastai.api.query import parse_order as official_order
from vastai.api.query import parse_query as official_query

from functions.core.query import DEFAULTS, MalformedQuery, parse_order, parse_query


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("", {}),
        ("num_gpus=1", {"num_gpus": {"eq": "1"}}),
        ("num_gpus >= 2", {"num_gpus": {"gte": "2"}}),
        ("gpu_ram>=20", {"gpu_ram": {"gte": 20_000.0}}),
        ("cpu_ram > 64 duration > 3", {"cpu_ram": {"gt": 64_000.0}, "duration": {"gt": 259_200.0}}),
        ("reliability>0.9 reliability<0.99", {"reliability": {"gt": "0.9", "lt": "0.99"}}),
        ("gpu_name=RTX_4090", {"gpu_name": {"eq": "RTX 4090"}}),
        ('gpu_name="RTX 4090"', {"gpu_name": {"eq": "RTX 4090"}}),
        (
            "gpu_name in [RTX_4090,RTX_3090] geolocation notin [CN,VN] driver_version>=525.60.13 duration>1",
            {
                "gpu_name": {"in": ["RTX 4090", "RTX 3090"]},
                "geolocation": {"notin": ["CN", "VN"]},
                "driver_version": {"gte": 525_060_013},
                "duration": {"gt": 86_400.0},
            },
        ),
        ("gpu_name in [RTX_4090, H100_SXM]", {"gpu_name": {"in": ["RTX 4090", "H100 SXM"]}}),
        ("geolocation not in [CN]", {"geolocation": {"notin": ["CN"]}}),
        ("dph<0.5 cuda_vers>=12.1", {"dph_total": {"lt": "0.5"}, "cuda_max_good": {"gte": "12.1"}}),
        ("static_ip=true external=None", {"static_ip": {"eq": True}, "external": {"eq": None}}),
        ("num_gpus eq 4", {"num_gpus": {"eq": "4"}}),
    ],
)
def test_a_query_becomes_the_filter_that_the_official_client_sends(text: str, filters: dict[str, Any]) -> None:
    assert parse_query(text, {}) == filters


def test_defaults_are_what_the_official_client_asks_for() -> None:
    assert parse_query("") == {"verified": {"eq": True}, "external": {"eq": False}, "rentable": {"eq": True}}


def test_any_drops_a_default() -> None:
    assert "verified" not in parse_query("verified=any")


def test_a_query_leaves_the_defaults_as_they_are() -> None:
    parse_query("verified=false")

    assert DEFAULTS["verified"] == {"eq": True}


@pytest.mark.parametrize(
    "text",
    [
        "num_gpus",
        "num_gpus=",
        "=1",
        "num_gpus ~ 1",
        "num_gpus=>1",
        "gpu_ram>=much",
        "gpu_name in [a,,b]",
        "verified>any",
        "x" * 5_000,
    ],
)
def test_what_is_no_query_is_refused(text: str) -> None:
    with pytest.raises(MalformedQuery):
        parse_query(text)


@given(st.text(max_size=80))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        parse_query(text)
    except MalformedQuery:
        return


FIELDS = st.sampled_from(
    ["gpu_name", "num_gpus", "reliability", "gpu_ram", "cpu_ram", "duration", "dph", "cuda_vers", "verified", "geolocation"]
)
SYMBOLS = st.sampled_from(
    ["=", "==", "!=", ">", ">=", "<", "<=", " = ", " >= ", " eq ", " neq ", " noteq ", " not eq ", " gt ", " lte "]
)
LISTS = st.sampled_from([" in ", " nin ", " notin ", " not in "])
WORDS = st.sampled_from(["1", "0.95", "24.5", "RTX_4090", '"RTX 4090"', "true", "False", "None", "CN", "any", "*", "a+b", "5,"])
TERMS = st.tuples(FIELDS, SYMBOLS, WORDS).map("".join) | st.tuples(
    FIELDS,
    LISTS,
    st.lists(WORDS.filter(lambda word: "," not in word), min_size=1, max_size=3).map(lambda words: f"[{','.join(words)}]"),
).map("".join)


@given(st.lists(TERMS, max_size=4).map(" ".join))
def test_what_ours_accepts_the_official_client_reads_alike(text: str) -> None:
    try:
        ours = parse_query(text)
    except MalformedQuery:
        return
    defaults = {field: dict(conditions) for field, conditions in DEFAULTS.items()}
    try:
        theirs = official_query(text, defaults, offers_fields, offers_alias, offers_mult)
    except (TypeError, ValueError):
        # It multiplies no lists, and takes `any` in quotes or in a list for a value.
        assert " in " in text or "in [" in text or "any" in text
        return

    assert ours == theirs or "[any]" in text or "[*]" in text


def test_the_official_client_reads_a_driver_version_alike() -> None:
    text = "driver_version>=525.60.13"

    assert parse_query(text, {}) == official_query(text, {}, offers_fields, offers_alias, offers_mult)


@given(
    st.lists(st.tuples(st.sampled_from(["dph", "score", "num_gpus"]), st.sampled_from(["", "-", "+"]), st.booleans()), max_size=3)
)
def test_the_official_client_reads_an_order_alike(terms: list[tuple[str, str, bool]]) -> None:
    text = ", ".join(sign + column if before else column + sign for column, sign, before in terms)

    assert parse_order(text) == official_order(text)


@pytest.mark.parametrize("text", ["dph total", "-", "score;num_gpus", ",".join(["dph"] * 9)])
def test_what_is_no_order_is_refused(text: str) -> None:
    with pytest.raises(MalformedQuery):
        parse_order(text)


def test_a_query_may_be_the_filter_itself_in_the_api_s_units() -> None:
    text = '{"gpu_name": {"in": ["RTX 4090"]}, "gpu_ram": {"gte": 24000}, "dph": {"lt": 0.5}, "verified": {"eq": false}}'

    assert parse_query(text) == {
        "verified": {"eq": False},
        "external": {"eq": False},
        "rentable": {"eq": True},
        "gpu_name": {"in": ["RTX 4090"]},
        "gpu_ram": {"gte": 24_000},
        "dph_total": {"lt": 0.5},
    }


@pytest.mark.parametrize("text", ['{"verified": {}}', '{"verified": {"eq": "any"}}'])
def test_a_filter_without_a_condition_drops_a_default(text: str) -> None:
    assert "verified" not in parse_query(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"order": [["dph_total", "asc"]]}', "search_order"),
        ('{"type": "bid"}', "rental_type"),
        ('{"allocated_storage": 5}', "disk_gb"),
        ('{"num_gpus": 1}', "eq"),
        ('{"num_gpus": {"is": 1}}', "operator is"),
        ('{"num_gpus": {"in": 1}}', "a list"),
        ('{"num_gpus": {"eq": [1]}}', "one value"),
        ('{"num_gpus": {"in": [[1]]}}', "a list"),
        ('{"num_gpus": {"eq": 1}', "no JSON"),
        ('{"a":' * 800, "no JSON"),
    ],
)
def test_a_filter_that_is_none_is_refused_with_the_reason(text: str, named: str) -> None:
    with pytest.raises(MalformedQuery, match=named):
        parse_query(text)
