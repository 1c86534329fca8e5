"""`python -m pyworker`."""

from __future__ import annotations

import sys

from pyworker.launch import main

sys.exit(main())
