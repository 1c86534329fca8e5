"""The emulator as a process: it comes up alone, sees nothing of the user's, says when it dies, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from sandbox.aws.emulator import Emulator, EmulatorSettings
from sandbox.aws.errors import EmulatorFailed, PortTaken
from tests.sandbox.aws.bare_function import invoke, make_function
from tests.waiting import until

DEADLINE_S = 20.0
WHERE = "import os; return os.path.dirname(os.path.realpath(__file__))"


@pytest.fixture
def own() -> Iterator[Emulator]:
    """An emulator that a test may kill."""
    with Emulator(EmulatorSettings()) as running:
        yield running


def folder_of(emulator: Emulator) -> Path:
    return Path(psutil.Process(emulator.pid).cwd()).parent


def start_busy_function(emulator: Emulator) -> psutil.Process:
    """Start a function that runs for a minute; give its process once it runs."""
    name = make_function(emulator, "import threading; threading.Event().wait(60)")
    emulator.client("lambda").invoke(FunctionName=name, InvocationType="Event")
    children = until(psutil.Process(emulator.pid).children, deadline_s=DEADLINE_S, what="the function's process")
    return children[0]


def has_ended(process: psutil.Process) -> bool:
    """Tell whether a process is gone, or only waits for its parent to notice."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_it_listens_on_loopback_and_on_one_port_alone(emulator: Emulator) -> None:
    listening = [entry.laddr for entry in psutil.Process(emulator.pid).net_connections() if entry.status == "LISTEN"]

    assert [f"http://{address.ip}:{address.port}" for address in listening] == [emulator.endpoint_url]


def test_two_at_a_time_do_not_meet(emulator: Emulator, own: Emulator) -> None:
    assert emulator.endpoint_url != own.endpoint_url


def test_a_running_one_is_alive(emulator: Emulator) -> None:
    emulator.ensure_alive()

    assert emulator.poll() is None


def test_stopping_leaves_no_process(own: Emulator) -> None:
    processes = [psutil.Process(own.pid), start_busy_function(own)]

    own.stop()

    assert until(lambda: all(has_ended(process) for process in processes))


def test_stopping_leaves_no_file(own: Emulator) -> None:
    folder = folder_of(own)
    start_busy_function(own)

    own.stop()

    assert not folder.exists()


def test_stopping_twice_is_harmless(own: Emulator) -> None:
    own.stop()
    own.stop()

    assert own.poll() is not None


def test_functions_do_not_outlive_a_killed_emulator(own: Emulator) -> None:
    function = start_busy_function(own)
    os.kill(own.pid, signal.SIGKILL)

    own.stop()

    assert until(lambda: has_ended(function))


def test_death_is_told_with_its_cause() -> None:
    told = threading.Event()
    messages: list[str] = []

    def on_death(message: str) -> None:
        messages.append(message)
        told.set()

    with Emulator(EmulatorSettings(), on_death=on_death) as dying:
        os.kill(dying.pid, signal.SIGKILL)
        assert told.wait(DEADLINE_S)

    assert [message.splitlines()[0] for message in messages] == ["the AWS emulator ended by signal SIGKILL; the end of its log:"]


def test_a_stop_is_no_death() -> None:
    messages: list[str] = []

    with Emulator(EmulatorSettings(), on_death=messages.append) as stopped:
        watcher = next(thread for thread in threading.enumerate() if thread.name == f"aws-emulator-{stopped.pid}")
    watcher.join(DEADLINE_S)

    assert messages == []


def test_a_dead_one_says_so_when_asked(own: Emulator) -> None:
    os.kill(own.pid, signal.SIGKILL)

    with pytest.raises(EmulatorFailed, match="SIGKILL"):
        own.ensure_alive()


ORPHANED = """
import sys
from sandbox.aws.emulator import Emulator, EmulatorSettings
import psutil, pathlib
emulator = Emulator(EmulatorSettings())
print(emulator.pid, pathlib.Path(psutil.Process(emulator.pid).cwd()).parent, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def orphan() -> tuple[int, Path]:
    """An emulator whose parent was killed: its process id and its folder."""
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        parent.kill()
    return int(pid), Path(folder)


def test_it_ends_with_a_parent_that_was_killed(orphan: tuple[int, Path]) -> None:
    pid, _ = orphan

    assert until(lambda: not psutil.pid_exists(pid) or has_ended(psutil.Process(pid)), deadline_s=DEADLINE_S)


def test_it_takes_its_files_along_when_its_parent_was_killed(orphan: tuple[int, Path]) -> None:
    _, folder = orphan

    assert until(lambda: not folder.exists(), deadline_s=DEADLINE_S)


def test_a_port_in_use_is_refused_by_number(emulator: Emulator) -> None:
    port = int(emulator.endpoint_url.rpartition(":")[2])

    with pytest.raises(PortTaken, match=str(port)):
        Emulator(EmulatorSettings(port=port))


def test_a_missing_interpreter_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(EmulatorFailed, match="make setup"):
        Emulator(EmulatorSettings(interpreter=tmp_path / "python"))


def test_one_that_cannot_start_shows_its_log() -> None:
    """The tests' own interpreter has no ministack."""
    with pytest.raises(EmulatorFailed, match="ModuleNotFoundError"):
        Emulator(EmulatorSettings(interpreter=Path(sys.executable)))


