"""The only readers of the clocks. Decisions take `now` as an argument and must not import this."""

from __future__ import annotations

import time

# Bound, not wrapped: both are read for every request.
monotonic = time.monotonic  # seconds, for deadlines and durations
wall = time.time  # seconds since 1970, for what people and other machines read  # noqa: TID251
