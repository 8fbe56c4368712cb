"""Requests to the HTTP server that holds a survey: sent again while it is busy, never where it refuses. Alone imports the HTTP client.

A busy server (429, 5xx), a time-out and a connection that breaks are asked again, after pauses that grow, vary and honour Retry-After;
a refusal (401, 403) and a file that is not there (404, 410) never. TLS is verified; a redirect never changes the scheme. Proxies are those
of the environment.
"""

import errno
import ipaddress
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import luigi
import urllib3
from urllib3.exceptions import HTTPError, SSLError

from halo_core.errors import ConfigurationError, ObjectStoreError
from halo_core.seeds import hash_hex
from luigi_tasks.object_protocol import check_key

logger = logging.getLogger(__name__)

T = TypeVar("T")

PARTIAL, RANGE_NOT_SATISFIABLE = 206, 416
"""Answers that hold a range of a file, or say that the file ends before it."""

_ROOT = re.compile(r"https?://(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+)(:[0-9]+)?((?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~=-]+)*)/?")
_CHUNK_BYTES = 1 << 18
_MAX_REDIRECTS = 5
_MAX_HOSTS = 8
_REDIRECTS = (301, 302, 303, 307, 308)
_NOT_THERE = (404, 410)
_REFUSED = (401, 403)
_BUSY = (408, 429, 500, 502, 503, 504)
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "dark-halo-scope"}


class AbsentError(ObjectStoreError):
    """The server says that it has no such file."""