@pytest.fixture
def logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Look like the machine of somebody who works with AWS, through a proxy, with a broken profile."""
    (tmp_path / "config").write_text("[profile work]\nregion = ap-southeast-2\nsso_session = gone\n")
    for name, value in {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "work",
        "AWS_REGION": "ap-southeast-2",
        "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1",
        "AWS_DEFAULTS_MODE": "no-such-mode",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("logged_in")
def test_clients_use_nothing_of_the_users_settings() -> None:
    with Emulator(EmulatorSettings()) as isolated:
        identity = isolated.client("sts").get_caller_identity()

        assert identity["Account"] == isolated.account_id


@pytest.mark.usefixtures("logged_in")
def test_functions_see_nothing_of_the_users_environment() -> None:
    with Emulator(EmulatorSettings()) as isolated:
        environment = invoke(isolated, make_function(isolated, "import os; return dict(os.environ)"))

    assert not {"AWS_PROFILE", "HTTP_PROXY", "AKIAREALREALREALREAL", "real"} & {*environment, *environment.values()}


def test_functions_are_told_where_aws_is(emulator: Emulator) -> None:
    function = make_function(emulator, "import os; return os.environ['AWS_ENDPOINT_URL']")

    assert invoke(emulator, function) == emulator.endpoint_url


def test_functions_find_the_boto3_of_the_runtime(emulator: Emulator) -> None:
    assert invoke(emulator, make_function(emulator, "import boto3; return boto3.__name__")) == "boto3"


def test_functions_of_the_same_code_share_its_files(emulator: Emulator) -> None:
    folders = {invoke(emulator, make_function(emulator, WHERE)) for _ in range(2)}

    assert len(folders) == 1


def test_code_outlives_one_of_the_functions_that_share_it(emulator: Emulator) -> None:
    first, second = (make_function(emulator, WHERE) for _ in range(2))
    folder = invoke(emulator, first)
    emulator.client("lambda").delete_function(FunctionName=first)

    assert invoke(emulator, second) == folder


def test_functions_do_not_find_what_only_the_project_has(emulator: Emulator) -> None:
    looks = "import importlib.util; return importlib.util.find_spec('pulumi') is None"

    assert invoke(emulator, make_function(emulator, looks)) is True


def test_a_function_has_the_rights_of_its_role_and_no_others(emulator: Emulator) -> None:
    body = "from botocore.session import Session; Session().create_client('dynamodb').list_tables()"

    answer = invoke(emulator, make_function(emulator, body))

    assert "is not authorized to perform: dynamodb:ListTables" in answer["errorMessage"]


def test_a_schedule_fires(emulator: Emulator) -> None:
    """A one-time schedule, since AWS's shortest interval is a minute."""
    queue = emulator.client("sqs").create_queue(QueueName="fired")["QueueUrl"]
    client = "__import__('botocore.session').session.Session().create_client('sqs')"
    send = f"{client}.send_message(QueueUrl='{queue}', MessageBody=event['word'])"
    allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    name = make_function(emulator, send, statements=(allowed,))
    described = emulator.client("lambda").get_function_configuration(FunctionName=name)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")

    emulator.client("scheduler").create_schedule(
        Name="once",
        ScheduleExpression=f"at({now})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": described["FunctionArn"], "RoleArn": described["Role"], "Input": '{"word": "tick"}'},
    )

    received = emulator.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=20)
    assert [message["Body"] for message in received["Messages"]] == ["tick"]


def test_a_function_url_is_rewritten_to_where_it_is_served(emulator: Emulator) -> None:
    url = "https://abc123.lambda-url.eu-central-1.on.aws/route/?a=1"

    assert emulator.reachable_url(url) == f"{emulator.endpoint_url}/_aws/lambda-url/abc123/route/?a=1"


def test_any_other_url_is_left_as_it_is(emulator: Emulator) -> None:
    assert emulator.reachable_url("https://example.com/route/") == "https://example.com/route/"
