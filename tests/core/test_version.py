"""What makes a version of an autogroup, and what does not."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from functions.core.model import Autogroup, RentalType
from functions.core.version import BORN_WITH, VERSION_LENGTH, reborn, version_of
from tests.core.builders import an_autogroup

BORN: dict[str, Any] = {
    "image": "tgi:2",
    "template_hash": "4e17788f",
    "env": {"MODEL_ID": "m"},
    "onstart": "echo",
    "launch_args": "--ssh",
    "disk_gb": 32.0,
    "report_addr_token": True,
}
NEXT: dict[str, Any] = {
    "on_demand_fallback": True,
    "name": "b",
    "search_params": "num_gpus=2",
    "search_order": "dph_total",
    "gpu_ram": 24.0,
    "download_gb": 9.0,
    "traffic_gb_per_hour": 1.0,
    "rental_type": RentalType.INTERRUPTIBLE,
    "bid_factor": 2.0,
    "max_bid_micro_usd": 5,
    "boot_timeout_s": 60.0,
}


def test_every_field_of_an_autogroup_either_makes_a_version_or_concerns_the_next_rent() -> None:
    assert sorted((*BORN_WITH, *NEXT)) == sorted(field.name for field in fields(Autogroup))


@pytest.mark.parametrize("name", BORN_WITH)
def test_what_a_worker_is_born_with_makes_another_version(name: str) -> None:
    assert version_of(replace(an_autogroup(), **{name: BORN[name]})) != version_of(an_autogroup())


@pytest.mark.parametrize("name", NEXT)
def test_what_concerns_the_next_rent_alone_makes_no_other_version(name: str) -> None:
    assert version_of(replace(an_autogroup(), **{name: NEXT[name]})) == version_of(an_autogroup())


def test_another_secret_makes_another_version() -> None:
    versions = {version_of(an_autogroup(), secrets=digest) for digest in ("", "a", "b")}

    assert len(versions) == 3


def test_the_order_of_the_environment_makes_no_difference() -> None:
    forth, back = {"A": "1", "B": "2"}, {"B": "2", "A": "1"}

    assert version_of(an_autogroup(env=forth)) == version_of(an_autogroup(env=back))


def test_a_version_is_the_same_for_ever() -> None:
    """A field that is added to autogroups must not make every worker there is one of an older version."""
    assert version_of(an_autogroup(env={"MODEL_ID": "m"}, disk_gb=40.0), secrets="d") == "ccd6f69ba67c"
    assert len(version_of(an_autogroup())) == VERSION_LENGTH


def test_what_is_rented_as_before_is_found_and_paid_for_as_today() -> None:
    today = an_autogroup(image="tgi:2", search_params="num_gpus=2", disk_gb=64.0, boot_timeout_s=60.0)
    earlier = an_autogroup(image="tgi:1", search_params="num_gpus=1")

    assert reborn(today, earlier) == replace(today, image="tgi:1", disk_gb=16.0)
