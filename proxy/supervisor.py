"""The supervisor process: takes the addresses, starts the workers, keeps them running, ends them.

Composition root of everything that is not traffic: signals, children, the admin server, the sharing of learnt
configuration answers. No request ever passes through here.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from itertools import chain
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry

from proxy.admin.dashboard import Dashboard
from proxy.admin.endpoints import Endpoints, serve
from proxy.admin.snapshot import About
from proxy.admin.watch import Sources, Watch
from proxy.archive.trouble_marks import kind_of
from proxy.observe import logs
from proxy.observe.ledger import Gauge, Ledger, LedgerMemory, Mark
from proxy.observe.metrics import GatewayCollector, Processes
from proxy.policy.last_good import LastGoodAnswers
from proxy.runtime.certificates import CertificateFacts, facts
from proxy.runtime.child import Child
from proxy.runtime.clock import monotonic, wall
from proxy.runtime.control import Frame
from proxy.runtime.crew import Crew, happens_within
from proxy.runtime.lifecycle import unready_reason
from proxy.runtime.machine import descriptors_needed, raise_descriptor_limit, usable_cores
from proxy.runtime.reload import Reloads, Reread, Result
from proxy.runtime.service_manager import ServiceManager
from proxy.runtime.sockets import BindError, bind, bind_each, close_all, fitting
from proxy.runtime.tasks import spawn
from proxy.runtime.tls import CertificateError, server_context
from proxy.settings import Admin, Jwt, ListenerTls, Settings
from proxy.settings.handover import dump, dump_for_worker

if TYPE_CHECKING:
    from proxy.runtime.key_source import KeySource

WORKER_MODULE = "proxy.worker"
ARCHIVER_MODULE = "proxy.archiver"
# What a worker may need beyond the drain limit to close what is left. After it, it is killed.
KILL_MARGIN = 3.0
END_LOOK_SECONDS = 0.1  # how often a stopping supervisor looks at its deadline, which a second signal moves

_log = logging.getLogger("proxy.supervisor")


@dataclass(frozen=True, slots=True)
class Taken:
    """What must be had before anything is started: `rows[worker][listener]` and the admin server's socket."""

    rows: list[list[socket.socket]]
    admin: socket.socket | None
    manager: ServiceManager

    def __iter__(self) -> Iterator[socket.socket]:
        return chain(*self.rows, [self.admin] if self.admin else [])


def run(
    settings: Settings,
    banner: Callable[[], None] | None = None,
    reread: Reread | None = None,
    manager: ServiceManager | None = None,
) -> int:
    """Run the gateway until it is told to stop. Blocks; returns the exit code: 0 after a clean drain, 1 when it could
    not start or not end in time, 2 when an address or a certificate can't be had. `banner` is called once, when all
    workers are ready; `reread` reads the configuration again, for a reload; `manager` is who has started it."""
    logs.configure(settings.log, "supervisor", wall, lambda lost: None)
    try:
        taken = take(settings, manager or ServiceManager({}))
    except (BindError, CertificateError) as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return 2
    ledger = LedgerMemory.create(len(taken.rows) + (settings.archive is not None))
    Ledger(ledger.rows[-1]).mark(Mark.RUN_BEGAN_MS, int(wall() * 1000))
    try:
        return asyncio.run(_run(settings, taken, ledger, banner, reread))
    finally:
        close_all(taken)
        ledger.close()
        logs.flush()


def take(settings: Settings, manager: ServiceManager) -> Taken:
    """Every address and certificate that the settings name, those that the manager has kept as they are. BindError or
    CertificateError if one can't be had; then nothing is kept here."""
    for number, listener in enumerate(settings.listen):
        if listener.tls:
            server_context(f"listen[{number}].tls", listener.tls)
    workers = usable_cores() if settings.workers == "auto" else settings.workers
    listeners = [(each.address.host, each.address.port) for each in settings.listen]
    had = [each[:workers] for each in fitting(manager.sockets, listeners)]
    manager.give_back(chain(*had))
    rows = bind_each(listeners, workers, had)
    if settings.admin is None:
        return Taken(rows, None, manager)
    try:
        return Taken(rows, bind("admin.address", settings.admin.address.host, settings.admin.address.port), manager)
    except BindError:
        close_all(chain(*rows))
        raise


async def _run(
    settings: Settings,
    taken: Taken,
    ledger: LedgerMemory,
    banner: Callable[[], None] | None,
    reread: Reread | None,
) -> int:
    return await Supervisor(settings, taken, ledger, banner, reread).run()


