"""The environment: complete, or every fault told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyworker.settings import BadEnvironment, read_environment

GOOD = {
    "HEADGATE_WORKER_ID": "w0-a",
    "HEADGATE_ENDPOINT": "words",
    "REPORT_ADDR": "https://report.example/prefix/",
    "MASTER_TOKEN": "a secret token",
    "CONTAINER_ID": "4711",
    "PUBLIC_IPADDR": "203.0.113.7 ",
    "VAST_TCP_PORT_3000": "41234",
    "BACKEND": "tgi",
    "MODEL_ID": "words",
}


def faults(folder: Path, **changed: str) -> BadEnvironment:
    with pytest.raises(BadEnvironment) as bad:
        read_environment({**GOOD, **changed}, working_directory=folder)
    return bad.value


def test_a_good_environment_says_where_the_worker_is_reached(tmp_path: Path) -> None:
    identity, _ = read_environment(GOOD, working_directory=tmp_path)

    assert identity.url == "http://203.0.113.7:41234"


@pytest.mark.parametrize(("given", "scheme"), [("", "http"), ("auto", "http"), ("false", "http"), ("true", "https")])
def test_only_a_worker_that_requires_tls_says_so_in_its_address(tmp_path: Path, given: str, scheme: str) -> None:
    """Clients that cannot pin take the address as it is; ours take TLS wherever the ticket holds a fingerprint."""
    identity, _ = read_environment({**GOOD, "USE_SSL": given}, working_directory=tmp_path)

    assert identity.url.partition(":")[0] == scheme


def test_the_weight_of_prompts_is_measured_unless_it_is_given(tmp_path: Path) -> None:
    weights = [
        read_environment({**GOOD, "HEADGATE_PROMPT_WEIGHT": given}, working_directory=tmp_path)[1].prompt_weight
        for given in ("", "0", "0.4")
    ]

    assert weights == [None, 0.0, 0.4]


def test_the_control_planes_address_may_have_a_path(tmp_path: Path) -> None:
    identity, _ = read_environment(GOOD, working_directory=tmp_path)

    assert identity.report_url == "https://report.example/prefix"


def test_every_missing_variable_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment) as bad:
        read_environment({}, working_directory=tmp_path)

    named = {problem.split()[0] for problem in bad.value.problems}
    assert named == {*GOOD} - {"MODEL_ID"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REPORT_ADDR", "https://a.example,https://b.example"),
        ("REPORT_ADDR", "ftp://a.example"),
        ("REPORT_ADDR", "report.example"),
        ("CONTAINER_ID", "C.4711"),
        ("VAST_TCP_PORT_3000", "70000"),
        ("BACKEND", "no-such"),
        ("BACKEND", "../tgi"),
        ("BACKEND", "tgi.metrics"),
        ("HEADGATE_LISTEN_PORT", "x"),
        ("HEADGATE_MAX_QUEUE_TIME", "soon"),
        ("HEADGATE_MAX_QUEUE_TIME", "nan"),
        ("HEADGATE_PERF_SECONDS_MAX", "0"),
        ("HEADGATE_SLOTS", "-1"),
        ("HEADGATE_SERVER", "perhaps"),
        ("HEADGATE_PROMPT_WEIGHT", "heavy"),
        ("HEADGATE_MAX_SESSIONS", "-1"),
        ("USE_SSL", "yes"),
        ("MODEL_LAUNCH_COMMAND", "serve 'unfinished"),
        ("MODEL_SERVER_URL", "5001"),
        ("MODEL_ID", ""),
    ],
)
def test_a_bad_variable_is_named(tmp_path: Path, name: str, value: str) -> None:
    assert [problem.split()[0] for problem in faults(tmp_path, **{name: value}).problems] == [name]


def test_a_fault_beside_the_identity_can_be_reported(tmp_path: Path) -> None:
    assert faults(tmp_path, BACKEND="no-such").identity is not None


def test_a_worker_that_does_not_know_who_it_is_cannot_report(tmp_path: Path) -> None:
    assert faults(tmp_path, HEADGATE_WORKER_ID="").identity is None


def test_no_fault_repeats_the_token(tmp_path: Path) -> None:
    assert GOOD["MASTER_TOKEN"] not in str(faults(tmp_path, BACKEND="no-such"))


def test_settings_and_identity_do_not_show_the_token(tmp_path: Path) -> None:
    assert GOOD["MASTER_TOKEN"] not in repr(read_environment(GOOD, working_directory=tmp_path))


def test_the_inference_server_does_not_get_our_credentials(tmp_path: Path) -> None:
    _, settings = read_environment({**GOOD, "CONTAINER_API_KEY": "theirs"}, working_directory=tmp_path)

    assert not {"MASTER_TOKEN", "CONTAINER_API_KEY"} & {*settings.launch_environment}


def test_secrets_are_known_by_their_names(tmp_path: Path) -> None:
    """So that an error report can be kept free of them."""
    _, settings = read_environment({**GOOD, "HF_TOKEN": "hf-secret", "WANDB_API_KEY": "wb-secret"}, working_directory=tmp_path)

    assert settings.secrets == {GOOD["MASTER_TOKEN"], "hf-secret", "wb-secret"}


def test_the_command_given_starts_the_server(tmp_path: Path) -> None:
    _, settings = read_environment({**GOOD, "MODEL_LAUNCH_COMMAND": "serve --name 'a b'"}, working_directory=tmp_path)

    assert settings.launch_command == ("serve", "--name", "a b")


def test_without_a_command_the_backends_script_starts_it(tmp_path: Path) -> None:
    _, settings = read_environment(GOOD, working_directory=tmp_path)

    assert Path(settings.launch_command[-1]).is_file()


def test_a_running_server_is_joined_when_asked(tmp_path: Path) -> None:
    given = {**GOOD, "HEADGATE_SERVER": "join", "MODEL_LAUNCH_COMMAND": "serve"}
    _, settings = read_environment(given, working_directory=tmp_path)

    assert settings.launch_command == ()


def test_the_model_log_stands_in_the_working_directory(tmp_path: Path) -> None:
    _, settings = read_environment({**GOOD, "MODEL_LOG": "logs/model.log"}, working_directory=tmp_path)

    assert settings.model_log == tmp_path / "logs" / "model.log"
