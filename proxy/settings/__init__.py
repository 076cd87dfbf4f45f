"""The settings: what can be set, how the file is read, and how problems with it are told.

    read(path)   file -> Settings, or a list of every Problem
    advices()    Settings -> warnings
    dump, load   Settings <-> bytes, with secrets, for the gateway's own processes
    dump_for_worker()   the same without the keys of the archive's store
    masked()     Settings -> plain values for people
    changes, needs_restart   two Settings -> the paths of what differs

Sections are described in `config/reference.yaml`; their models are in `schema` and the modules it draws from.
"""

from proxy.settings.advice import advices
from proxy.settings.change import changes, needs_restart
from proxy.settings.handover import dump, dump_for_worker, load, masked
from proxy.settings.problem import Advice, Problem
from proxy.settings.schema import (
    S3,
    Address,
    Admin,
    Archive,
    Breaker,
    ClientIp,
    ConfigCache,
    Cors,
    HeaderEdits,
    Headers,
    Jwt,
    Keys,
    Limits,
    Listener,
    ListenerTls,
    Log,
    Paths,
    Privacy,
    Rate,
    RegionHeader,
    RegionRules,
    RegionUpstreams,
    Rotate,
    Settings,
    Spool,
    Timeouts,
    Upload,
    Upstream,
)
from proxy.settings.source import read

__all__ = [
    "S3",
    "Address",
    "Admin",
    "Advice",
    "Archive",
    "Breaker",
    "ClientIp",
    "ConfigCache",
    "Cors",
    "HeaderEdits",
    "Headers",
    "Jwt",
    "Keys",
    "Limits",
    "Listener",
    "ListenerTls",
    "Log",
    "Paths",
    "Privacy",
    "Problem",
    "Rate",
    "RegionHeader",
    "RegionRules",
    "RegionUpstreams",
    "Rotate",
    "Settings",
    "Spool",
    "Timeouts",
    "Upload",
    "Upstream",
    "advices",
    "changes",
    "dump",
    "dump_for_worker",
    "load",
    "masked",
    "needs_restart",
    "read",
]
