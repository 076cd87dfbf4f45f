"""The gateway beside other proxies, as processes: what they do with the same requests, and what these cost.

Run it with `python -m comparison` in the folder above.

peers      the systems that are compared, started and stopped; their configurations are in ../peers

It uses the test suites' drivers and cases, and knows the gateway only as a program.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPARE = ROOT / "nginx-compare"
RESULTS = COMPARE / "results"

# The one place that makes `tests` importable, from whichever folder this is run.
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
