"""One run of the program for all tests of what it declares: importing the SDK costs a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.program import main
from tests.infra.recording import RecordedStack, record
from tests.infra.stack_files import as_file, autogroup, endpoint

CODE = Path("functions.zip")


@pytest.fixture(scope="session")
def stack() -> RecordedStack:
    """The stack `test`: group `llm` with a secret environment, group `hello`, two API keys."""
    fast = autogroup(
        backend="tgi",
        env={"MODEL_ID": "m"},
        secret_env={"HF_TOKEN": "hf_secret_of_the_group"},
        image_login="-u somebody -p registry_password registry.test",
    )
    configured = as_file(
        endpoints={
            "llm": endpoint(autogroups={"fast": fast, "cheap": autogroup(image=None, template_hash="4e17788f")}),
            "hello": endpoint(),
        },
        apiKeys={"website": {"endpoints": ["llm"]}, "all": {"endpoints": ["llm", "hello"]}},
        alarmEmail="ops@example.org",
        tags={"team": "inference"},
    )
    return record(lambda: main(lambda _target: CODE), configured)
