"""The extension guide, done as it says: its code is written to files and run, by the real worker."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from protocol.report import Phase
from tests.worker_image.control_plane import FakeControlPlane
from tests.worker_image.process import ROOT, environment, free_port, running_worker
from tests.worker_image.test_worker import phase_of
from tests.worker_image.waiting import until_async

GUIDE: Final = (ROOT / "docs" / "extending-pyworker.md").read_text()
FILES: Final[dict[str, str]] = dict(re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))
LINES_MAX: Final = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the worker with the guide's files where the guide puts them."""
    shutil.copytree(ROOT / "worker_image" / "pyworker", tmp_path / "pyworker", ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in FILES.items():
        path = tmp_path / name if "/" not in name else tmp_path / "pyworker" / "backends" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    return tmp_path


def given(folder: Path, plane: FakeControlPlane, **changed: str) -> dict[str, str]:
    """The guide's environment: what identifies the worker, and our copy in the place of the real one."""
    model_port = free_port()
    own = {
        "PYTHONPATH": f"{folder}:{ROOT}",
        "MODEL_ID": "",
        "MODEL_SERVER_URL": f"http://127.0.0.1:{model_port}",
        "MODEL_LAUNCH_COMMAND": f"{sys.executable} {folder / 'story_server.py'} {model_port}",
        "STORY_SERVER": str(folder / "story_server.py"),
        "STORY_PYTHON": sys.executable,
    }
    return environment(plane, port=free_port(), **(own | changed))


async def told(plane: FakeControlPlane, url: str, payload: dict[str, Any]) -> list[bytes]:
    """Return the lines of a story."""
    async with aiohttp.ClientSession() as session, session.post(url + "/tell", json=plane.body(payload)) as reply:
        return (await reply.read()).splitlines()


def test_the_guide_holds_the_files_of_two_backends() -> None:
    assert sorted(FILES) == [
        "least/backend.py",
        "stories/backend.py",
        "stories/launch.sh",
        "stories/logwatch.py",
        "stories/metrics.py",
        "story_server.py",
    ]


def test_the_least_backend_is_short() -> None:
    assert len(FILES["least/backend.py"].splitlines()) < LINES_MAX


async def test_the_least_backend_serves(folder: Path) -> None:
    async with FakeControlPlane().serving() as plane, running_worker(folder, given(folder, plane, BACKEND="least")) as worker:
        await phase_of(plane, Phase.READY)
        lines = await told(plane, worker.url, {"theme": "sea", "words": 3})

        assert (lines[-1], plane.last.slots) == (b'{"word": "sea2"}', 1)


async def test_the_whole_backend_is_launched_measured_and_serves(folder: Path) -> None:
    """Two listeners at a time, a word in five milliseconds: at most 400 words a second."""
    async with FakeControlPlane().serving() as plane:
        own = given(folder, plane, BACKEND="stories", MODEL_LAUNCH_COMMAND="")
        async with running_worker(folder, own) as worker:
            await phase_of(plane, Phase.READY)
            lines = await told(plane, worker.url, {"theme": "sea", "words": 3})
            await until_async(lambda: plane.last.queue_depth is not None, what="the queue is told")

            assert (len(lines), plane.last.slots, plane.last.queue_depth) == (3, 2, 0)
            assert 100 < plane.last.perf <= 420