class Supervisor:
    """A running gateway."""

    def __init__(
        self,
        settings: Settings,
        taken: Taken,
        ledger: LedgerMemory,
        banner: Callable[[], None] | None,
        reread: Reread | None,
    ) -> None:
        self._reloads = Reloads(settings, reread, self._give)
        self._taken = taken
        self._ledger = ledger
        self._banner = banner
        rows = [(ledger.number, *(each.fileno() for each in row)) for row in taken.rows]
        self._crew = Crew(WORKER_MODULE, rows, self._greet, self._on_ready, self._on_frame)
        # The archiver's death costs nothing: the spool fills until another is started.
        archivers = [(ledger.number,)] if settings.archive else []
        self._archiver = Crew(
            *(ARCHIVER_MODULE, archivers, self._greet_archiver, _nothing, _nothing),
            role="archiver",
            is_vital=False,
            inherits=True,  # the store's client looks there for keys, roles, profiles and proxies
        )
        self._configs = LastGoodAnswers(settings.config_cache)
        self._asked = settings.upstreams  # who gave these answers
        self._certificates = certificates(settings)
        self._keys_for = settings.jwt
        self._key_source: KeySource | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._announced = False
        self._told_to_stop = asyncio.Event()
        self._hurried = asyncio.Event()
        self._deadline = 0.0

    async def run(self) -> int:
        """Start, keep running, stop; the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_stop_signal, "SIGTERM")
        loop.add_signal_handler(signal.SIGINT, self._on_stop_signal, "SIGINT")
        loop.add_signal_handler(signal.SIGHUP, lambda: spawn(self._reloads.reload(), "reload"))
        check_descriptors(self._settings, raise_descriptor_limit())
        admin = await self._serve_admin()
        self._fetch_keys(self._settings.jwt)
        crew = spawn(self._crew.keep(), "crew")
        archiver = spawn(self._archiver.keep(), "archiver")
        told = spawn(self._told_to_stop.wait(), "stop signal")
        await asyncio.wait((crew, told), return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        await self._stop(crew)
        await self._stop_archiver(archiver)
        self._fetch_keys(None)
        if admin:
            await admin.cleanup()
        if self._crew.failure:
            _log.error("%s", self._crew.failure)
        return 1 if self._crew.failure else 0

    @property
    def _settings(self) -> Settings:
        return self._reloads.settings

    # -- the workers

    def _greet(self, child: Child) -> None:
        child.send(Frame.SETTINGS, dump_for_worker(self._settings))
        if self._key_source is not None and self._key_source.known is not None:
            child.send(Frame.KEYS, self._key_source.known)
        for entry in self._configs.entries():
            child.offer(Frame.CONFIG, entry)

    def _greet_archiver(self, child: Child) -> None:
        child.send(Frame.SETTINGS, dump(self._settings))

    async def _give(self, settings: Settings) -> str:
        """Other settings for all processes; why they did not take them, empty if they did."""
        logs.configure(settings.log, "supervisor", wall, lambda lost: None)
        check_descriptors(settings, raise_descriptor_limit())
        self._certificates = certificates(settings)
        self._keep_configs(settings)
        refused = await self._crew.reload(dump_for_worker(settings))
        if not refused and settings.jwt != self._keys_for:
            self._fetch_keys(settings.jwt)
        return refused

    def _keep_configs(self, settings: Settings) -> None:
        """By the new bounds; none where an upstream has changed, whose answers they may not be."""
        configs = LastGoodAnswers(settings.config_cache)
        for entry in self._configs.entries() if settings.upstreams == self._asked else ():
            configs.load(entry)
        self._configs, self._asked = configs, settings.upstreams

    def _on_ready(self) -> None:
        if self._announced or not self._crew.has_started:
            return
        self._announced = True
        self._taken.manager.keep(chain(*self._taken.rows))
        self._taken.manager.tell("READY=1")
        addresses = {each.getsockname()[:2] for each in self._taken}
        _log.info("%d workers are ready; listening on %s", self._crew.size, ", ".join(map(_shown, sorted(addresses))))
        if self._banner is not None:
            self._banner()

    def _on_frame(self, sender: int, kind: Frame, payload: bytes) -> None:
        """A worker learnt an answer, or by a bare digest that one no longer holds: keep it for workers to come,
        and pass it to the others. Or it was shown a token that is signed with a key it does not know."""
        if kind is Frame.CONFIG:
            self._configs.load(payload)
            self._crew.offer(Frame.CONFIG, payload, but=sender)
        elif kind is Frame.KEYS and self._key_source is not None:
            self._key_source.want()

    def _fetch_keys(self, jwt: Jwt | None) -> None:
        """Fetch keys as these settings say, no longer as others did."""
        if self._fetching is not None:
            self._fetching.cancel()
        self._keys_for, self._key_source, self._fetching = jwt, None, None
        if jwt is None or jwt.jwks_url is None:
            return
        # Imported late: few fetch keys.
        from proxy.policy.tokens import TokenPolicy
        from proxy.runtime.key_source import KeySource

        trial = TokenPolicy(jwt)

        def take(key_set: bytes) -> None:
            trial.learn(key_set)
            _log.info("tokens are checked with the keys that %s has now", jwt.jwks_url)
            self._crew.offer(Frame.KEYS, key_set)

        self._key_source = KeySource(jwt, take)
        self._fetching = spawn(self._key_source.keep(), "keys")

    # -- the end

    def _on_stop_signal(self, name: str) -> None:
        if not self._told_to_stop.is_set():
            _log.info("%s: shutting down", name)
            self._taken.manager.tell("STOPPING=1")
            self._told_to_stop.set()
            return
        _log.warning("%s again: what is in hand is cut", name)
        self._hurried.set()
        self._drain(0.0)

    async def _stop(self, crew: asyncio.Task[None]) -> None:
        """Let the workers finish what they have, kill those that don't."""
        if not crew.done():
            await happens_within(self._hurried, self._settings.timeouts.lame_duck)
            # Closed here before the workers are told: so each is the last to hold its sockets when it empties their
            # queues, and no connection can slip in between that and their end.
            close_all(chain(*self._taken.rows))
            self._drain(0.0 if self._hurried.is_set() else self._settings.timeouts.drain)
        while not crew.done() and monotonic() < self._deadline + KILL_MARGIN:
            await asyncio.wait((crew,), timeout=END_LOOK_SECONDS)
        self._crew.kill()
        await crew

    async def _stop_archiver(self, archiver: asyncio.Task[None]) -> None:
        """What the workers sealed at their end is stored if that is done in what is left of the time; else the next
        start does it."""
        grace = max(self._deadline - monotonic(), 0.0)
        self._archiver.drain(grace)
        await asyncio.wait((archiver,), timeout=grace + KILL_MARGIN)
        self._archiver.kill()
        await archiver

    def _drain(self, seconds: float) -> None:
        self._deadline = monotonic() + seconds
        self._crew.drain(seconds)

    # -- the admin server

    async def _serve_admin(self) -> web.AppRunner | None:
        if self._taken.admin is None or self._settings.admin is None:
            return None
        application = self._application(self._settings.admin)
        return await serve(application, self._taken.admin)

    def _application(self, admin: Admin) -> web.Application:
        registry = CollectorRegistry()
        registry.register(GatewayCollector(self._ledger.totals, self._processes, _version(), self._settings.upstreams))
        application = Endpoints(self._unready, registry, self._reloads.reload).application()
        sources = Sources(self._ledger.totals, self._processes, self._archivers, self._unready, kind_of)
        watch = Watch(self._about, sources)
        application.cleanup_ctx.append(watch.kept)
        Dashboard(watch.status, admin.address.host).add_to(application)
        return application

    def _about(self) -> About:
        return About(self._settings, self._certificates, _version(), build())

    def _unready(self) -> str | None:
        crew = self._crew
        return unready_reason(
            ready=crew.ready,
            workers=crew.size,
            started=crew.has_started,
            draining=self._told_to_stop.is_set(),
            is_spool_full=self._keeps_away_when_full() and self._ledger.totals().of(Gauge.SPOOL_FULL) > 0,
        )

    def _keeps_away_when_full(self) -> bool:
        archive = self._settings.archive
        return archive is not None and not archive.spool.ready_when_full

    def _processes(self) -> Processes:
        crew = self._crew
        reloads = self._reloads
        return Processes(
            crew.size,
            crew.ready,
            crew.restarts,
            self._told_to_stop.is_set(),
            {each.value: reloads.results[each] for each in Result},
            reloads.last.is_applied,
            reloads.last.applied_at,
            {str(self._settings.listen[at].address): each.not_after for at, each in self._certificates.items() if each},
            self._key_source.failures if self._key_source is not None else 0,
            self._key_source.fetched_at if self._key_source is not None else None,
        )

    def _archivers(self) -> Processes:
        crew = self._archiver
        return Processes(crew.size, crew.ready, crew.restarts, self._told_to_stop.is_set())


