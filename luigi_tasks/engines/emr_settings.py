"""What is asked of Amazon EMR, [emr] in luigi.cfg, and the client that asks. With `emr_service`, alone imports boto3."""

import json
import re
from typing import Any

import boto3
import luigi
from botocore.config import Config

from halo_core.errors import ConfigurationError

_TIMEOUT_S = 30.0
_MAX_ATTEMPTS = 6
_IDLE_MINUTES = (1, 10_080)
_TYPE = re.compile(r"[a-z]+[0-9]*([a-z-]*)\.[a-z0-9-]+")
_EXAMPLES = {list: '["s3://your-bucket/prepare.sh"]', dict: '{"project": "lenses"}'}


class EmrSettings(luigi.Config):
    """The cluster that is made, or the one that is used, [emr] in luigi.cfg."""

    region: str = luigi.Parameter(default="", description="Region of the cluster; empty for boto3's own choice.")
    endpoint_url: str = luigi.Parameter(default="", description="URL of the service where it is not Amazon's.")
    cluster_id: str = luigi.Parameter(default="", description="A running cluster that gets the step; empty: make one.")
    archive: str = luigi.Parameter(default="halo_data/environment.tar.gz", description="Environment of executors, a file or s3:// URI.")
    python: str = luigi.Parameter(default="3.11", description="Version of the archive's Python, which nodes install.")
    release: str = luigi.Parameter(default="emr-7.12.0", description="Release label of EMR; Amazon Linux must have the archive's Python.")
    primary_type: str = luigi.Parameter(default="m7i.xlarge", description="Instance type of the primary node.")
    core_type: str = luigi.Parameter(default="m7i.4xlarge", description="Instance type of the core nodes.")
    core_count: int = luigi.IntParameter(default=2, description="Core nodes, on demand; > 0.")
    task_type: str = luigi.Parameter(default="", description="Instance types of task nodes, by commas; empty for that of core nodes.")
    task_count: int = luigi.IntParameter(default=0, description="Task nodes, on the spot market; >= 0.")
    spot_percent: float = luigi.FloatParameter(default=100.0, description="Highest price of a task node, of on demand [%].")
    spot_wait_minutes: int = luigi.IntParameter(default=20, description="Wait for spot nodes before on demand; 5 to 1440 [min].")
    ebs_gb: int = luigi.IntParameter(default=0, description="Disk of each core and task node; 0 for EMR's own choice [GB].")
    service_role: str = luigi.Parameter(default="EMR_DefaultRole", description="Role of the service.")
    job_flow_role: str = luigi.Parameter(default="EMR_EC2_DefaultRole", description="Instance profile of the nodes.")
    subnet: str = luigi.Parameter(default="", description="Subnets the nodes may be in, by commas.")
    ec2_key: str = luigi.Parameter(default="", description="Key pair for ssh to the nodes.")
    primary_security_group: str = luigi.Parameter(default="", description="Security group of the primary node.")
    core_security_group: str = luigi.Parameter(default="", description="Security group of core and task nodes.")
    service_security_group: str = luigi.Parameter(default="", description="Security group of the service in a private subnet.")
    log_uri: str = luigi.Parameter(default="", description="s3:// place of the logs; empty: below _engine/logs of the objects.")
    bootstrap: str = luigi.Parameter(default="[]", description="Bootstrap scripts of your own, a JSON list of s3:// URIs.")
    tags: str = luigi.Parameter(default="{}", description="Tags of the cluster, a JSON object.")
    idle_minutes: int = luigi.IntParameter(default=30, description="EMR ends a cluster that did nothing for so long; 1 to 10080 [min].")
    poll_s: float = luigi.FloatParameter(default=30.0, description="Time between two looks at the step [s].")
    log_wait_s: float = luigi.FloatParameter(default=300.0, description="Longest wait for the logs of a step that failed [s].")

    @classmethod
    def get_task_family(cls) -> str:
        """Return the section's name."""
        return "emr"

    def clients(self) -> tuple[Any, Any]:
        """Return a client of the service, and one that never sends a request twice; credentials are boto3's own."""
        if "@" in self.endpoint_url:
            raise ConfigurationError("[emr] endpoint_url holds a user or password, which would end in logs; take it out")
        session, place = boto3.session.Session(), {"region_name": self.region or None, "endpoint_url": self.endpoint_url or None}
        retries = [{"mode": "standard", "total_max_attempts": attempts} for attempts in (_MAX_ATTEMPTS, 1)]
        configs = [Config(connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S, retries=one) for one in retries]
        often, once = (session.client("emr", config=config, **place) for config in configs)
        return often, once

    def check(self) -> "EmrSettings":
        """Return the settings, whose numbers are in their ranges.

        Raises
        ------
        ConfigurationError
            A number is out of its range, or a list or object is no JSON.
        """
        limits = {
            "core_count": (1, 2000),
            "task_count": (0, 2000),
            "spot_percent": (1, 1000),
            "spot_wait_minutes": (5, 1440),
            "ebs_gb": (0, 16_384),
            "idle_minutes": _IDLE_MINUTES,
        }
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise ConfigurationError(f"[emr] {name} = {getattr(self, name)}: a number from {least} to {most} is needed")
        if not self.poll_s > 0:
            raise ConfigurationError(f"[emr] poll_s = {self.poll_s}: a time above 0 is needed, such as 30")
        self.bootstrap_scripts()
        self.cluster_tags()
        return self

    def bootstrap_scripts(self) -> list[str]:
        """Return the bootstrap scripts of the user's own."""
        found = self._json("bootstrap", list)
        if not all(isinstance(uri, str) and uri.startswith("s3://") for uri in found):
            raise ConfigurationError(f"[emr] bootstrap = {self.bootstrap}: s3:// URIs are needed, such as {_EXAMPLES[list]}")
        return list(found)

    def cluster_tags(self) -> dict[str, str]:
        """Return the tags of the user's own."""
        return {key: str(value) for key, value in self._json("tags", dict).items()}

    def task_types(self) -> list[str]:
        """Return the instance types that task nodes may have."""
        return _names(self.task_type) or [self.core_type]

    def subnets(self) -> list[str]:
        """Return the subnets that nodes may be in."""
        return _names(self.subnet)

    def machines(self) -> set[str]:
        """Return the processors of the nodes that are made, as ``uname -m`` says."""
        used = [self.primary_type, self.core_type, *(self.task_types() if self.task_count else [])]
        return {machine_of(kind) for kind in used}

    def _json(self, name: str, kind: type) -> Any:
        """Return a JSON value."""
        text = getattr(self, name)
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigurationError(f"[emr] {name} = {text}: JSON is needed, such as {_EXAMPLES[kind]} ({error})") from error
        if not isinstance(found, kind):
            raise ConfigurationError(f"[emr] {name} = {text}: JSON is needed, such as {_EXAMPLES[kind]}")
        return found


def machine_of(instance_type: str) -> str:
    """Return the processor of an instance type: ``aarch64`` where the letters after its generation hold a g, as in m7g.xlarge.

    Raises
    ------
    ConfigurationError
        It is no name of an instance type.
    """
    found = _TYPE.fullmatch(instance_type)
    if found is None:
        raise ConfigurationError(f"[emr] instance type {instance_type!r}: a name such as m7i.4xlarge is needed")
    return "aarch64" if "g" in found[1] or instance_type.startswith("a1.") else "x86_64"


def _names(text: str) -> list[str]:
    """Return what commas separate."""
    return [word.strip() for word in text.split(",") if word.strip()]
