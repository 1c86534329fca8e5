"""The list of modules in the package's docstring is the folder's."""

from __future__ import annotations

import re
from pathlib import Path

from functions import core

_LISTED = re.compile(r"[:;] ([a-z_, ]+)(?=;|$)", re.MULTILINE)


def test_every_module_is_listed_once() -> None:
    assert core.__doc__ is not None
    listed = [name.strip() for names in _LISTED.findall(core.__doc__.partition("\n* ")[2]) for name in re.split(",", names)]
    folder = Path(core.__file__).parent

    assert sorted(listed) == sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
