"""`docs/backends.md` against the backends: routes, variables, and loads that a client computes from it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest

from pyworker.backend import load_backend

ROOT: Final = Path(__file__).resolve().parents[3]
BACKENDS: Final = ROOT / "worker_image" / "pyworker" / "backends"
PAGE: Final = (ROOT / "docs" / "backends.md").read_text()
NAMES: Final = sorted(path.parent.name for path in BACKENDS.glob("*/backend.py"))
# Of every worker, in worker_image/README.md; or the shell's.
COMMON: Final = frozenset({"MODEL_SERVER_URL", "HEADGATE_SLOTS", "COLUMNS"})
PROMPT_WEIGHT: Final = 0.2


def section(name: str) -> str:
    return re.split(rf"^## {name}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]


def rows(text: str, heading: str) -> list[list[str]]:
    """The rows of the table with this first heading, cells stripped."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)*)", text + "\n", flags=re.MULTILINE)
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()] if table else []


def used(name: str) -> set[str]:
    """The variables that a backend's code and launch script read."""
    found: set[str] = set()
    for path in (BACKENDS / name).glob("*.py"):
        found |= set(re.findall(r'(?:environ(?:\.get)?[\[(]|bearer\(|chosen\()\s*"([A-Z_0-9]+)"', path.read_text()))
    script = BACKENDS / name / "launch.sh"
    return (found | set(re.findall(r"\$\{?([A-Z][A-Z_0-9]+)", script.read_text() if script.is_file() else ""))) - COMMON


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_of_a_backend_is_in_its_table(name: str) -> None:
    assert used(name) <= {row[0] for row in rows(section(name), "variable")}


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_in_a_table_is_the_backends(name: str) -> None:
    text = "".join(path.read_text() for path in sorted((BACKENDS / name).glob("*")) if path.is_file())
    shared = (BACKENDS / "openai" / "dialect.py").read_text()

    assert [row[0] for row in rows(section(name), "variable") if row[0] not in text + shared] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "vastai"])
def test_a_table_names_the_routes_that_are_served(name: str) -> None:
    told = [row[0] for row in rows(section(name), "route") if "instead of these" not in row[1]]

    assert sorted(told) == sorted(route.path for route in load_backend(name).routes)


def test_the_other_api_of_ooba_is_the_route_named_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOBA_API", "blocking")

    assert [route.path for route in load_backend("ooba").routes] == [rows(section("ooba"), "route")[-1][0]]


@pytest.mark.parametrize(("name", "path", "payload", "load"), rows(PAGE, "backend"))
def test_an_example_has_the_load_that_the_page_says(name: str, path: str, payload: str, load: str) -> None:
    route = next(route for route in load_backend(name).routes if route.path == path)

    assert route.load(json.loads(payload), PROMPT_WEIGHT) == pytest.approx(float(load))