class BusyError(Exception):
    """A request may be sent again, not before some time [s] where the server said so."""

    def __init__(self, why: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class FetchSettings(luigi.Config):
    """How a survey is read over HTTP, [fetch] in luigi.cfg."""

    connections: int = luigi.IntParameter(default=4, description="Files that one process reads at the same time.")
    max_attempts: int = luigi.IntParameter(default=6, description="Attempts at a request that was refused by a busy server or broke off.")
    backoff_s: float = luigi.FloatParameter(default=1.0, description="Pause before the second attempt; doubled before each other [s].")
    longest_backoff_s: float = luigi.FloatParameter(default=120.0, description="Longest pause that is not the server's own wish [s].")
    timeout_s: float = luigi.FloatParameter(default=60.0, description="Longest wait for a connection or for the next bytes [s].")
    request_s: float = luigi.FloatParameter(default=600.0, description="Longest time of one request [s].")
    total_s: float = luigi.FloatParameter(default=3600.0, description="Longest time of one file, attempts and pauses together [s].")
    absent_hours: float = luigi.FloatParameter(default=24.0, description="How long a file that was not there is not asked for again [h].")
    plain_http: bool = luigi.BoolParameter(
        default=False, parsing=luigi.BoolParameter.EXPLICIT_PARSING, description="Whether http:// is read from other machines."
    )
    local_copies: str = luigi.Parameter(default="halo_data/survey_copies", description="Folder of local copies of tables.")
    local_copies_gb: float = luigi.FloatParameter(default=20.0, description="Size above which unused local copies are removed [GB].")

    @classmethod
    def get_task_family(cls) -> str:
        """Return the section's name."""
        return "fetch"

    def require(self) -> None:
        """Raise where a number is none that can be worked with."""
        for name in ("connections", "max_attempts", "timeout_s", "request_s", "total_s"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"[fetch] {name} = {getattr(self, name)}: a number above 0 is needed")
        for name in ("backoff_s", "longest_backoff_s", "absent_hours"):
            if not getattr(self, name) >= 0:
                raise ConfigurationError(f"[fetch] {name} = {getattr(self, name)}: 0 or a number above it is needed")


@dataclass(frozen=True)
class Answer:
    """What a server answered, its body to be read once."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


class _Process:
    """What a process knows of servers: its connections, and until when a busy one is left alone."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pools: dict[tuple[int, str], urllib3.PoolManager] = {}
        self.not_before: dict[str, float] = {}


_process = _Process()


def forget_connections() -> None:
    """Begin without connections, as a forked process must: its parent's are its parent's."""
    global _process
    _process = _Process()


os.register_at_fork(after_in_child=forget_connections)


class HttpServer:
    """What is below a URL, asked by GET and HEAD.

    Raises
    ------
    ConfigurationError
        The root is no such URL, or is read without TLS from another machine and nobody asked for that.
    """

    def __init__(self, root: str, settings: FetchSettings) -> None:
        settings.require()
        if _ROOT.fullmatch(root) is None:
            raise ConfigurationError(
                f"survey_root {_without_user(root)!r}: a survey on a server is https://host/path, without user, password, ? or #"
            )
        self.settings = settings
        self.root = root.rstrip("/")
        self._host = urlsplit(self.root).netloc
        self._require_scheme(self.root)

    def uri(self, key: str) -> str:
        """Return the URL of a file."""
        return f"{self.root}/{key}" if key else self.root

    def tried(self, key: str, read: Callable[[], T]) -> T:
        """Return what a request gives, sent again while the server is busy and the limits allow.

        Raises
        ------
        ObjectStoreError
            The attempts or the time are used up, or the local disk fails.
        """
        settings, start = self.settings, time.monotonic()
        for attempt in range(1, settings.max_attempts + 1):
            try:
                self._wait_for_server(start)
                return read()
            except BusyError as error:
                pause = max(error.retry_after_s, self._backoff_s(key, attempt))
                is_late = time.monotonic() + pause - start > settings.total_s
                if attempt == settings.max_attempts or is_late:
                    limit = f"[fetch] total_s = {settings.total_s:g}" if is_late else f"[fetch] max_attempts = {settings.max_attempts}"
                    raise ObjectStoreError(
                        f"cannot read {self.uri(key)}: {error}; given up at attempt {attempt} ({limit}, the next pause {pause:.1f} s): "
                        "run again later, or with fewer [fetch] connections"
                    ) from error
                logger.info("%s: %s; attempt %d in %.1f s", self.uri(key), error, attempt + 1, pause)
                if error.retry_after_s:
                    _process.not_before[self._host] = time.monotonic() + error.retry_after_s
                time.sleep(pause)
            except OSError as error:
                advice = "free some space" if error.errno == errno.ENOSPC else "check the local disk"
                raise ObjectStoreError(f"cannot keep {self.uri(key)}: {error.strerror or error}; {advice}") from error
        raise AssertionError("an attempt either returns or raises")

    def _wait_for_server(self, start: float) -> None:
        """Wait until the time before which a busy server asked not to be asked."""
        pause = _process.not_before.get(self._host, 0.0) - time.monotonic()
        if pause > 0:
            time.sleep(min(pause, max(0.0, start + self.settings.total_s - time.monotonic())))

    def _backoff_s(self, key: str, attempt: int) -> float:
        """Return the pause after an attempt [s]: doubled each time, half of it spread by file and process."""
        spread = int(hash_hex(key, str(os.getpid()), str(attempt), n_bytes=4), 16) / 2**32
        return min(self.settings.backoff_s * 2.0 ** (attempt - 1), self.settings.longest_backoff_s) * (0.5 + 0.5 * spread)

    @contextmanager
    def answer(self, method: str, key: str, headers: dict[str, str]) -> Iterator[Answer]:
        """Give the server's answer once it is one that can be read; redirects are followed within their scheme."""
        deadline, url = time.monotonic() + self.settings.request_s, self.uri(check_key(key))
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._sent(method, url, headers)
            try:
                if answer.status in _REDIRECTS and "Location" in answer.headers:
                    url = self._redirected(url, answer.headers["Location"])
                    continue
                self._require_answer(url, answer)
                yield Answer(answer.status, answer.headers, self._chunks(answer, deadline))
                return
            finally:
                _finish(answer)
        raise ObjectStoreError(f"{self.uri(key)}: more than {_MAX_REDIRECTS} redirects, the last to {url}")

    def _sent(self, method: str, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """Return the answer to one request, its body not read."""
        limits = urllib3.Timeout(connect=self.settings.timeout_s, read=self.settings.timeout_s)
        try:
            return self._pool(url).request(
                method, url, headers=_HEADERS | headers, timeout=limits, retries=False, redirect=False, preload_content=False
            )
        except SSLError as error:
            if "CERTIFICATE" in str(error).upper():
                raise ObjectStoreError(
                    f"{url}: the server's certificate is not accepted ({error}); check root and clock, "
                    "or name the authority of a private archive in SSL_CERT_FILE"
                ) from error
            raise BusyError(f"TLS: {error}") from error
        except HTTPError as error:
            raise BusyError(f"{type(error).__name__}: {error}") from error

    def _chunks(self, answer: urllib3.BaseHTTPResponse, deadline: float) -> Iterator[bytes]:
        """Yield the bytes of an answer as they come, until the request has taken too long."""
        try:
            while chunk := answer.read1(_CHUNK_BYTES, decode_content=False):
                yield chunk
                if time.monotonic() > deadline:
                    raise BusyError(f"the request took longer than [fetch] request_s = {self.settings.request_s:g}")
        except HTTPError as error:
            raise BusyError(f"{type(error).__name__}: {error}") from error

    def _require_answer(self, url: str, answer: urllib3.BaseHTTPResponse) -> None:
        """Raise unless an answer holds what was asked for."""
        status = answer.status
        if status in (200, PARTIAL, RANGE_NOT_SATISFIABLE):
            return
        if status in _NOT_THERE:
            raise AbsentError(f"{url}: the server has no such file (HTTP {status})")
        if status in _REFUSED:
            raise ObjectStoreError(f"{url}: HTTP {status}, no permission to read it; check the root, and whether the archive is public")
        if status in _BUSY:
            raise BusyError(f"HTTP {status}", retry_after_s=_retry_after_s(answer.headers.get("Retry-After", "")))
        raise ObjectStoreError(f"{url}: the server answers HTTP {status}; check the root")

    def _redirected(self, url: str, location: str) -> str:
        """Return where a redirect leads.

        Raises
        ------
        ObjectStoreError
            It leads to another scheme, or to another machine without TLS.
        """
        target = urljoin(url, location)
        if urlsplit(target).scheme != urlsplit(url).scheme or urlsplit(target).username:
            raise ObjectStoreError(f"{url}: a redirect to {_without_user(target)}, of another scheme or with a user, is not followed")
        try:
            self._require_scheme(target)
        except ConfigurationError as error:
            raise ObjectStoreError(f"{url}: the server leads elsewhere: {error}") from error
        return target

    def _require_scheme(self, url: str) -> None:
        """Raise where a URL is read without TLS from another machine and nobody asked for that."""
        parts = urlsplit(url)
        if parts.scheme == "http" and not self.settings.plain_http and not _is_loopback(parts.hostname or ""):
            raise ConfigurationError(f"{url}: anybody on the way may change what is read; use https://, or set [fetch] plain_http = true")

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Return this process's connections for a URL, by its proxy if it has one: at most so many at once to a server."""
        n_connections, proxy = self.settings.connections, _proxy_of(url)
        with _process.lock:
            if (n_connections, proxy) not in _process.pools:
                limits = {"num_pools": _MAX_HOSTS, "maxsize": n_connections, "block": True}
                _process.pools[n_connections, proxy] = _by_proxy(proxy, limits) if proxy else urllib3.PoolManager(**limits)
            return _process.pools[n_connections, proxy]


def _proxy_of(url: str) -> str:
    """Return the proxy that the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY) names for a URL, empty for none; this machine has none."""
    parts = urlsplit(url)
    proxy = "" if _is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc) else getproxies().get(parts.scheme, "")
    if proxy and not proxy.startswith(("http://", "https://")):
        raise ConfigurationError(f"proxy {_without_user(proxy)} of {parts.scheme}_proxy: only proxies of http:// and https:// are used")
    return proxy


def _by_proxy(proxy: str, limits: dict[str, int]) -> urllib3.ProxyManager:
    """Return connections by a proxy, with the user and password of its URL if any."""
    user, at, _ = urlsplit(proxy).netloc.rpartition("@")
    headers = urllib3.make_headers(proxy_basic_auth=unquote(user)) if at else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **limits)


def _finish(answer: urllib3.BaseHTTPResponse) -> None:
    """Give the connection back where the answer was read to its end, else close it."""
    with suppress(HTTPError):
        if not answer.closed:
            answer.read1(_CHUNK_BYTES, decode_content=False)
    if not answer.closed:
        answer.close()
    answer.release_conn()


def _retry_after_s(value: str) -> float:
    """Return how long a server asks to be left alone [s]: its number or date, 0 where it says neither."""
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def _is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its name or number."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without_user(url: str) -> str:
    """Return a URL without user and password."""
    return re.sub(r"//[^/]*@", "//...@", url)
