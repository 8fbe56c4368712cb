"""What a cluster on EMR needs beside the objects, below `_engine/` of them: each file once, under the sha256 of its bytes."""

import re
import struct
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from halo_core.errors import ConfigurationError
from luigi_tasks.engines import spark_launch
from luigi_tasks.engines.emr_request import Staged
from luigi_tasks.engines.emr_settings import EmrSettings
from luigi_tasks.engines.request import ENGINE
from luigi_tasks.objects import S3_SCHEME, Objects, sha256_of

_LAUNCHER = Path(spark_launch.__file__)
_BOOTSTRAP = _LAUNCHER.with_name("emr_bootstrap.sh")
_PYTHON = re.compile(r"(?:^|/)lib/python(3\.\d+)/")
_ELF, _MACHINES = b"\x7fELF", {62: "x86_64", 183: "aarch64"}


@dataclass(frozen=True)
class Staging:
    """The files to be staged by their keys, and the URIs that a cluster is told."""

    files: Mapping[str, Path]
    staged: Staged

    def put(self, objects: Objects) -> None:
        """Store the files that are not there with their size."""
        for key, path in self.files.items():
            if objects.size(key) != path.stat().st_size:
                objects.copy_in(key, path)


def staging_of(objects: Objects, settings: EmrSettings) -> Staging:
    """Return what is to be staged for these settings; nothing is stored.

    Raises
    ------
    ConfigurationError
        The objects are not on S3, there is no archive, or it is for another Python or processor than the cluster's.
    """
    if not str(objects.root).startswith(S3_SCHEME):
        raise ConfigurationError(f"[objects] root = {objects.root}: a cluster on EMR reaches s3://your-bucket/prefix alone")
    files = {_key_of(path): path for path in (_LAUNCHER, _BOOTSTRAP)}
    launcher, bootstrap = (objects.uri(key) for key in files)
    if settings.archive.startswith(S3_SCHEME):
        return Staging(files, Staged(settings.archive, launcher, bootstrap))
    archive = Path(settings.archive)
    check_archive(archive, settings)
    key = _key_of(archive)
    return Staging({**files, key: archive}, Staged(objects.uri(key), launcher, bootstrap))


def check_archive(archive: Path, settings: EmrSettings) -> None:
    """Raise where an archive is not an environment for the nodes that are made; of a cluster that runs the processor is not known."""
    try:
        python, machine = archive_kind(archive)
    except (OSError, tarfile.TarError) as error:
        raise ConfigurationError(f"[emr] archive = {archive}: cannot be read ({error}); make environment makes it") from error
    if python != settings.python:
        raise ConfigurationError(f"[emr] archive = {archive} holds Python {python}, but [emr] python = {settings.python}")
    wrong = settings.machines() - {machine}
    if wrong and not settings.cluster_id:
        raise ConfigurationError(
            f"[emr] archive = {archive} was made for {machine}, but instance types of [emr] are {', '.join(sorted(wrong))}; "
            "name types of one kind (m7i is x86_64, m7g is aarch64), or make the environment on such a machine"
        )


def archive_kind(archive: Path) -> tuple[str, str]:
    """Return the version of an environment's Python, such as 3.11, and the processor of its libraries, such as x86_64.

    Raises
    ------
    ConfigurationError
        It holds no Python, or no library of a known processor.
    """
    python = machine = ""
    with tarfile.open(archive, "r|*") as members:
        for member in members:
            found = _PYTHON.search(member.name)
            python = python or (found[1] if found is not None else "")
            file = members.extractfile(member) if member.isfile() and not machine else None
            head = file.read(20) if file is not None else b""
            if head.startswith(_ELF):
                machine = _MACHINES.get(struct.unpack("<H", head[18:20])[0], "")
            if python and machine:
                return python, machine
    raise ConfigurationError(f"[emr] archive = {archive}: no environment of Python with its libraries; make environment makes one")


def _key_of(path: Path) -> str:
    """Return the key of a file that is staged."""
    return f"{ENGINE}/{sha256_of(path)}/{path.name}"
