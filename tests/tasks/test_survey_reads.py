"""Laws of the right to read a survey: its limit is kept, and who injects leaves it to the next who fetches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.configuration.cfg_parser import LuigiConfigParser
from luigi.execution_summary import LuigiStatusCode
from luigi.scheduler import Scheduler as LuigiScheduler

from luigi_tasks import CacheCoadds, InjectAll
from luigi_tasks.block_work import BlockWork
from luigi_tasks.cache import CacheBlock
from luigi_tasks.fetch import PlaneSource
from luigi_tasks.injection import InjectBlock
from luigi_tasks.survey_reads import FILES, Returnable, reads_resource
from tests.fixtures.campaigns import Place
from tests.fixtures.schedulers import Scheduler, start_scheduler
from tests.fixtures.services import wait_until

SERVER = "https://portal.nersc.gov/cfs/cosmo/data/legacysurvey/dr10/south"


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("/data/dr10", FILES),
        ("s3://bucket/dr10", FILES),
        (SERVER, "reads_portal.nersc.gov"),
        ("http://127.0.0.1:8080/dr10", "reads_127.0.0.1"),
        ("http://[::1]:8080/dr10", "reads_--1"),
    ],
)
def test_files_share_one_resource_and_each_server_has_its_own(root: str, name: str) -> None:
    assert reads_resource(root) == name
    blocks = [kind(digest="d", block=0, objects_root="o", survey_root=root, state_url="s") for kind in (CacheBlock, InjectBlock)]
    assert [block.process_resources() for block in blocks] == [{name: 1}, {name: 1}]


def test_the_name_of_a_server_s_resource_can_stand_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "luigi.cfg").write_text(f"[resources]\n{reads_resource(SERVER)} = 3\n")
    parser = LuigiConfigParser()
    parser.read(tmp_path / "luigi.cfg")
    assert parser.getintdict("resources") == {"reads_portal.nersc.gov": 3}


def test_a_server_that_the_configuration_does_not_name_is_read_by_one_block_at_a_time() -> None:
    scheduler = LuigiScheduler(resources={FILES: 8})
    for task in "abc":
        scheduler.add_task(worker="w", task_id=task, family=task, resources=Returnable({reads_resource(SERVER): 1}))
    first = scheduler.get_work(worker="w", current_tasks=[])["task_id"]
    assert scheduler.get_work(worker="w", current_tasks=[first])["task_id"] is None
    scheduler.decrease_running_task_resources(first, {reads_resource(SERVER): 1})
    second = scheduler.get_work(worker="w", current_tasks=[first])["task_id"]
    assert second not in (first, None)
    assert scheduler.get_work(worker="w", current_tasks=[first, second])["task_id"] is None


def test_a_task_that_is_started_again_holds_what_it_held_at_first() -> None:
    resources = Returnable({FILES: 2})
    first, second = resources.copy(), resources.copy()
    first[FILES] = 0
    assert (dict(first.items()), dict(second.items()), resources) == ({FILES: 0}, {FILES: 2}, {FILES: 2})


class Witness:
    """What blocks do, told by files: which have begun to fetch; two that fetch at once are an error of the second."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        fetch_all, inject = PlaneSource.fetch_all, BlockWork._inject

        def fetch(source: PlaneSource, wanted: Any, *, block: int, **words: Any) -> Any:
            (folder / "reading").touch(exist_ok=False)
            (folder / f"began-{block}").touch()
            rows = fetch_all(source, wanted, block=block, **words)
            (folder / "reading").unlink()
            return rows

        def inject_once_another_fetches(task: BlockWork, *words: Any) -> None:
            wait_until(lambda: bool(self.began() - {task.block}), f"a block that fetches while block {task.block} injects", timeout_s=60)
            inject(task, *words)

        patch.setattr(PlaneSource, "fetch_all", fetch)
        patch.setattr(BlockWork, "_inject", inject_once_another_fetches)

    def began(self) -> set[int]:
        """Return the blocks that have begun to fetch."""
        return {int(path.name.partition("-")[2]) for path in self.folder.glob("began-*")}


@pytest.fixture
def witness(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Witness:
    """Watch the blocks of this process and of those it forks; no block injects before another has begun to fetch."""
    return Witness(tmp_path_factory.mktemp("witness"), monkeypatch)


def test_a_block_fetches_while_another_injects_and_never_two_at_once(place_before_pixels: Place, witness: Witness) -> None:
    task = place_before_pixels.task(InjectAll)
    luigi.configuration.get_config().set("resources", FILES, "1")
    assert place_before_pixels.build(task, workers=2) == LuigiStatusCode.SUCCESS
    assert witness.began() == {0, 1, 2}


@pytest.fixture
def scheduler(place_before_pixels: Place, history_url: str) -> Iterator[Scheduler]:
    """A running luigid that lets one block read at a time."""
    for found in start_scheduler(place_before_pixels, history_url):
        assert found.ask("update_resource", resource=FILES, amount=1)
        yield found


def test_the_same_with_a_central_scheduler(scheduler: Scheduler, witness: Witness) -> None:
    place = scheduler.place
    assert place.build(place.task(InjectAll), workers=2, **scheduler.options) == LuigiStatusCode.SUCCESS
    assert witness.began() == {0, 1, 2}


def test_caching_alone_keeps_the_limit_too(place_before_pixels: Place, witness: Witness) -> None:
    task = place_before_pixels.task(CacheCoadds)
    luigi.configuration.get_config().set("resources", FILES, "1")
    assert place_before_pixels.build(task, workers=3) == LuigiStatusCode.SUCCESS
    assert witness.began() == {0, 1, 2}
