"""The query language, held to what the official client sends (captured from vastai 1.9.1), and the re-check of rows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.query import DEFAULTS, MalformedQuery, matches, parse_query


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


_ROW = {
    "num_gpus": 2,
    "gpu_name": "RTX 4090",
    "gpu_ram": 24_564,
    "dph_total": Decimal("0.41"),
    "verification": "verified",
    "geolocation": "Quebec, CA",
    "hosting_type": 0,
    "driver_vers": 535_183_001,
    "external": None,
    "rentable": True,
    "static_ip": False,
    "cpu_name": None,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("num_gpus=2 gpu_name=RTX_4090 gpu_ram>=20 dph<0.5", True),
        ("num_gpus>2", False),
        ("num_gpus in [1,2]", True),
        ("num_gpus notin [1,2]", False),
        ("gpu_name in [RTX_3090]", False),
        ("gpu_ram>=24.5", True),
        ("dph<0.41", False),
        ("verified=true external=false rentable=true", True),
        ("verified=false", False),
        ("geolocation in [CA,US]", True),
        ("geolocation=DE", False),
        ("datacenter=true", False),
        ("driver_version>=535.86.05", True),
        ("driver_version>=560.0.0", False),
        ("static_ip=true", False),
        ("cpu_name=EPYC", False),
        ("cpu_name!=EPYC", True),
        ("a_column_that_no_row_has=1", True),
        ("num_gpus!=many", True),
    ],
)
def test_a_row_is_checked_again_on_our_side(text: str, *, holds: bool) -> None:
    assert matches(_ROW, parse_query(text, {})) is holds
