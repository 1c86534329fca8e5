"""`launch_args` and the docker flags inside them."""

from __future__ import annotations

import pytest

from functions.core.launch_args import LaunchArgs, MalformedLaunchArgs, parse_docker_flags, parse_launch_args


def test_no_flags_say_nothing() -> None:
    assert parse_launch_args("") == LaunchArgs()


def test_flags_are_read_with_the_shell_s_quoting() -> None:
    launch = parse_launch_args("--image my/image:1 --env '-e A=b -e \"C=d e\" -p 8000:8000' --onstart-cmd 'echo hi' --ssh --direct")

    assert launch.values == {"image": "my/image:1", "onstart": "echo hi"}
    assert launch.env == {"A": "b", "C": "d e", "-p 8000:8000": "1"}
    assert launch.runtype == "ssh_direc ssh_proxy"


def test_a_value_may_follow_an_equals_sign() -> None:
    assert parse_launch_args("--image=my/image:1").values == {"image": "my/image:1"}


def test_everything_after_args_belongs_to_the_container() -> None:
    launch = parse_launch_args("--args --model-id x --image y")

    assert launch.args == ("--model-id", "x", "--image", "y")
    assert launch.runtype == "args"


@pytest.mark.parametrize(
    ("text", "runtype"),
    [
        ("--ssh", "ssh_proxy"),
        ("--jupyter", "jupyter_proxy ssh_proxy"),
        ("--jupyter --direct", "jupyter_direc ssh_direc ssh_proxy"),
        ("--direct", None),
    ],
)
def test_the_run_type_is_spelled_as_the_api_spells_it(text: str, runtype: str | None) -> None:
    assert parse_launch_args(text).runtype == runtype


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("--bid_price 0.1", "interruptible"),
        ("--label mine", "label"),
        ("--disk 50", "disk_gb"),
        ("--frobnicate", "unknown flag"),
        ("--image", "needs a value"),
        ("--env '-x 1'", "docker option"),
        ("--env 'unclosed", "launch_args"),
    ],
)
def test_a_flag_that_is_not_ours_to_pass_on_is_refused_with_the_reason(text: str, named: str) -> None:
    with pytest.raises(MalformedLaunchArgs, match=named):
        parse_launch_args(text)


def test_docker_flags_become_the_environment_object_of_the_api() -> None:
    flags = parse_docker_flags("-e FOO=bar -p 8081:8081/udp -h billy --network host")

    assert flags == {"FOO": "bar", "-p 8081:8081/udp": "1", "-h": "billy", "--network host": "1"}
