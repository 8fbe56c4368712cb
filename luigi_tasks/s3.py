"""Objects on S3: a prefix in a bucket of Amazon or of any server that speaks its protocol.

Every object carries its sha256 as metadata and is proven by it when it is read. Each process has one client; a forked worker makes its own.
"""

import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from halo_core.errors import ConfigurationError, ObjectStoreError
from luigi_tasks.local_cache import LocalCache
from luigi_tasks.object_protocol import ObjectRecord, check_key, check_prefix, sha256_of
from luigi_tasks.s3_client import NOT_THERE, S3Settings, code_of

PART_BYTES = 8 << 20
"""Larger objects are written in parts of this size."""

_TRANSFER = TransferConfig(multipart_threshold=PART_BYTES + 1, multipart_chunksize=PART_BYTES, max_concurrency=4)
_SHA256 = "sha256"
_CHUNK_BYTES = 1 << 20
_ROOT = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._=-]+)*)/?")
_MD5 = re.compile(r"[0-9a-f]{32}")
_EXISTS = ("412", "PreconditionFailed")
_COLLIDES = ("409", "ConditionalRequestConflict")
_NOT_HONOURED = ("501", "NotImplemented")
_BEYOND = ("416", "InvalidRange")
_COLLISIONS, _COLLISION_PAUSE_S = 20, 0.1
_STREAM_ERRORS = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)

_known_buckets: set[tuple[object, ...]] = set()
_exclusive: dict[tuple[object, ...], bool] = {}


@dataclass(frozen=True)
class _Head:
    """What a server says of one object."""

    n_bytes: int
    tag: str
    sha256: str | None


