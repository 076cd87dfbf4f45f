"""The tests. `tests.gateway` and `tests.standin` start real processes for all suites."""
