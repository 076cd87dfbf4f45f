"""Proves that the number of workers follows what the process may use, that descriptors are not the limit, and that a
crash leaves no core."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.runtime.machine import limited, usable_cores


def test_without_a_quota_all_cores_count() -> None:
    assert limited(8, "max 100000\n") == 8


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [("100000 100000", 1), ("150000 100000", 2), ("50000 100000", 1), ("1600000 100000", 16), ("9900000 100000", 64)],
)
def test_a_containers_quota_counts_rounded_up(cpu_max: str, cores: int) -> None:
    assert limited(64, cpu_max) == cores


@pytest.mark.parametrize("text", ["", "max", "100000", "a b", "1 2 3", "-1 100000", "100000 0", "1.5 2"])
def test_a_quota_that_cannot_be_read_is_ignored(text: str) -> None:
    assert limited(4, text) == 4


@given(st.integers(1, 512), st.text(max_size=30))
def test_there_is_always_at_least_one_and_never_more_than_cores(cores: int, cpu_max: str) -> None:
    assert 1 <= limited(cores, cpu_max) <= cores


def test_this_machine_has_cores() -> None:
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))


def test_the_c_library_takes_the_thresholds() -> None:
    told = "from proxy.runtime.machine import give_memory_back as ask; print(ask())"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, check=True).stdout == b"True\n"


def test_the_soft_limit_of_descriptors_becomes_the_hard_one() -> None:
    program = (
        "import resource, sys; from proxy.runtime.machine import raise_descriptor_limit as up;"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard));"
        "print(up(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert printed == [str(hard)] * 3


CRASH = """
import os, resource, sys
from proxy.runtime.machine import forbid_core_dumps
most = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
forbid_core_dumps()
forbid_core_dumps()
print(*resource.getrlimit(resource.RLIMIT_CORE), flush=True)
child = os.fork()
if not child:
    os.abort()
print(os.WCOREDUMP(os.waitpid(child, 0)[1]), *os.listdir())
"""


@pytest.mark.parametrize("most", [resource.getrlimit(resource.RLIMIT_CORE)[1], 0])
def test_a_crash_leaves_no_core(tmp_path: Path, most: int) -> None:
    command = [sys.executable, "-c", CRASH, str(most)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    limit = "1" if most else "0"  # without more, one can't be had
    assert done.stdout.split() == [limit, limit, "False"]
