"""Laws of a step on EMR, against moto's: asked for once whatever dies, joined by whoever comes next, ended by whoever leaves."""

import gzip
import json
import os
import signal
from threading import Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from halo_core.errors import ClusterError, ConfigurationError
from luigi_tasks.engines.emr import Emr, EmrSubmission
from luigi_tasks.engines.emr_service import EmrService
from luigi_tasks.engines.emr_settings import EmrSettings
from luigi_tasks.engines.interrupts import unwinding_on_sigterm
from luigi_tasks.engines.request import BlocksRequest
from luigi_tasks.objects import FolderObjects, Objects, open_objects
from tests.fixtures.emr import FakeEmr, hook_clients, settle_at_once
from tests.fixtures.services import wait_until

DIGEST = "0123456789abcdef"


@pytest.fixture
def objects(s3_root: str, fake_emr: FakeEmr) -> Objects:
    """Empty objects on S3, beside an empty EMR."""
    return open_objects(s3_root)


def submission(objects: Objects, blocks: tuple[int, ...] = (0, 1), **settings: object) -> EmrSubmission:
    """Return a submission of blocks of no campaign."""
    engine = Emr()
    engine.settings = EmrSettings(**settings)
    return engine.submit(objects, BlocksRequest("injection", DIGEST, str(objects.root), "mock", blocks, {}, {}))


def forget(answer: object) -> None:
    """Lose an answer."""


def wait_for_end(one: EmrSubmission) -> int:
    """Return the exit code of a submission that is over soon."""
    wait_until(lambda: one.exit_code() is not None, "the end of a step", timeout_s=20, pause_s=0.01)
    return int(one.exit_code() or 0)


def test_a_step_that_is_done_is_seen_and_its_cluster_ended(objects: Objects, fake_emr: FakeEmr) -> None:
    with submission(objects) as running:
        assert running.exit_code() is None
        assert running.state() == f"EMR {fake_emr.cluster.id}: cluster WAITING, step RUNNING"
        fake_emr.step.state = "COMPLETED"
        assert wait_for_end(running) == 0
    assert fake_emr.cluster.state == "TERMINATED"
    assert fake_emr.step.args == list(running.command)
    assert [name for name, _ in fake_emr.asked].count("RunJobFlow") == 1


def test_what_is_staged_is_staged_once(objects: Objects, fake_emr: FakeEmr) -> None:
    tags = []
    for _ in range(2):
        with submission(objects) as running:
            fake_emr.clusters[-1].steps[0].state = "COMPLETED"
            wait_for_end(running)
        tags.append({key: time for key, time in objects.list_times("").items() if key.startswith("_engine/")})
    assert len(tags[0]) == 3
    assert tags[0] == tags[1]
    assert {key.rpartition("/")[2] for key in tags[0]} == {"environment.tar.gz", "spark_launch.py", "emr_bootstrap.sh"}


@pytest.mark.parametrize("error", [ValueError("driver"), KeyboardInterrupt()])
def test_a_driver_that_fails_or_is_interrupted_ends_its_cluster(objects: Objects, fake_emr: FakeEmr, error: BaseException) -> None:
    with pytest.raises(type(error)), submission(objects):
        raise error
    assert fake_emr.cluster.state == "TERMINATED"


def test_a_driver_that_is_told_to_end_ends_its_cluster_and_the_next_asks_anew(objects: Objects, fake_emr: FakeEmr) -> None:
    with pytest.raises(KeyboardInterrupt), unwinding_on_sigterm(), submission(objects):
        os.kill(os.getpid(), signal.SIGTERM)
    assert fake_emr.cluster.state == "TERMINATED"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with submission(objects):
        assert len(fake_emr.clusters) == 2


def test_a_cluster_that_was_there_gets_a_step_and_goes_on(objects: Objects, fake_emr: FakeEmr) -> None:
    theirs = fake_emr.make_cluster()
    with submission(objects, cluster_id=theirs) as running:
        assert running.exit_code() is None
        assert fake_emr.step.action_on_failure == "CONTINUE"
    assert (fake_emr.step.state, fake_emr.cluster.state) == ("CANCELLED", "RUNNING")
    with submission(objects, cluster_id=theirs) as running:
        fake_emr.step.state = "COMPLETED"
        assert wait_for_end(running) == 0
    assert fake_emr.cluster.state == "RUNNING"
    assert fake_emr.actions("RunJobFlow") == fake_emr.actions("TerminateJobFlows") == []
    assert len(fake_emr.actions("AddJobFlowSteps")) == 2
    assert len(fake_emr.actions("CancelSteps")) == 1


def test_a_driver_that_comes_after_one_was_killed_joins_its_step_and_takes_what_became_of_it(objects: Objects, fake_emr: FakeEmr) -> None:
    killed = submission(objects).__enter__()
    with submission(objects, blocks=(1, 2)) as joined:
        assert joined.exit_code() is None
        assert joined.blocks == {0, 1}
        assert joined.key == killed.key
        fake_emr.step.state = "COMPLETED"
        assert wait_for_end(joined) == 0
    with submission(objects, blocks=(2,)) as anew:
        assert anew.key != killed.key
        assert anew.blocks == {2}
    assert len(fake_emr.actions("RunJobFlow")) == 2


