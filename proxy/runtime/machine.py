"""What the machine allows this process: processors, file descriptors, memory that is given back, and no core
dump."""

from __future__ import annotations

import ctypes
import math
import os
import resource
from pathlib import Path

from proxy.settings import Limits

# Too little for a core file, and the value by which the kernel starts no program that would take one (fs/coredump.c).
CORE_BYTES = 1
# mallopt(3).
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
# The loop allocates so much for each TLS connection, and uses a page of it.
TLS_BUFFER = 256 * 1024
# So much free memory may stay at the end of the heap, for what comes and goes all the time. Where uploads are held for
# the archive until some are written at once, that is more, and giving it back would cost as much as the writing.
KEPT_FREE = 1024 * 1024
KEPT_FREE_ARCHIVING = 16 * 1024 * 1024
# Descriptors of a worker that are neither client nor upstream connections: the loop's, the listeners', the logs'.
SPARE_DESCRIPTORS = 64

# cgroup v2: "<quota> <period>" in microseconds, or "max <period>" (kernel: Documentation/admin-guide/cgroup-v2).
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """The number of workers that "auto" means here: processors by affinity, less if a container has a smaller quota
    (a pod that may use one processor of a 64-core node should not start 64 workers). At least 1."""
    try:
        quota = CPU_MAX.read_text()
    except OSError:
        quota = ""
    return limited(len(os.sched_getaffinity(0)), quota)


def limited(cores: int, cpu_max: str) -> int:
    """`cores`, or the quota of a cgroup's cpu.max, rounded up, if that is less; a text that isn't one is ignored."""
    try:
        quota, period = map(int, cpu_max.split())
    except ValueError:
        return cores
    return max(1, min(cores, math.ceil(quota / period))) if quota > 0 and period > 0 else cores


def descriptors_needed(limits: Limits) -> int:
    """How many descriptors a worker may need at its limits."""
    return limits.connections + limits.lingering + limits.upstream_connections + SPARE_DESCRIPTORS


def raise_descriptor_limit() -> int:
    """Allow this process and its children as many descriptors as it may have without asking; that number, or
    resource.RLIM_INFINITY. The usual soft limit of 1024 exists for programs that use select(), which we don't."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def give_memory_back(kept_free: int = KEPT_FREE) -> bool:
    """Have the C library map large buffers for as long as they are in use, and keep no more than `kept_free` bytes at
    the end of its heap. Left alone, glibc takes them from the heap once the first was freed: then the buffer of a TLS
    connection covers whatever its predecessors' handshakes left there, an idle one costs twice the memory, and what has
    ended gives none back. False where there is no mallopt."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, TLS_BUFFER) and mallopt(M_TRIM_THRESHOLD, kept_free))


def forbid_core_dumps() -> None:
    """Have this process and its children leave no copy of their memory, which holds keys and recordings, when they
    crash: no file, and nothing sent to a program (core_pattern with a pipe), for which the kernel looks at no other
    limit than this."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    limit = CORE_BYTES if hard == resource.RLIM_INFINITY else min(CORE_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