class S3Objects:
    """Objects below a prefix of a bucket."""

    def __init__(self, root: str, settings: S3Settings | None = None) -> None:
        found = _ROOT.fullmatch(root)
        if found is None:
            raise ConfigurationError(
                "an objects root that starts with s3:// is s3://bucket/prefix, the prefix of ASCII letters, digits and ._=-, "
                "without credentials (boto3 finds them itself)"
            )
        self._settings = settings if settings is not None else S3Settings()
        self._bucket, self._prefix = found[1], found[2].removeprefix("/")
        self.root = f"s3://{self._bucket}{found[2]}"
        self._place = (self._settings.endpoint_url, self.root)
        limit = int(self._settings.local_cache_gb * 1e9)
        self._cache = LocalCache(self._settings.local_cache, " ".join(self._place), max_bytes=limit)

    def __repr__(self) -> str:
        return f"S3Objects({self.root!r})"

    def uri(self, key: str) -> str:
        """Return the URI of an object or prefix."""
        return f"{self.root}/{key}" if key else self.root

    def path(self, key: str) -> Path:
        """Return the local copy of an object, fetched and verified unless it is here."""
        head = self._head_of(key)
        return self._cache.path(key, head.tag, lambda temporary: self._fetch(key, head, temporary))

    def local_folder(self, prefix: str) -> Path:
        """Return a local folder that holds copies of all objects below a prefix."""
        return self._cache.folder_of(prefix, {key: self.path(key) for key in self.list_sizes(prefix)})

    def size(self, key: str) -> int | None:
        """Return the size of an object [bytes], None where there is none."""
        head = self._head(key)
        return None if head is None else head.n_bytes

    def holds(self, prefix: str) -> bool:
        """Return whether any object is below the prefix."""
        with self._errors("list", prefix):
            found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._below(prefix), MaxKeys=1)
        return bool(found.get("Contents"))

    def list_sizes(self, prefix: str) -> dict[str, int]:
        """Return the size of every object below a prefix by key, from one listing."""
        return {key: item["Size"] for key, item in self._listed(prefix, self._below(prefix))}

    def list_times(self, prefix: str) -> dict[str, float]:
        """Return when every object below a prefix was put; servers tell whole seconds."""
        return {key: item["LastModified"].timestamp() for key, item in self._listed(prefix, self._below(prefix))}

    def list_tags(self, prefix: str) -> dict[str, str]:
        """Return the ETag of every object below a prefix, or of that very key."""
        listed = self._listed(prefix, self._name(prefix) if prefix else self._below(prefix))
        return {key: item["ETag"] for key, item in listed if not prefix or key == prefix or key.startswith(f"{prefix}/")}

    def read(self, key: str) -> bytes:
        """Return the bytes of an object, proven by the sha256 it was put with."""
        answer, data = self._get(key)
        if answer["Metadata"].get(_SHA256) not in (None, hashlib.sha256(data).hexdigest()):
            raise self._damaged(key, "sha256")
        return data

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return some bytes of an object, fewer where it ends before."""
        if stop <= start:
            return b""
        try:
            return self._get(key, _BEYOND, Range=f"bytes={start}-{stop - 1}")[1]
        except ClientError:
            return b""

    def put(self, key: str, data: bytes) -> ObjectRecord:
        """Store bytes under a key."""
        if len(data) <= PART_BYTES:
            with self._errors("write", key):
                self._put_bytes(key, data)
            return ObjectRecord(hashlib.sha256(data).hexdigest(), len(data))
        temporary = self.temporary(key)
        self._cache.write(key, temporary, data)
        return self.put_file(key, temporary)

    def put_new(self, key: str, data: bytes) -> bool:
        """Store bytes under a key that has none yet: by If-None-Match where the server honours it, else by looking first.

        A request that was sent again because its answer was lost meets its own object: False, and the object has these bytes.
        """
        if self.is_exclusive():
            return self._put_if_new(key, data) == ""
        if self.size(key) is not None:
            return False
        self.put(key, data)
        return True

    def is_exclusive(self) -> bool:
        """Return whether the server honours If-None-Match, seen by putting a probe twice; once per process and root.

        The first may meet its own object, where its answer was lost and the request was sent again.
        """
        place = (os.getpid(), *self._place)
        if place not in _exclusive:
            key = f"probe/{uuid.uuid4().hex}"
            first, second = (self._put_if_new(key, b"halo") for _ in range(2))
            self.delete(key)
            _exclusive[place] = first in ("", *_EXISTS) and second in _EXISTS
        return _exclusive[place]

    def temporary(self, key: str) -> Path:
        """Return a new temporary file name on the local disk, its folder made."""
        return self._cache.temporary(check_key(key))

    def put_file(self, key: str, temporary: Path) -> ObjectRecord:
        """Store a file under its key, hashed, in parts where it is large; the file becomes the local copy."""
        try:
            record, tag = self._send(key, temporary)
            self._cache.keep(key, tag, temporary)
        finally:
            temporary.unlink(missing_ok=True)
        return record

    def copy_in(self, key: str, source: Path) -> ObjectRecord:
        """Store a copy of a local file under a key."""
        return self._send(key, source)[0]

    def copy_out(self, key: str, target: Path) -> None:
        """Write a verified copy of an object to a local file."""
        self._fetch(key, self._head_of(key), target)

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        try:
            with self._errors("delete", key, NOT_THERE):
                self._client.delete_object(Bucket=self._bucket, Key=self._name(key))
        except ClientError:
            self._require_bucket()

    def clock_offset_s(self) -> float:
        """Return the clock of the server, which tells whole seconds, minus that of this machine [s]."""
        with self._errors("list", ""):
            before = time.time()
            answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._below("probe"), MaxKeys=1)
        here = (before + time.time()) / 2
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp() + 0.5 - here

    @property
    def _client(self) -> Any:
        """This process's client."""
        return self._settings.client()

    def _errors(self, verb: str, key: str, expected: tuple[str, ...] = ()) -> AbstractContextManager[None]:
        """Name what failed, where, and what to do."""
        return self._settings.errors(f"{verb} {self.uri(key)}" if verb == "list" else f"{verb} object {self.uri(key)}", expected)

    def _name(self, key: str) -> str:
        """Return the name of an object in the bucket."""
        return "/".join(part for part in (self._prefix, check_key(key)) if part)

    def _below(self, prefix: str) -> str:
        """Return what the names of all objects below a prefix start with."""
        start = "/".join(part for part in (self._prefix, check_prefix(prefix)) if part)
        return f"{start}/" if start else ""

    def _listed(self, prefix: str, start: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield key and entry of every object whose name starts so; folder marks of other programs are no objects."""
        with self._errors("list", prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=start):
                for item in page.get("Contents", ()):
                    if not item["Key"].endswith("/"):
                        yield item["Key"].removeprefix(f"{self._prefix}/") if self._prefix else item["Key"], item

    def _head(self, key: str) -> _Head | None:
        """Return what the server says of an object, None where there is none."""
        try:
            with self._errors("look at", key, NOT_THERE):
                head = self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        except ClientError:
            self._require_bucket()
            return None
        return _Head(head["ContentLength"], head["ETag"], head["Metadata"].get(_SHA256))

    def _head_of(self, key: str) -> _Head:
        """Return what the server says of an object that must be there."""
        head = self._head(key)
        if head is None:
            raise ObjectStoreError(f"cannot read object {self.uri(key)}: it is not there")
        return head

    def _require_bucket(self) -> None:
        """Raise where there is no bucket: then the answer 404 says nothing of an object."""
        place = (os.getpid(), self._settings.endpoint_url, self._bucket)
        if place not in _known_buckets:
            self.holds("")
            _known_buckets.add(place)

    def _get(self, key: str, expected: tuple[str, ...] = (), **options: Any) -> tuple[dict[str, Any], bytes]:
        """Return a server's answer and the bytes of an object or a range; a stream that breaks off is asked for again."""
        left = self._settings.max_attempts
        with self._errors("read", key, expected):
            while True:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._name(key), **options)
                try:
                    with closing(answer["Body"]) as body:
                        return answer, body.read()
                except _STREAM_ERRORS:
                    left -= 1
                    if left <= 0:
                        raise

    def _fetch(self, key: str, head: _Head, target: Path) -> None:
        """Write an object to a local file and prove its size, and its sha256 where it was put with one."""
        with self._errors("read", key), target.open("wb") as file:
            self._stream(key, head, file)
        if target.stat().st_size != head.n_bytes:
            raise self._damaged(key, f"size {target.stat().st_size}, not {head.n_bytes} bytes")
        if head.sha256 not in (None, sha256_of(target)):
            raise self._damaged(key, "sha256")

    def _stream(self, key: str, head: _Head, file: IO[bytes]) -> None:
        """Write the bytes of an object to an open file; a stream that breaks off is taken up where it ended."""
        left = self._settings.max_attempts
        while file.tell() < head.n_bytes:
            place = {"Bucket": self._bucket, "Key": self._name(key), "IfMatch": head.tag}
            answer = self._client.get_object(**place, **({"Range": f"bytes={file.tell()}-"} if file.tell() else {}))
            try:
                with closing(answer["Body"]) as body:
                    for chunk in body.iter_chunks(_CHUNK_BYTES):
                        file.write(chunk)
                return
            except _STREAM_ERRORS:
                left -= 1
                if left <= 0:
                    raise

    def _send(self, key: str, file: Path) -> tuple[ObjectRecord, str]:
        """Store a local file, prove that it arrived, and return its record and ETag."""
        with self._errors("write", key):
            record = ObjectRecord(sha256_of(file), file.stat().st_size)
            if record.n_bytes <= PART_BYTES:
                return record, self._put_bytes(key, file.read_bytes())
            extra = {"Metadata": {_SHA256: record.sha256}}
            with file.open("rb") as handle:
                self._client.upload_fileobj(handle, self._bucket, self._name(key), ExtraArgs=extra, Config=_TRANSFER)
        head = self._head_of(key)
        if (head.n_bytes, head.sha256) != (record.n_bytes, record.sha256):
            raise self._damaged(key, f"size {head.n_bytes} of {record.n_bytes} bytes, sha256 {head.sha256} of {record.sha256}")
        return record, head.tag

    def _put_bytes(self, key: str, data: bytes, **conditions: str) -> str:
        """Store bytes in one request, and return the ETag, proven where it is the md5 of what arrived."""
        metadata = {_SHA256: hashlib.sha256(data).hexdigest()}
        answer = self._client.put_object(Bucket=self._bucket, Key=self._name(key), Body=data, Metadata=metadata, **conditions)
        tag: str = answer["ETag"]
        found, is_encrypted = tag.strip('"'), answer.get("ServerSideEncryption", "AES256") != "AES256"
        if _MD5.fullmatch(found) and not is_encrypted and found != hashlib.md5(data, usedforsecurity=False).hexdigest():
            raise self._damaged(key, "ETag")
        return tag

    def _put_if_new(self, key: str, data: bytes) -> str:
        """Store bytes unless the key has an object; return "" or the code by which the server refused."""
        for _ in range(_COLLISIONS):
            try:
                with self._errors("write", key, (*_EXISTS, *_COLLIDES, *_NOT_HONOURED)):
                    self._put_bytes(key, data, IfNoneMatch="*")
            except ClientError as error:
                code = code_of(error)
                if code not in _COLLIDES:
                    return code
                time.sleep(_COLLISION_PAUSE_S)
            else:
                return ""
        raise ObjectStoreError(f"cannot write object {self.uri(key)}: others write it all the time; run again")

    def _damaged(self, key: str, what: str) -> ObjectStoreError:
        """Return the error of bytes that changed on the way or in the store."""
        return ObjectStoreError(
            f"object {self.uri(key)} is not what was put ({what} differs); look into the server's log, or remove it and run again"
        )
