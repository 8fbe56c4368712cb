"""Amazon EMR as this project asks it: make, find, look at, end. What may have been done already is never asked for twice."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from halo_core.errors import ClusterError
from luigi_tasks.engines.emr_attempt import Place
from luigi_tasks.engines.emr_settings import EmrSettings

logger = logging.getLogger(__name__)

STEP_OVER = {"COMPLETED": 0, "FAILED": 1, "CANCELLED": 2, "INTERRUPTED": 3}
"""Exit codes of the states in which a step stays."""

CLUSTER_LOST = 4
"""Exit code of a step whose cluster ended before it."""

_CLUSTER_OVER = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")
_THROTTLED = ("ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException")
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)
_CLOCKS_S = 600.0


@dataclass(frozen=True)
class Status:
    """How a cluster and its step are; no exit code while they are at work."""

    cluster: str
    step: str
    exit_code: int | None
    why: str = ""

    def __str__(self) -> str:
        return f"cluster {self.cluster}, step {self.step or 'not known yet'}{f' ({self.why})' if self.why else ''}"


class EmrService:
    """The service, by the settings of [emr]."""

    def __init__(self, settings: EmrSettings) -> None:
        self._client, self._once = settings.clients()

    def ask(self, request: Mapping[str, Mapping[str, Any]]) -> Place | None:
        """Ask for a cluster or a step; None where the answer was lost, so that it may be there or not.

        Raises
        ------
        ClusterError
            EMR refuses.
        """
        try:
            if "RunJobFlow" in request:
                made = self._asked(lambda: self._once.run_job_flow(**request["RunJobFlow"]))
                return Place(made["JobFlowId"], "", is_own=True)
            added = self._asked(lambda: self._once.add_job_flow_steps(**request["AddJobFlowSteps"]))
            return Place(request["AddJobFlowSteps"]["JobFlowId"], added["StepIds"][0], is_own=False)
        except BotoCoreError as error:
            logger.warning("EMR: the answer was lost (%s); what it made is looked for by its name", error)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) < 500:
                raise _error("ask for a step", error) from error
            logger.warning("EMR: no answer (%s); what it made is looked for by its name", error)
        return None

    def find(self, name: str, cluster_id: str, since: float) -> Place | None:
        """Return where EMR works on what has this name: a step of the cluster that is given, else a cluster made since then."""
        with _errors("look for a step"):
            if cluster_id:
                step = self._step_of(cluster_id, name)
                return None if step is None else Place(cluster_id, step["Id"], is_own=False)
            after = datetime.fromtimestamp(since - _CLOCKS_S, UTC)
            pages = self._client.get_paginator("list_clusters").paginate(CreatedAfter=after)
            found = (cluster["Id"] for page in pages for cluster in page["Clusters"] if cluster["Name"] == name)
            own = next(found, None)
        return None if own is None else Place(own, "", is_own=True)

    def status(self, place: Place, name: str) -> Status:
        """Return how the cluster and the step are."""
        with _errors(f"look at cluster {place.cluster_id}"):
            cluster = self._client.describe_cluster(ClusterId=place.cluster_id)["Cluster"]["Status"]
            step = self._step(place, name)
        state = step["State"] if step is not None else ""
        if state in STEP_OVER:
            return Status(cluster["State"], state, STEP_OVER[state], _why(step or {}))
        if cluster["State"] in _CLUSTER_OVER:
            return Status(cluster["State"], state, CLUSTER_LOST, _why(cluster))
        return Status(cluster["State"], state, None)

    def step_id(self, place: Place, name: str) -> str:
        """Return the id of the step, empty where it is not known."""
        with _errors(f"list the steps of cluster {place.cluster_id}"):
            found = None if place.step_id else self._step_of(place.cluster_id, name)
        return place.step_id or (found["Id"] if found is not None else "")

    def log_uri(self, place: Place) -> str:
        """Return where the cluster's logs go, empty where it keeps none."""
        with _errors(f"look at cluster {place.cluster_id}"):
            found: str = self._client.describe_cluster(ClusterId=place.cluster_id)["Cluster"].get("LogUri") or ""
        return f"s3://{found.removeprefix('s3n://')}" if found.startswith("s3n://") else found

    def stop(self, place: Place) -> None:
        """End the cluster that was made, or cancel the step on another; what is over already stays so."""
        with _errors(f"END CLUSTER {place.cluster_id}, WHICH COSTS UNTIL IT ENDS" if place.is_own else f"cancel step {place.step_id}"):
            if place.is_own:
                self._client.terminate_job_flows(JobFlowIds=[place.cluster_id])
            else:
                ids = {"ClusterId": place.cluster_id, "StepIds": [place.step_id]}
                self._client.cancel_steps(**ids, StepCancellationOption="SEND_INTERRUPT")

    def _asked(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return an answer; a request that was refused for being one of too many was not done, so it is sent again."""
        for pause_s in _PAUSES_S:
            try:
                return ask()
            except ClientError as error:
                if error.response["Error"]["Code"] not in _THROTTLED:
                    raise
                time.sleep(pause_s)
        return ask()

    def _step(self, place: Place, name: str) -> dict[str, Any] | None:
        """Return the status of the step, None where EMR does not list it yet."""
        if place.step_id:
            found: dict[str, Any] = self._client.describe_step(ClusterId=place.cluster_id, StepId=place.step_id)["Step"]["Status"]
            return found
        step = self._step_of(place.cluster_id, name)
        return None if step is None else step["Status"]

    def _step_of(self, cluster_id: str, name: str) -> dict[str, Any] | None:
        """Return the step of a cluster that has a name."""
        pages = self._client.get_paginator("list_steps").paginate(ClusterId=cluster_id)
        return next((step for page in pages for step in page["Steps"] if step["Name"] == name), None)


def _why(status: Mapping[str, Any]) -> str:
    """Return what EMR says of why something ended."""
    details, change = status.get("FailureDetails") or {}, status.get("StateChangeReason") or {}
    said = [details.get("Reason"), details.get("Message"), details.get("LogFile"), change.get("Message")]
    return "; ".join(dict.fromkeys(text for text in said if text))


@contextmanager
def _errors(doing: str) -> Iterator[None]:
    """Name what failed and what to do."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise _error(doing, error) from error


def _error(doing: str, error: Exception) -> ClusterError:
    """Return the error of a request."""
    return ClusterError(f"cannot {doing} on EMR: {error}; check [emr], the credentials and their rights (docs/emr.md)")
