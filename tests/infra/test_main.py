"""The program as the CLI runs it: the folder `infra`, with the code that is really packaged."""

from __future__ import annotations

import runpy
import sys
import zipfile

import pytest

from infra.code_package import REPOSITORY
from tests.infra.recording import record
from tests.infra.stack_files import as_file


@pytest.fixture
def in_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give back the path of modules afterwards, which the program extends."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in {"", str(REPOSITORY)}])


def as_the_cli_runs_it() -> None:
    runpy.run_path(str(REPOSITORY / "infra"), run_name="__main__")


@pytest.mark.usefixtures("in_folder")
def test_the_folder_runs_as_a_program() -> None:
    stack = record(as_the_cli_runs_it, as_file(packageTarget="local"))

    assert "route_url" in stack.outputs


def test_no_file_of_the_program_hides_a_module_of_the_standard_library() -> None:
    assert not {path.stem for path in (REPOSITORY / "infra").glob("*.py")} & set(sys.stdlib_module_names) - {"__init__", "__main__"}


@pytest.mark.usefixtures("in_folder")
def test_every_function_of_a_stack_runs_the_packaged_code() -> None:
    stack = record(as_the_cli_runs_it, as_file(packageTarget="local"))

    handlers = {function.inputs["handler"] for function in stack.of("lambda/function:Function")}
    (code,) = {function.inputs["code"].path for function in stack.of("lambda/function:Function")}
    with zipfile.ZipFile(code) as archive:
        files = set(archive.namelist())
    assert {f"{handler.removesuffix('.handler').replace('.', '/')}.py" for handler in handlers} <= files
