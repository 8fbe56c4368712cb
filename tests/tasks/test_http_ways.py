"""Laws of the way to a server: TLS is verified and never left, and a proxy of the environment is used."""

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from halo_core.errors import ConfigurationError, ObjectStoreError
from luigi_tasks.http_files import HttpFiles, forget_files
from luigi_tasks.http_source import FetchSettings, forget_connections
from tests.fixtures.certificates import HOST, Authority
from tests.fixtures.forward_proxy import ForwardProxy, forward_proxy
from tests.fixtures.http_archive import Archive, Fault, archive_of

DATA, KEY = b"pixels" * 20_000, "coadd/028/file.fits.fz"
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No connections and no proxies of before."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    forget_connections()
    forget_files()
    yield
    forget_connections()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one file."""
    (tmp_path / "archive" / KEY).parent.mkdir(parents=True)
    (tmp_path / "archive" / KEY).write_bytes(DATA)
    return tmp_path / "archive"


@pytest.fixture
def plain(folder: Path) -> Iterator[Archive]:
    """The file on a server without TLS."""
    with archive_of(folder) as found:
        yield found


@pytest.fixture
def secure(folder: Path, authority: Authority) -> Iterator[Archive]:
    """The file on a server with TLS, its certificate signed by the tests' authority."""
    with archive_of(folder, tls=authority.server) as found:
        yield found


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust in the tests' authority, as users of a private archive give it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))


def files_at(url: str, tmp_path: Path, **changed: object) -> HttpFiles:
    """Return the files at a URL, asked for with short pauses."""
    return HttpFiles(url, FetchSettings(**{"backoff_s": 0.01, "timeout_s": 10.0, "local_copies": str(tmp_path / "copies"), **changed}))


def named(archive: Archive) -> str:
    """Return the URL of a server by a name that the proxy alone knows."""
    parts = urlsplit(archive.url)
    return f"{parts.scheme}://{HOST}:{parts.port}"


@pytest.fixture
def proxy_of_plain(plain: Archive) -> Iterator[ForwardProxy]:
    """A proxy to the server without TLS."""
    with forward_proxy(int(urlsplit(plain.url).port or 0)) as found:
        yield found


@pytest.fixture
def proxy_of_secure(secure: Archive) -> Iterator[ForwardProxy]:
    """A proxy to the server with TLS."""
    with forward_proxy(int(urlsplit(secure.url).port or 0)) as found:
        yield found


def test_a_certificate_of_nobody_we_trust_is_refused_at_once(secure: Archive, tmp_path: Path) -> None:
    with pytest.raises(ObjectStoreError, match=r"the server's certificate is not accepted .*CERTIFICATE_VERIFY_FAILED.*SSL_CERT_FILE"):
        files_at(secure.url, tmp_path).read(KEY)
    assert secure.n_connections <= 1
    assert secure.asked == []


@pytest.mark.usefixtures("trusted")
def test_an_authority_in_ssl_cert_file_is_trusted(secure: Archive, tmp_path: Path) -> None:
    files_at(secure.url, tmp_path).copy_out(KEY, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == DATA
    assert secure.counts() == {"GET": 1}


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_name_is_refused(secure: Archive, tmp_path: Path) -> None:
    with pytest.raises(ObjectStoreError, match="certificate is not accepted"):
        files_at(secure.url.replace("127.0.0.1", "localhost"), tmp_path).read(KEY)
    assert secure.asked == []


@pytest.mark.usefixtures("trusted")
def test_a_redirect_never_leaves_tls(secure: Archive, plain: Archive, tmp_path: Path) -> None:
    secure.faults.append(Fault(status=302, headers={"Location": f"{plain.url}/{KEY}"}))
    with pytest.raises(ObjectStoreError, match=rf"a redirect to {plain.url}/{KEY}, of another scheme"):
        files_at(secure.url, tmp_path, plain_http=True).read(KEY)
    assert (len(secure.asked), len(plain.asked)) == (1, 0)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
def test_a_proxy_of_the_environment_is_used(
    plain: Archive, proxy_of_plain: ForwardProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, proxy_of_plain.url)
    assert files_at(named(plain), tmp_path, plain_http=True).read(KEY) == DATA
    assert proxy_of_plain.asked == [("GET", f"{named(plain)}/{KEY}", None)]


@pytest.mark.usefixtures("trusted")
def test_a_proxy_tunnels_tls_that_is_verified_end_to_end(
    secure: Archive, proxy_of_secure: ForwardProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy_of_secure.url.replace("//", "//halo:ge%40heim@"))
    assert files_at(named(secure), tmp_path).read(KEY) == DATA
    words = f"Basic {base64.b64encode(b'halo:ge@heim').decode()}"
    assert proxy_of_secure.asked == [("CONNECT", named(secure).removeprefix("https://"), words)]
    with pytest.raises(ObjectStoreError, match="certificate is not accepted"):
        files_at(named(secure).replace(HOST, "other.test"), tmp_path).read(KEY)


def test_no_proxy_and_this_machine_are_asked_directly(
    plain: Archive, proxy_of_plain: ForwardProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy_of_plain.url)
    assert files_at(plain.url, tmp_path).read(KEY) == DATA
    monkeypatch.setenv("NO_PROXY", "other.test,.test")
    with pytest.raises(ObjectStoreError, match=r"NameResolutionError.*given up at attempt 1"):
        files_at(named(plain), tmp_path, plain_http=True, max_attempts=1).read(KEY)
    assert proxy_of_plain.asked == []


def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://halo:geheim@127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=r"proxy socks5://\.\.\.@127.0.0.1:1 of https_proxy") as found:
        files_at(f"https://{HOST}", tmp_path).read(KEY)
    assert "geheim" not in str(found.value)
