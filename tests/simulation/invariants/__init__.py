"""What must hold, judged by the marketplace's own books and not by what the scaler believes: one file a concern.

The numbers are those of DESIGN.md, "What must always hold".
"""

from __future__ import annotations


class Violated(AssertionError):
    """An invariant does not hold."""
