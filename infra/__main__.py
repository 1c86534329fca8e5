"""The program as `pulumi up` runs it."""

import sys
from pathlib import Path

# Pulumi runs this folder as a program; the packages `infra` and `protocol` start one level up.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from infra.program import main  # noqa: E402 - needs the path above

main()
