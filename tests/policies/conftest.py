"""The real program's stack, as the rules see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.program import main
from policies.declared import Declared
from tests.infra.recording import record
from tests.infra.stack_files import as_file, autogroup, endpoint


@pytest.fixture(scope="session")
def real() -> list[Declared]:
    """Every resource of a stack with two endpoint groups and a secret environment."""
    fast = autogroup(env={"MODEL_ID": "m"}, secret_env={"HF_TOKEN": "hf_secret_of_the_group"})
    configured = as_file(endpoints={"llm": endpoint(autogroups={"fast": fast}), "hello": endpoint()}, alarmEmail="ops@example.org")
    return record(lambda: main(lambda _target: Path("functions.zip")), configured).declared()
