"""Blocks as a step of Amazon EMR: on a cluster that is made for them and ends with them, or on one that runs."""

import json
import logging
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from halo_core.errors import ClusterError
from luigi_tasks.engines.emr_attempt import Attempt, Place, open_attempt
from luigi_tasks.engines.emr_logs import last_words
from luigi_tasks.engines.emr_request import Staged, emr_request, step_command
from luigi_tasks.engines.emr_service import EmrService
from luigi_tasks.engines.emr_settings import EmrSettings
from luigi_tasks.engines.emr_staging import staging_of
from luigi_tasks.engines.interrupts import uninterrupted
from luigi_tasks.engines.request import ENGINE, BlocksRequest
from luigi_tasks.engines.submission import launch_arguments
from luigi_tasks.objects import Objects

logger = logging.getLogger(__name__)

SETTLE_S = 300.0
"""How long EMR is looked at for what another driver has asked and never said that it got, before it is asked anew [s]."""

NEVER_MADE = 5
"""Exit code of an attempt that EMR never heard of."""


class Emr:
    """EMR as an engine; what it needs is staged before the first lease is taken."""

    def __init__(self) -> None:
        self.settings = EmrSettings().check()
        self._staged: Staged | None = None

    def prepare(self, objects: Objects) -> Staged:
        """Stage what a cluster needs, once, and return where it is."""
        if self._staged is None:
            staging = staging_of(objects, self.settings)
            staging.put(objects)
            self._staged = staging.staged
        return self._staged

    def submit(self, objects: Objects, request: BlocksRequest) -> "EmrSubmission":
        """Return a step that does the blocks, asked for when its context is entered."""
        return EmrSubmission(objects, request, self.prepare(objects), self.settings)

    def dry_run(self, objects: Objects, word: str, digest: str) -> str:
        """Return as JSON what EMR would be asked next; nothing is stored and EMR is not asked."""
        attempt = open_attempt(objects, word, digest)
        return json.dumps(request_of(attempt, staging_of(objects, self.settings).staged, self.settings), indent=2)


def request_of(attempt: Attempt, staged: Staged, settings: EmrSettings) -> dict[str, Any]:
    """Return what EMR is asked for an attempt."""
    command = step_command(attempt.name, staged, launch_arguments(attempt.objects, attempt.key))
    return emr_request(attempt.name, command, staged, settings, settings.log_uri or attempt.objects.uri(f"{ENGINE}/logs"))


class EmrSubmission:
    """An attempt at the blocks of a stage; leaving the context ends what it has made."""

    def __init__(self, objects: Objects, request: BlocksRequest, staged: Staged, settings: EmrSettings) -> None:
        self._settings, self._service = settings, EmrService(settings)
        self._wanted = request
        self._attempt = open_attempt(objects, request.word, request.digest)
        self._request = request_of(self._attempt, staged, settings)
        self._place: Place | None = None
        self._code: int | None = None
        self._state, self._next_look = "", 0.0

    @property
    def key(self) -> str:
        """Key of the request that is worked on."""
        return self._attempt.key

    @property
    def blocks(self) -> frozenset[int]:
        """Blocks that are worked on: those of the attempt that was joined; none where EMR never heard of it."""
        return frozenset() if self._code == NEVER_MADE else self._attempt.blocks()

    @property
    def command(self) -> Sequence[str]:
        """The words of the step."""
        return step_command_of(self._request)

    def __enter__(self) -> "EmrSubmission":
        """Ask EMR, or join the attempt that is there."""
        try:
            if self._attempt.begin(self._wanted):
                self._ask()
            else:
                self._place = self._attempt.place()
                logger.info("EMR: %s was asked for already, joined", self._attempt.name)
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """End the cluster that was made, or the step on another."""
        try:
            self._leave()
        except ClusterError as failure:
            logger.error("%s", failure)
            if error is None:
                raise
            error.add_note(str(failure))

    def exit_code(self) -> int | None:
        """Return how it ended, None while it runs; EMR is asked now and then."""
        if self._code is None and time.monotonic() >= self._next_look:
            self._look()
            self._next_look = time.monotonic() + self._settings.poll_s
        return self._code

    def state(self) -> str:
        """Return how cluster and step are, for people."""
        return self._state

    def ended(self) -> str:
        """Return how it ended, for people."""
        return f"EMR ended with {self._state}"

    def tail(self) -> str:
        """Return the last words of the step's logs, once they are there."""
        if self._place is None:
            return "there is no cluster"
        times = {"wait_s": self._settings.log_wait_s, "poll_s": self._settings.poll_s}
        step_id = self._service.step_id(self._place, self._attempt.name)
        return last_words(self._service.log_uri(self._place), self._place.cluster_id, step_id, **times)

    def _ask(self) -> None:
        """Ask EMR for a cluster or a step; what comes when another driver has given the attempt up is ended again."""
        try:
            self._keep(self._service.ask(self._request))
        except ClusterError as error:
            self._end(NEVER_MADE, f"refused: {error}")
            raise
        if self._attempt.is_over():
            raise ClusterError(f"EMR took longer than {SETTLE_S:g} s to answer for {self._attempt.name}, and another driver asks anew")

    def _look(self) -> None:
        """Ask EMR how things are; look for what was asked by a driver that died."""
        if self._place is None:
            self._find()
        if self._place is None:
            if self._attempt.age_s() > SETTLE_S:
                self._end(NEVER_MADE, "no cluster or step: EMR was never asked")
            return
        found = self._service.status(self._place, self._attempt.name)
        self._say(f"EMR {self._place.cluster_id}: {found}")
        if found.exit_code is not None:
            self._end(found.exit_code, self._state)

    def _find(self) -> None:
        """Find where EMR works on the attempt, by what was kept or by its name."""
        self._place = self._attempt.place()
        if self._place is None:
            since = self._attempt.asked_at()
            self._keep(self._service.find(self._attempt.name, self._settings.cluster_id, since))

    def _keep(self, place: Place | None) -> None:
        """Keep where EMR works on the attempt."""
        if place is not None:
            self._place = place
            self._attempt.keep_place(place)
            logger.info("EMR: %s is on cluster %s", self._attempt.name, place.cluster_id)

    def _say(self, state: str) -> None:
        """Log a state that is new."""
        if state != self._state:
            logger.info("%s", state)
            self._state = state

    def _end(self, code: int, state: str) -> None:
        """Keep that the attempt is over."""
        self._say(state)
        self._attempt.end(state)
        self._code = code

    def _leave(self) -> None:
        """End a cluster of our own, and cancel a step that is not over; a signal does not stop this."""
        with uninterrupted():
            if self._place is None and self._code is None:
                self._find()
            if self._place is None:
                return
            if self._place.is_own or self._code is None:
                logger.info("EMR: ending %s on cluster %s", self._attempt.name, self._place.cluster_id)
                self._service.stop(self._place)
            if self._code is None:
                self._attempt.end("stopped by its driver")


def step_command_of(request: dict[str, Any]) -> list[str]:
    """Return the words of the step that is asked for."""
    (asked,) = request.values()
    return list(asked["Steps"][0]["HadoopJarStep"]["Args"])
