"""The client of an S3 server: how it is reached, one per process, and what its failures say. With `s3`, alone imports boto3.

Credentials come from boto3's own chain (environment, ~/.aws, the role of the machine) and are never a parameter, in a row or in a message.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.session
import luigi
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from halo_core.errors import ConfigurationError, ObjectStoreError

NOT_THERE = ("404", "NoSuchKey", "NotFound")
"""Codes of an answer that says that there is no such object."""

_MAX_CONNECTIONS = 32
_CREDENTIAL_ERRORS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, ProfileNotFound)
_CREDENTIALS = (
    "check that boto3's credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID, ~/.aws, a role) are this server's and may list, read and write"
)
_ADVICE = {
    301: "check [objects] region and endpoint_url",
    401: _CREDENTIALS,
    403: _CREDENTIALS,
    404: "make the bucket, or correct [objects] root",
    429: "the server is too busy: use fewer workers, or raise [objects] max_attempts",
    503: "the server is too busy or down: run again later, use fewer workers, or raise [objects] max_attempts",
}
_OTHER_ADVICE = "look into the server's log, then run again; halo storage check says what the store can do"
_UNREACHABLE = "check that the server runs, and [objects] endpoint_url and region"

_lock = threading.Lock()
_clients: dict[tuple[object, ...], Any] = {}
_models: list[Any] = []
"""What has read botocore's description of S3, which takes longer than all else a client needs; a forked process inherits it."""

for _name in ("boto3", "botocore", "s3transfer", "urllib3"):
    logging.getLogger(_name).setLevel(logging.ERROR)


def forget_clients() -> None:
    """Begin without clients and with a free lock, as a forked process must: its parent's are its parent's."""
    global _lock
    _lock = threading.Lock()
    _clients.clear()


os.register_at_fork(after_in_child=forget_clients)


class S3Settings(luigi.Config):
    """How the server is reached and where local copies are, [objects] in luigi.cfg."""

    ignore_unconsumed = frozenset({"root"})
    endpoint_url: str = luigi.Parameter(default="", description="URL of a server that is not Amazon's; empty for boto3's own choice.")
    region: str = luigi.Parameter(default="", description="Region of the bucket; empty for boto3's own choice.")
    addressing_style: str = luigi.ChoiceParameter(
        default="auto", choices=["auto", "path", "virtual"], description="Where the bucket stands in URLs."
    )
    local_cache: str = luigi.Parameter(default="halo_data/object_cache", description="Folder of local copies.")
    local_cache_gb: float = luigi.FloatParameter(default=50.0, description="Size above which unused local copies are removed [GB].")
    timeout_s: float = luigi.FloatParameter(default=60.0, description="Longest wait for a connection or for the next bytes [s].")
    max_attempts: int = luigi.IntParameter(default=5, description="Attempts at a request that was refused by a busy server or lost.")

    @classmethod
    def get_task_family(cls) -> str:
        """Return the section's name."""
        return "objects"

    def client(self) -> Any:
        """Return this process's client of the server.

        Raises
        ------
        ConfigurationError
            The endpoint, this or the one that boto3 finds itself, holds a user or a password, or is no URL.
        """
        _require_no_user(self.endpoint_url)
        key = (self.endpoint_url, self.region, self.addressing_style, self.timeout_s, self.max_attempts)
        with _lock:
            if key not in _clients:
                config = Config(
                    connect_timeout=self.timeout_s,
                    read_timeout=self.timeout_s,
                    retries={"mode": "standard", "total_max_attempts": self.max_attempts},
                    max_pool_connections=_MAX_CONNECTIONS,
                    s3={"addressing_style": self.addressing_style},
                )
                places = {"endpoint_url": self.endpoint_url or None, "region_name": self.region or None}
                try:
                    client = _session().client("s3", config=config, **places)
                except ValueError as error:
                    raise ConfigurationError(f"[objects] endpoint_url {self.endpoint_url!r}: {error}; give http://host:port") from error
                _require_no_user(client.meta.endpoint_url)
                _clients[key] = client
            return _clients[key]

    @contextmanager
    def errors(self, doing: str, expected: tuple[str, ...] = ()) -> Iterator[None]:
        """Name what failed, where, and what to do; answers with an expected code are the caller's."""
        try:
            yield
        except ClientError as error:
            if code_of(error) in expected:
                raise
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            advice = _ADVICE.get(status, _OTHER_ADVICE) if code_of(error) not in NOT_THERE else "it is not there"
            raise self._error(doing, f"{code_of(error)} (HTTP {status})", advice) from error
        except (BotoCoreError, Boto3Error) as error:
            raise self._error(doing, str(error), _CREDENTIALS if isinstance(error, _CREDENTIAL_ERRORS) else _UNREACHABLE) from error
        except OSError as error:
            raise self._error(doing, error.strerror or str(error), "check the local disk and [objects] local_cache") from error

    def _error(self, doing: str, why: str, advice: str) -> ObjectStoreError:
        """Return the error of a request."""
        return ObjectStoreError(f"cannot {doing} at {self.endpoint_url or 'the default endpoint'}: {why}; {advice}")


def _session() -> boto3.session.Session:
    """Return a new session of boto3, which finds credentials anew and knows S3 from the first."""
    session = botocore.session.Session()
    if _models:
        session.register_component("data_loader", _models[0])
    else:
        _models.append(session.get_component("data_loader"))
    return boto3.session.Session(botocore_session=session)


def _require_no_user(url: str) -> None:
    """Raise where the URL of a server names a user."""
    if "@" in url:
        raise ConfigurationError(
            "the S3 server's URL ([objects] endpoint_url, AWS_ENDPOINT_URL or ~/.aws/config) holds a user or password, "
            "which would end in logs; take it out"
        )


def code_of(error: ClientError) -> str:
    """Return the code of a server's refusal."""
    return str(error.response.get("Error", {}).get("Code", ""))
