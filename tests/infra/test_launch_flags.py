"""Launch arguments are refused before anything is deployed where the scaler would refuse to rent with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.launch_args import parse_launch_args
from infra.launch_flags import DOCKER_FLAGS, SWITCHES, VALUED, launch_faults
from tests.infra.stack_files import autogroup, endpoint, faults


@pytest.mark.parametrize(
    "text", ["", "--ssh --direct --env '-e A=b -p 8000:8000'", "--user=x --onstart-cmd 'a b'", "--args serve --port 1"]
)
def test_known_flags_have_no_faults(text: str) -> None:
    assert launch_faults(text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("--direkt", "holds '--direkt', which is no flag that is passed on ('--direct' is meant?)"),
        ("--disk 40", "holds '--disk', set 'disk_gb' instead"),
        ("--env", "ends after '--env', which needs a value"),
        ("--env '--privileged x'", "holds '--privileged' in '--env', which is no docker option that is passed on"),
        ("--env '-e A=b -p'", "ends after '-p' in '--env', which needs a value"),
        ("--env '-p http'", "holds '-p http' in '--env', which is not of the form 8000:8000 or 8000:8000/udp"),
        ("--env '-e NAME'", "holds a '-e' in '--env' that is not of the form NAME=value"),
        (
            "--onstart-cmd -x",
            "has no value between '--onstart-cmd' and '-x'; write --onstart-cmd=… for a value that begins with a hyphen",
        ),
        (
            "--user --env='-e A=b'",
            "has no value between '--user' and '--env=-e A=b'; write --user=… for a value that begins with a hyphen",
        ),
        ("--login '-u a -p b'", "holds '--login', which is not secret here: set 'image_login' instead"),
        ("--bid_price=0.1", "holds '--bid_price', set 'rental_type', 'bid_factor' and 'max_bid_usd' instead"),
        ("--link-volume 7", "holds '--link-volume', a volume outlives its instance and goes on billing"),
        ("--ssh=yes", "holds '--ssh', which takes no value"),
        ("--jupyter-lab --args serve", "holds '--args', which Jupyter excludes: set 'onstart' instead"),
        ("--env 'a", "cannot be read: No closing quotation"),
    ],
)
def test_a_fault_names_the_flag(text: str, fault: str) -> None:
    assert fault in launch_faults(text)


def test_a_stack_file_with_unknown_flags_is_refused() -> None:
    (found,) = faults(endpoints={"llm": endpoint(autogroups={"fast": autogroup(launch_args="--direkt")})})

    assert found.startswith("headgate:endpoints.llm.autogroups.fast.launch_args = '--direkt': holds '--direkt'")


@pytest.mark.parametrize("text", ["--login '-u a -p b'", "--disk=40", "--label x"])
def test_a_flag_that_is_ours_to_set_is_one_fault(text: str) -> None:
    assert len(launch_faults(text)) == 1


WORDS = st.sampled_from(
    [
        *SWITCHES,
        *VALUED,
        *DOCKER_FLAGS,
        "--args",
        "--disk",
        "a",
        "A=b",
        "'-e A=b'",
        "'-p 1:1 -h x'",
        "'-x'",
        "--env='-e A=b'",
        "--env=-e",
        "--user=-x",
    ]
)


@given(st.lists(WORDS, max_size=6).map(" ".join) | st.text(alphabet="-eap ='\\", max_size=12))
def test_the_scaler_can_read_all_launch_arguments_without_faults(text: str) -> None:
    if not launch_faults(text):
        parse_launch_args(text)