@pytest.mark.parametrize("borrows", [False, True])
def test_a_step_whose_answer_never_came_is_found_by_its_name(
    objects: Objects, fake_emr: FakeEmr, borrows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"cluster_id": fake_emr.make_cluster()} if borrows else {}
    ask = EmrService.ask
    monkeypatch.setattr(EmrService, "ask", lambda service, request: forget(ask(service, request)))
    with submission(objects, **settings) as running:
        assert running.exit_code() is None
        fake_emr.step.state = "COMPLETED"
        assert wait_for_end(running) == 0
    assert len(fake_emr.actions("RunJobFlow") + fake_emr.actions("AddJobFlowSteps")) == 1
    assert fake_emr.cluster.state == ("RUNNING" if borrows else "TERMINATED")


def test_a_request_whose_answer_is_lost_is_not_sent_again(objects: Objects, fake_emr: FakeEmr, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(request: Any, **_: object) -> None:
        if b"RunJobFlow" in request.headers["X-Amz-Target"]:
            raise ReadTimeoutError(endpoint_url="https://emr")

    hook_clients(monkeypatch, "before-send", lose)
    with submission(objects) as running:
        assert running.exit_code() is None
    assert len(fake_emr.actions("RunJobFlow")) == 1
    assert fake_emr.cluster.state == "TERMINATED"


def test_what_a_driver_died_before_asking_is_asked_by_the_next(
    objects: Objects, fake_emr: FakeEmr, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(EmrService, "ask", lambda *_: None)
        patch.setattr(EmrSubmission, "__exit__", lambda *_: None)
        with submission(objects) as killed:
            assert killed.exit_code() is None
    settle_at_once(monkeypatch)
    with submission(objects) as given_up:
        assert given_up.exit_code() is not None
        assert given_up.blocks == frozenset()
    assert fake_emr.clusters == []
    with submission(objects) as running:
        assert running.exit_code() is None
        assert fake_emr.cluster.name.endswith(" 0001")


def test_of_two_drivers_at_once_one_asks(objects: Objects, fake_emr: FakeEmr) -> None:
    both = [submission(objects), submission(objects)]
    threads = [Thread(target=one.__enter__) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fake_emr.step.state = "COMPLETED"
    assert [wait_for_end(one) for one in both] == [0, 0]
    assert len(fake_emr.actions("RunJobFlow")) == 1


def test_what_emr_refuses_is_an_error_and_stands_in_nobodys_way(
    objects: Objects, fake_emr: FakeEmr, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        error = {"Error": {"Code": "ValidationException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        raise ClientError(error, "RunJobFlow")

    hook_clients(monkeypatch, "before-call.emr.RunJobFlow", refuse)
    for _ in range(2):
        with pytest.raises(ClusterError, match=r"cannot ask for a step on EMR.*check \[emr\]"), submission(objects):
            pass
    assert len(fake_emr.actions("RunJobFlow")) == 2


def test_one_of_too_many_requests_is_sent_again(objects: Objects, fake_emr: FakeEmr, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [ClientError({"Error": {"Code": "ThrottlingException"}}, "RunJobFlow")] * 2
    monkeypatch.setattr("luigi_tasks.engines.emr_service._PAUSES_S", (0.0,) * 5)

    def refuse(**_: object) -> None:
        if refusals:
            raise refusals.pop()

    hook_clients(monkeypatch, "before-call.emr.RunJobFlow", refuse)
    with submission(objects):
        assert len(fake_emr.clusters) == 1


@pytest.mark.parametrize(
    ("state", "cluster", "code"), [("FAILED", "TERMINATED", 1), ("RUNNING", "TERMINATED_WITH_ERRORS", 4), ("CANCELLED", "RUNNING", 2)]
)
def test_a_step_that_fails_says_why_and_shows_its_logs(objects: Objects, fake_emr: FakeEmr, state: str, cluster: str, code: int) -> None:
    with submission(objects) as running:
        place = f"_engine/logs/{fake_emr.cluster.id}"
        fake_emr.step.state, fake_emr.cluster.state = state, cluster
        fake_emr.step.last_state_change_reason = fake_emr.cluster.last_state_change_reason = "spot nodes were taken back"
        assert running.exit_code() == code
        assert "spot nodes were taken back" in running.ended()
        assert f"no logs came to {objects.uri(place)}/steps/{fake_emr.step.id} within 0.2 s" in running.tail()
        said = b"Application application_17_0001 failed"
        objects.put(f"{place}/steps/{fake_emr.step.id}/stderr.gz", gzip.compress(said))
        driver = f"{place}/containers/application_17_0001/container_17_0001_01_000001/stdout.gz"
        objects.put(driver, gzip.compress(b"ModuleNotFoundError: numba"))
        assert said.decode() in running.tail()
        assert "ModuleNotFoundError: numba" in running.tail()


def test_objects_in_a_folder_are_refused(fake_emr: FakeEmr) -> None:
    with pytest.raises(ConfigurationError, match="s3://your-bucket/prefix alone"):
        submission(FolderObjects("here"))


def test_nothing_that_is_asked_or_kept_holds_a_credential(objects: Objects, fake_emr: FakeEmr) -> None:
    with submission(objects):
        texts = [json.dumps(fake_emr.actions("RunJobFlow")), *(str(objects.read(key)) for key in objects.list_sizes("injection"))]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert not any(os.environ[name] in text for text in texts)
