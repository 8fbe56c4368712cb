"""Blocks as a step of Amazon EMR: a cluster made for them and ended with them, or a step on one that runs. With `s3`, alone imports boto3.

What was asked of EMR for a request stands in an object beside the request before anything is waited for, so that a driver that was killed
finds its step again and never asks twice. A cluster that was made here is ended whatever happens, also by EMR itself once its step is over.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
import luigi

from halo_core.errors import ConfigurationError

logger = logging.getLogger(__name__)

_STEP_OVER = {"COMPLETED": 0, "CANCELLED": 2, "FAILED": 1, "INTERRUPTED": 3}
_CLUSTER_OVER = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")


class EmrSettings(luigi.Config):
    """The cluster that is made, or the one that is used, [emr] in luigi.cfg."""

    region: str = luigi.Parameter(default="", description="Region of the cluster; empty for boto3's own choice.")
    endpoint_url: str = luigi.Parameter(default="", description="URL of the service where it is not Amazon's.")
    cluster_id: str = luigi.Parameter(default="", description="A running cluster that gets the step; empty: make one.")
    release: str = luigi.Parameter(
        default="emr-7.12.0", description="Release label of EMR; Python and glibc of the archive must run on it."
    )
    master_type: str = luigi.Parameter(default="m7g.xlarge", description="Instance type of the primary node.")
    core_type: str = luigi.Parameter(default="c7g.4xlarge", description="Instance type of the core nodes.")
    core_count: int = luigi.IntParameter(default=2, description="Core nodes; > 0.")
    task_type: str = luigi.Parameter(default="", description="Instance type of the task nodes; empty for the type of the core nodes.")
    task_count: int = luigi.IntParameter(default=0, description="Task nodes, on the spot market.")
    spot_percent: int = luigi.IntParameter(default=100, description="Highest price of a task node, in percent of the on-demand price.")
    service_role: str = luigi.Parameter(default="EMR_DefaultRole", description="Role of the service.")
    job_flow_role: str = luigi.Parameter(default="EMR_EC2_DefaultRole", description="Instance profile of the nodes.")
    subnet: str = luigi.Parameter(default="", description="Subnet of the nodes.")
    ec2_key: str = luigi.Parameter(default="", description="Key pair for ssh to the nodes.")
    log_uri: str = luigi.Parameter(default="", description="s3:// place of the logs, which are shown when a step fails.")
    bootstrap: str = luigi.Parameter(default="[]", description="Bootstrap scripts, a JSON list of s3:// URIs.")
    tags: str = luigi.Parameter(default="{}", description="Tags of the cluster, a JSON object.")
    archive: str = luigi.Parameter(default="", description="s3:// URI of the environment that make environment packs.")
    poll_s: float = luigi.FloatParameter(default=30.0, description="Time between two looks at the step [s].")

    @classmethod
    def get_task_family(cls) -> str:
        """Return the section's name."""
        return "emr"

    def client(self) -> Any:
        """Return a client of the service; credentials are boto3's own."""
        return boto3.client("emr", region_name=self.region or None, endpoint_url=self.endpoint_url or None)


@dataclass(frozen=True)
class Step:
    """A step that EMR was asked for, and whether its cluster was made for it."""

    cluster_id: str
    step_id: str
    is_own: bool


def step_request(name: str, command: Sequence[str], *, is_own: bool) -> dict[str, Any]:
    """Return a step that runs a command; its words stay apart, none is quoted."""
    return {
        "Name": name,
        "ActionOnFailure": "TERMINATE_CLUSTER" if is_own else "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": list(command)},
    }


def cluster_request(name: str, step: Mapping[str, Any], settings: EmrSettings) -> dict[str, Any]:
    """Return what RunJobFlow is asked: a cluster that ends itself with its step.

    Raises
    ------
    ConfigurationError
        No core node is asked for, or a list or object of [emr] is no JSON.
    """
    if settings.core_count < 1:
        raise ConfigurationError(f"[emr] core_count = {settings.core_count}: at least 1 is needed")
    instances: dict[str, Any] = {"InstanceGroups": _groups(settings), "KeepJobFlowAliveWhenNoSteps": False, "TerminationProtected": False}
    instances |= {name: value for name, value in (("Ec2SubnetId", settings.subnet), ("Ec2KeyName", settings.ec2_key)) if value}
    scripts, tags = _json(settings.bootstrap, "bootstrap", list), _json(settings.tags, "tags", dict)
    request = {
        "Name": name,
        "ReleaseLabel": settings.release,
        "Applications": [{"Name": "Spark"}],
        "Instances": instances,
        "Steps": [dict(step)],
        "BootstrapActions": [{"Name": uri.rpartition("/")[2], "ScriptBootstrapAction": {"Path": uri}} for uri in scripts],
        "ServiceRole": settings.service_role,
        "JobFlowRole": settings.job_flow_role,
        "VisibleToAllUsers": True,
        "Tags": [{"Key": key, "Value": str(value)} for key, value in sorted(tags.items())],
    }
    return request | ({"LogUri": settings.log_uri} if settings.log_uri else {})


def _groups(settings: EmrSettings) -> list[dict[str, Any]]:
    """Return the groups of instances: one primary, core, and task nodes on the spot market where there are some."""
    groups: list[dict[str, Any]] = [
        {"Name": "primary", "InstanceRole": "MASTER", "InstanceType": settings.master_type, "InstanceCount": 1, "Market": "ON_DEMAND"},
        {
            "Name": "core",
            "InstanceRole": "CORE",
            "InstanceType": settings.core_type,
            "InstanceCount": settings.core_count,
            "Market": "ON_DEMAND",
        },
    ]
    if settings.task_count:
        spot = {"Market": "SPOT", "BidPriceAsPercentageOfOnDemandPrice": float(settings.spot_percent)}
        kind = settings.task_type or settings.core_type
        groups.append({"Name": "task", "InstanceRole": "TASK", "InstanceType": kind, "InstanceCount": settings.task_count} | spot)
    return [{k: v for k, v in group.items() if k != "BidPriceAsPercentageOfOnDemandPrice"} for group in groups]


def _json(text: str, name: str, kind: type) -> Any:
    """Return a JSON value of [emr]."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"[emr] {name} = {text}: a JSON {kind.__name__} is needed ({error})") from error
    if not isinstance(found, kind):
        raise ConfigurationError(f"[emr] {name} = {text}: a JSON {kind.__name__} is needed")
    return found
