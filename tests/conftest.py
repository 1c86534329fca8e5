"""What every test has: property tests without a deadline a case, since this machine may be busy with other tests.

What is imported and collected lives as long as the tests do: it is put aside, so that no collection of garbage walks through it.
"""

from __future__ import annotations

import gc

from hypothesis import settings

settings.register_profile("headgate", deadline=None)
settings.load_profile("headgate")


def pytest_collection_finish() -> None:
    """Put aside what has been collected."""
    gc.collect()
    gc.freeze()
