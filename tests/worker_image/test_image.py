"""The image's recipe: everything pinned, everything it copies there and let through."""

from __future__ import annotations

import os
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
DOCKERFILE: Final = (ROOT / "worker_image" / "Dockerfile").read_text()
SCRIPTS: Final = sorted((ROOT / "worker_image").rglob("*.sh"))


def arguments() -> dict[str, str]:
    return dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, flags=re.MULTILINE))


def bases() -> list[str]:
    """Every image that a stage starts from, arguments filled in."""
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE)
    return [re.sub(r"\$\{(\w+)\}", lambda name: arguments()[name[1]], image) for image in images]


def copied() -> list[str]:
    """Every path of the repository that is copied."""
    lines = [line for line in DOCKERFILE.splitlines() if line.startswith("COPY ") and "--from" not in line]
    return [next(word for word in line.split()[1:] if not word.startswith("--")) for line in lines]


@pytest.mark.parametrize("image", bases())
def test_a_base_image_has_an_exact_version(image: str) -> None:
    # `3.3.7`, `v0.5.20-cu130`, `server-cuda-b11243`, `default-v1.7`
    assert re.search(r":(?:[a-z]+-)*(?:v?\d+\.\d+(?:\.\d+)?|b\d+)(?:-[\w.]+)*$", image)


def test_every_backend_has_a_target() -> None:
    folders = {path.parent.name for path in (ROOT / "worker_image" / "pyworker" / "backends").glob("*/backend.py")}

    assert folders <= set(re.findall(r"^FROM \S+ AS (\w+)", DOCKERFILE, flags=re.MULTILINE))


@pytest.mark.parametrize("target", re.findall(r"ENV BACKEND=(\w+)", DOCKERFILE))
def test_a_target_runs_the_backend_of_its_name(target: str) -> None:
    assert re.search(rf" AS {target}\n(?:(?!FROM ).*\n)*?ENV BACKEND={target}\b", DOCKERFILE)


def test_packages_are_installed_by_hash() -> None:
    assert "--require-hashes" in DOCKERFILE
    assert "--hash=sha256:" in (ROOT / "requirements" / "worker.txt").read_text()


def test_the_image_and_the_project_use_one_uv() -> None:
    assert f'"uv=={arguments()["UV_VERSION"]}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("path", copied())
def test_what_is_copied_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", copied())
def test_what_is_copied_is_let_through(path: str) -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]

    assert any(path == rule[1:].rstrip("/") or fnmatch(path, rule[1:] + "*") for rule in rules)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_can_be_run_and_parsed(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0  # noqa: S607 - whichever sh there is
