"""The public keys that check visitors' tokens, fetched from where the customer's service publishes them.

Runs in the supervisor, which hands what it gets to the workers: no request ever waits for it. Must not know what is
done with the keys.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Final

import aiohttp

from proxy.runtime.clock import monotonic, wall
from proxy.settings import Jwt

PATIENCE: Final = 10.0  # seconds for one fetch
LARGEST: Final = 256 * 1024  # bytes
FIRST_PAUSE: Final = 1.0  # after a failure, doubled with each more, up to `jwt.refresh`
# Who names a key that is not known has it fetched anew, but no more often: the name is the visitor's choice.
LEAST_BETWEEN: Final = 30.0

_log = logging.getLogger("proxy.jwt")


class KeySource:
    """`jwt` must have a `jwks_url`. `take` is given each set that differs from the one before; what it raises as a
    ValueError is why the set is not used. `failures` counts fetches that came to nothing; `fetched_at` is when one
    brought good keys last, in Unix seconds, 0: never."""

    def __init__(self, jwt: Jwt, take: Callable[[bytes], None]) -> None:
        self._jwt = jwt
        self._take = take
        self._wanted = asyncio.Event()
        self._asked_at = float("-inf")
        self.known: bytes | None = None
        self.failures = 0
        self.fetched_at = 0.0

    def want(self) -> None:
        """Somebody misses a key: ask again now, unless that was done a moment ago."""
        if monotonic() - self._asked_at >= LEAST_BETWEEN:
            self._wanted.set()

    async def keep(self) -> None:
        """Ask, for ever."""
        pause = FIRST_PAUSE
        while True:
            self._wanted.clear()
            self._asked_at = monotonic()
            why_not = await self._ask()
            if why_not:
                self.failures += 1
                left = "the last ones stay" if self.known else "there are none yet"
                _log.warning("no keys from %s: %s; %s", self._jwt.jwks_url, why_not, left)
                pause = min(pause * 2, self._jwt.refresh)
            else:
                pause = FIRST_PAUSE
            try:
                async with asyncio.timeout(pause if why_not else self._jwt.refresh):
                    await self._wanted.wait()
            except TimeoutError:
                pass

    async def _ask(self) -> str:
        """Why there is nothing new to take, empty if all is well."""
        try:
            found = await self._fetch()
            if found != self.known:
                self._take(found)
                self.known = found
            self.fetched_at = wall()
        except TimeoutError:
            return f"nothing within {PATIENCE:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return str(error) or type(error).__name__
        return ""

    async def _fetch(self) -> bytes:
        """The body of a 200. Redirects are not followed: who may say which keys count is in the settings alone."""
        assert self._jwt.jwks_url is not None
        context = ssl.create_default_context(cafile=self._jwt.ca_file)
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with (
            aiohttp.ClientSession(timeout=timeout, headers={"Accept": "application/json"}) as session,
            session.get(self._jwt.jwks_url, ssl=context, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise ValueError(f"it answered {answer.status}")
            found = await answer.content.read(LARGEST + 1)
            while len(found) <= LARGEST and (more := await answer.content.read(LARGEST + 1 - len(found))):
                found += more
        if len(found) > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")
        return found
