"""What every test has: property tests without a deadline a case, since this machine may be busy with other tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("headgate", deadline=None)
settings.load_profile("headgate")
