"""Rows are checked again on our side, by every name and unit that the search knows a column by."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.matching import matches
from functions.core.query import parse_query

_ROW = {
    "num_gpus": 2,
    "gpu_name": "RTX 4090",
    "gpu_ram": 24_564,
    "dph_total": Decimal("0.41"),
    "verification": "verified",
    "geolocation": "Quebec, CA",
    "hosting_type": 0,
    "driver_version": "535.183.01",
    "driver_vers": 525_000_000,
    "reliability": 0.99,
    "expected_reliability": 0.97,
    "gpu_total_ram": 49_128,
    "os_version": "22.04",
    "disk_space": 785.5,
    "duration": 4_798_013.1,
    "rented": False,
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
        ("reliability2>0.98", True),
        ("reliability2>0.995", False),
        ("target_reliability>0.98", False),
        ("dphtotal<0.4", False),
        ("gpu_totalram>48", True),
        ("gpu_total_ram>50", False),
        ("ubuntu_version=22.04", True),
        ("allocated_storage>=800", False),
        ("duration>50", True),
        ("duration>60", False),
        ("rented=true", True),
        ("static_ip=true", False),
        ("cpu_name=EPYC", False),
        ("cpu_name!=EPYC", True),
        ("a_column_that_no_row_has=1", True),
        ("num_gpus!=many", True),
    ],
)
def test_a_row_is_checked_again_on_our_side(text: str, *, holds: bool) -> None:
    assert matches(_ROW, parse_query(text, {})) is holds


def test_a_driver_without_a_number_is_judged_by_its_text() -> None:
    row = {"driver_version": "550.54.15", "driver_vers": None}

    assert matches(row, parse_query("driver_version>=550.0.0", {}))


def test_a_number_beyond_all_measure_is_compared_with_nothing() -> None:
    assert not matches({"num_gpus": 10**400}, parse_query("num_gpus=1", {}))


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.lists(st.integers(), max_size=2)


@given(st.dictionaries(st.sampled_from([*_ROW]), VALUES))
def test_no_row_breaks_the_check(changes: dict[str, Any]) -> None:
    filters = parse_query(
        "verified=true num_gpus>=1 gpu_name in [A,B] driver_version>1.2.3 geolocation notin [CN] datacenter=true", {}
    )

    assert matches(_ROW | changes, filters) in {True, False}
