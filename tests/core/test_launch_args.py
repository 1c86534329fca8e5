"""`launch_args` and the docker flags inside them."""

from __future__ import annotations

import argparse
import ast
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vastai.api import instances as official

from functions.core.launch_args import LaunchArgs, MalformedLaunchArgs, parse_docker_flags, parse_launch_args


def test_no_flags_say_nothing() -> None:
    assert parse_launch_args("") == LaunchArgs()


def test_flags_are_read_with_the_shell_s_quoting() -> None:
    launch = parse_launch_args("--image my/image:1 --env '-e A=b -e \"C=d e\" -p 8000:8000' --onstart-cmd 'echo hi' --ssh --direct")

    assert (launch.image, launch.onstart) == ("my/image:1", "echo hi")
    assert launch.env == {"A": "b", "C": "d e", "-p 8000:8000": "1"}
    assert launch.runtype == "ssh_direc ssh_proxy"


def test_a_value_may_follow_an_equals_sign() -> None:
    assert parse_launch_args("--image=my/image:1").image == "my/image:1"


def test_a_flag_may_be_abbreviated_as_on_the_command_line() -> None:
    assert parse_launch_args("--templ abc --python").template_hash == "abc"


def test_an_entry_point_is_what_is_run_at_the_start_unless_that_is_given() -> None:
    assert parse_launch_args("--entrypoint bash").onstart == "bash"
    assert parse_launch_args("--entrypoint bash --onstart-cmd echo").onstart == "echo"


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
        ("--jupyter-lab", "jupyter_proxy ssh_proxy"),
        ("--jupyter-dir /work --direct", "jupyter_direc ssh_direc ssh_proxy"),
        ("--ssh --args serve", "ssh_proxy"),
        ("--args", "args"),
        ("--direct", "ssh"),
        ("--user root", None),
    ],
)
def test_the_run_type_is_spelled_as_the_api_spells_it(text: str, runtype: str | None) -> None:
    assert parse_launch_args(text).runtype == runtype


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("--bid_price 0.1", "max_bid_usd"),
        ("--label mine", "label"),
        ("--disk 50", "disk_gb"),
        ("--dis 50", "disk_gb"),
        ("--login '-u me -p secret reg'", "image_login"),
        ("--onstart run.sh", "names a file"),
        ("--link-volume 7 --mount-path /data", "outlives"),
        ("--api-key abc", "kept secret"),
        ("--frobnicate", "unknown flag"),
        ("a-word", "unknown flag"),
        ("--image", "expected one argument"),
        ("--image --ssh", "expected one argument"),
        ("--on x", "ambiguous"),
        ("--jupyter --args serve", "exclude each other"),
        ("--env '-x 1'", "docker option"),
        ("--env '-p http'", "8000:8000"),
        ("--env '-e NAME'", "NAME=value"),
        ("--env '-e A=b -p'", "needs a value"),
        ("--env 'unclosed", "launch_args"),
    ],
)
def test_a_flag_that_is_not_ours_to_pass_on_is_refused_with_the_reason(text: str, named: str) -> None:
    with pytest.raises(MalformedLaunchArgs, match=named):
        parse_launch_args(text)


def test_a_refusal_never_quotes_a_login() -> None:
    with pytest.raises(MalformedLaunchArgs) as told:
        parse_launch_args("--login '-u me -p secret reg'")
    assert "secret reg" not in str(told.value)


def test_docker_flags_become_the_environment_object_of_the_api() -> None:
    flags = parse_docker_flags("-e FOO=bar -p 8081:8081/udp -h billy --network host")

    assert flags == {"FOO": "bar", "-p 8081:8081/udp": "1", "-h": "billy", "--network host": "1"}


def official_arguments() -> argparse.ArgumentParser:
    """Return a parser of the flags of the official command, as its own module declares them."""
    source = Path(official.__file__).parent.parent / "cli" / "commands" / "instances.py"
    declared = next(
        node.value
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_create_instance_args"
    )
    assert isinstance(declared, ast.List)
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    for each in declared.elts:
        assert isinstance(each, ast.Call)
        names = {"str": str, "int": int, "float": float}
        options = {
            word.arg: names[word.value.id] if isinstance(word.value, ast.Name) else ast.unparse(word.value).strip("'")
            for word in each.keywords
            if word.arg in {"type", "action"}
        }
        if ast.literal_eval(each.args[0]) == "--args":
            options = {"nargs": argparse.REMAINDER}
        parser.add_argument(ast.literal_eval(each.args[0]), **options)  # type: ignore[arg-type]
    return parser


OFFICIAL = official_arguments()
FLAGS = st.sampled_from(
    [
        "--ssh",
        "--jupyter",
        "--direct",
        "--jupyter-lab",
        "--jupyter-dir=/w",
        "--image=a/b:1",
        "--image a/b:1",
        "--templ abc",
        "--user root",
        "--env '-e A=b -p 80:80/tcp -h host -v a:b'",
        "--onstart-cmd 'echo hi'",
        "--entrypoint bash",
        "--lang-utf8",
        "--python-utf8",
        "--force",
        "--cancel-unavail",
        "--extra x",
        "--args a --ssh",
        "--args",
    ]
)


@given(st.lists(FLAGS, max_size=5).map(" ".join))
def test_what_ours_accepts_the_official_command_sends_alike(text: str) -> None:
    try:
        ours = parse_launch_args(text)
    except MalformedLaunchArgs:
        return
    said = OFFICIAL.parse_args(shlex.split(text))
    runtype, args = official.resolve_runtype(
        ssh=said.ssh,
        jupyter=said.jupyter,
        direct=said.direct,
        args=said.args,
        jupyter_lab=said.jupyter_lab,
        jupyter_dir=said.jupyter_dir,
        default="ssh",
    )
    body = official.build_create_instance_payload(
        image=said.image, env=said.env, onstart_cmd=said.onstart_cmd or said.entrypoint, template_hash=said.template_hash
    )

    assert (ours.runtype or "ssh", list(ours.args or ()) or None) == (runtype, args or None)
    assert (ours.image, ours.template_hash, ours.env, ours.onstart) == (
        body["image"],
        body["template_hash_id"],
        body["env"],
        body["onstart"],
    )
    assert (ours.user, ours.extra, ours.jupyter_dir) == (said.user, said.extra, said.jupyter_dir)
    assert (ours.jupyter_lab, ours.lang_utf8, ours.python_utf8, ours.force) == (
        said.jupyter_lab,
        said.lang_utf8,
        said.python_utf8,
        said.force,
    )


def test_every_flag_of_the_official_command_is_known_here() -> None:
    flags = {option for action in OFFICIAL._actions for option in action.option_strings}  # noqa: SLF001 - argparse tells it nowhere else

    assert {flag for flag in flags if "unknown flag" in _refusal(flag)} == set()


def _refusal(flag: str) -> str:
    try:
        parse_launch_args(f"{flag} 1")
    except MalformedLaunchArgs as refused:
        return str(refused).replace("1: unknown flag", "")  # a switch takes no value
    return ""