def certificates(settings: Settings) -> Mapping[int, CertificateFacts | None]:
    """What the certificates of the TLS listeners say, by the listener's index; None: it can't be told."""
    return {number: _facts(number, each.tls) for number, each in enumerate(settings.listen) if each.tls}


def _facts(number: int, tls: ListenerTls) -> CertificateFacts | None:
    try:
        return facts(server_context(f"listen[{number}].tls", tls), tls.certificate)
    except CertificateError as problem:
        _log.warning("can't tell when a certificate expires: %s", problem)
        return None


def build() -> str:
    """Whether the data path is machine code or plain Python."""
    found = find_spec("proxy.edge.connection")
    return "plain" if found is None or str(found.origin).endswith(".py") else "compiled"


def check_descriptors(settings: Settings, allowed: int) -> None:
    """Warn if a worker may need more descriptors than it can have: `allowed`."""
    needed = descriptors_needed(settings.limits)
    if allowed != resource.RLIM_INFINITY and needed > allowed:
        _log.warning(
            "limits.connections, limits.lingering and limits.upstream_connections may need %d descriptors, this "
            "process may have %d: raise the limit (ulimit -n, LimitNOFILE=) or lower these",
            needed,
            allowed,
        )


def _shown(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _version() -> str:
    try:
        return metadata.version("replay-gateway")
    except metadata.PackageNotFoundError:
        return "unknown"  # run from a source tree that is not installed


def _nothing(*_: object) -> None:
    """An archiver says nothing that the supervisor would act on."""
