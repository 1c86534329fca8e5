"""The program as `pulumi up` runs it."""

import sys
from pathlib import Path

# Pulumi runs this folder as a program; the package `infra` starts one level up.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from infra.program import main

main()
