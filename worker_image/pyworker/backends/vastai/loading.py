"""Run a worker file until it would serve, and keep what it says.

The file is run as the program that it is (`__name__` is `__main__`), with `vastai` being `surface`, and its own folder, that
folder's parents and VASTAI_PATH on the import path: such files stand in a repository and import from its top. What it starts
beside, a server or a thread, goes on.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pyworker.backend import BadBackend
from pyworker.backends.vastai.surface import Captured, WorkerConfig, modules

PARENTS: Final = 3


def load_worker_file(path: Path) -> WorkerConfig:
    """Return the configuration of the worker that the file runs. Raises BadBackend."""
    if not path.is_file():
        raise BadBackend(f"VASTAI_WORKER={path} is no file; it names a worker.py")
    try:
        with _imports(path.resolve()):
            runpy.run_path(str(path), run_name="__main__")
    except Captured as captured:
        return captured.config
    except ImportError as exc:
        remedy = "put the folder that has it on VASTAI_PATH"
        raise BadBackend(f"VASTAI_WORKER={path} imports what is not there ({exc}): {remedy}") from exc
    except (Exception, SystemExit) as exc:
        # The file is its owner's program: whatever it raises, they must hear of it.
        raise BadBackend(f"VASTAI_WORKER={path} failed: {type(exc).__name__}: {exc}") from exc
    raise BadBackend(f"VASTAI_WORKER={path} ran to its end without running a Worker")


@contextmanager
def _imports(path: Path) -> Iterator[None]:
    given = [folder for folder in os.environ.get("VASTAI_PATH", "").split(os.pathsep) if folder]
    sys.path[:0] = [*(str(folder) for folder in path.parents[:PARENTS]), *given]
    installed = find_spec("vastai") is not None
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "vastai"}
    for name in before:
        del sys.modules[name]
    sys.modules.update(ours := modules())
    try:
        yield
    finally:
        # Functions of the file may import when they are called, so path and names stay; but not in place of the real package.
        if installed:
            for name in ours:
                sys.modules.pop(name, None)
            sys.modules.update(before)
