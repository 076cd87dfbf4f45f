"""Where requests can go: the closed set of upstream targets, one per region and route.

Built from settings once; nothing a client sends can name a host, scheme, port or path of its own.
Must not know how a connection is made.
"""

from __future__ import annotations

from proxy.model.verdict import Route
from proxy.settings import Settings, Upstream


class Peer:
    """Which connections are interchangeable. A security statement: two targets share pooled
    connections only when address, TLS name and trust anchors are all the same."""

    __slots__ = ("ca_file", "connect_host", "connect_port", "identity", "server_name", "tls")

    def __init__(self, upstream: Upstream) -> None:
        self.connect_host = upstream.connect.host if upstream.connect else upstream.host
        self.connect_port = upstream.connect.port if upstream.connect else upstream.port
        self.tls = upstream.tls
        self.server_name = upstream.host
        self.ca_file = str(upstream.ca_file) if upstream.ca_file else None
        self.identity = (self.connect_host, self.connect_port, self.tls, self.server_name, self.ca_file)

    def __repr__(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{self.server_name} at {self.connect_host}:{self.connect_port}"


class Target:
    """One region's upstream for one route. `host_line` is the Host field that it must be sent
    (RFC 9112, 3.2)."""

    __slots__ = ("_path", "host_line", "peer", "region", "route")

    def __init__(self, region: str, route: Route, upstream: Upstream) -> None:
        self.region = region
        self.route = route
        self._path = upstream.path.encode("ascii")
        self.host_line = b"Host: " + upstream.authority.encode("ascii")
        self.peer = Peer(upstream)

    def path(self, suffix: bytes) -> bytes:
        """The upstream's own path with `suffix` behind it; never empty (RFC 9112, 3.2.1)."""
        return self._path + suffix or b"/"


def build_targets(settings: Settings) -> dict[tuple[str, Route], Target]:
    """Every target there is, by region name and route."""
    targets: dict[tuple[str, Route], Target] = {}
    for region, upstreams in settings.upstreams.items():
        targets[region, Route.TRACK] = Target(region, Route.TRACK, upstreams.track)
        targets[region, Route.CONFIG] = Target(region, Route.CONFIG, upstreams.config)
    return targets
