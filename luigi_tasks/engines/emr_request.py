"""What EMR is asked: a cluster for one step, or a step for a cluster that runs. Data in, data out; every word of a command stays a word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from halo_core.errors import ConfigurationError
from halo_core.seeds import hash_hex
from luigi_tasks.engines.emr_settings import EmrSettings
from luigi_tasks.engines.executor_options import ARCHIVE_FOLDER, executor_options
from luigi_tasks.engines.settings import SparkSettings

PYTHON = f"./{ARCHIVE_FOLDER}/bin/python"
"""The interpreter of the environment, in the working folder of every process of the application."""

ON_YARN_ALONE = ("--master", "--deploy-mode", "--archives")
"""Options of the step's command that name EMR's own cluster and files on S3."""

_EXECUTOR = ("--executor-cores", "1", "--executor-memory", "1g", "--conf", "spark.executor.memoryOverhead=2560m")


@dataclass(frozen=True)
class Staged:
    """The URIs of what a cluster needs: the environment, the file that spark-submit is given, the bootstrap script."""

    archive: str
    launcher: str
    bootstrap: str


def name_of(word: str, digest: str, number: int, root: str) -> str:
    """Return the name of an attempt at a stage, by which EMR finds it again: one of these objects has it."""
    return f"halo {word} {digest} {hash_hex(root, n_bytes=4)} {number:04d}"


def step_command(name: str, staged: Staged, arguments: Sequence[str]) -> list[str]:
    """Return the words of spark-submit on the cluster; what [spark] submit says comes last and counts.

    Raises
    ------
    ConfigurationError
        [spark] submit names another cluster.
    """
    options = SparkSettings().options()
    if any(f"{option} ".startswith(("--master ", "--master=")) for option in options) and "yarn" not in options:
        raise ConfigurationError("[spark] submit names a --master, which on EMR is its own YARN; take it out for a run on EMR")
    places = ("spark.yarn.appMasterEnv", "spark.executorEnv")
    python = [word for place in places for word in ("--conf", f"{place}.PYSPARK_PYTHON={PYTHON}")]
    yarn = ["--master", "yarn", "--deploy-mode", "cluster", *executor_options(staged.archive), *python]
    return ["spark-submit", "--name", name, *yarn, *_EXECUTOR, *options, staged.launcher, *arguments]


def emr_request(name: str, command: Sequence[str], staged: Staged, settings: EmrSettings, log_uri: str) -> dict[str, Any]:
    """Return what EMR is asked, by the name of the action: RunJobFlow for a cluster of its own, AddJobFlowSteps for one that runs."""
    if settings.cluster_id:
        return {"AddJobFlowSteps": {"JobFlowId": settings.cluster_id, "Steps": [_step(name, command, is_own=False)]}}
    return {"RunJobFlow": _cluster(name, _step(name, command, is_own=True), staged, settings, log_uri)}


def _step(name: str, command: Sequence[str], *, is_own: bool) -> dict[str, Any]:
    """Return a step that runs a command."""
    return {
        "Name": name,
        "ActionOnFailure": "TERMINATE_CLUSTER" if is_own else "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": list(command)},
    }


def _cluster(name: str, step: Mapping[str, Any], staged: Staged, settings: EmrSettings, log_uri: str) -> dict[str, Any]:
    """Return a cluster that ends with its step, when its step fails, and when it did nothing for long."""
    bootstrap = [{"Name": "python", "ScriptBootstrapAction": {"Path": staged.bootstrap, "Args": [settings.python]}}]
    bootstrap += [{"Name": uri.rpartition("/")[2], "ScriptBootstrapAction": {"Path": uri}} for uri in settings.bootstrap_scripts()]
    tags = {"halo": name, **settings.cluster_tags()}
    return {
        "Name": name,
        "ReleaseLabel": settings.release,
        "LogUri": log_uri,
        "Applications": [{"Name": "Spark"}],
        "Instances": _instances(settings),
        "Steps": [dict(step)],
        "BootstrapActions": bootstrap,
        "ServiceRole": settings.service_role,
        "JobFlowRole": settings.job_flow_role,
        "VisibleToAllUsers": True,
        "AutoTerminationPolicy": {"IdleTimeout": 60 * settings.idle_minutes},
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())],
    }


def _instances(settings: EmrSettings) -> dict[str, Any]:
    """Return the nodes and where they are."""
    fleets = [_fleet("MASTER", [settings.primary_type], 1, settings), _fleet("CORE", [settings.core_type], settings.core_count, settings)]
    if settings.task_count:
        fleets.append(_fleet("TASK", settings.task_types(), settings.task_count, settings))
    options = {
        "Ec2SubnetIds": settings.subnets(),
        "Ec2KeyName": settings.ec2_key,
        "EmrManagedMasterSecurityGroup": settings.primary_security_group,
        "EmrManagedSlaveSecurityGroup": settings.core_security_group,
        "ServiceAccessSecurityGroup": settings.service_security_group,
    }
    given = {key: value for key, value in options.items() if value}
    return {"InstanceFleets": fleets, "KeepJobFlowAliveWhenNoSteps": False, "TerminationProtected": False, **given}


def _fleet(role: str, types: Sequence[str], count: int, settings: EmrSettings) -> dict[str, Any]:
    """Return nodes of one role: task nodes on the spot market, and on demand where it has none in time."""
    is_spot, kinds = role == "TASK", [{"InstanceType": kind, "WeightedCapacity": 1} for kind in types]
    if settings.ebs_gb and role != "MASTER":
        disk = {"VolumeSpecification": {"VolumeType": "gp3", "SizeInGB": settings.ebs_gb}, "VolumesPerInstance": 1}
        kinds = [{**kind, "EbsConfiguration": {"EbsBlockDeviceConfigs": [disk]}} for kind in kinds]
    if is_spot:
        kinds = [{**kind, "BidPriceAsPercentageOfOnDemandPrice": settings.spot_percent} for kind in kinds]
    fleet = {"Name": role.lower(), "InstanceFleetType": role, "InstanceTypeConfigs": kinds}
    if not is_spot:
        return {**fleet, "TargetOnDemandCapacity": count}
    waiting = {"TimeoutDurationMinutes": settings.spot_wait_minutes, "TimeoutAction": "SWITCH_TO_ON_DEMAND"}
    return {**fleet, "TargetSpotCapacity": count, "LaunchSpecifications": {"SpotSpecification": waiting}}
