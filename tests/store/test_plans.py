"""Law of indexes: among the rows of many campaigns, no documented question reads a large table from end to end in Postgres."""

import re

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from halo_core.records import MANIFEST, RESULTS
from halo_core.store import campaigns, injection, manifest, stages
from halo_core.store.sessions import begin, read
from tests.fixtures.databases import rows_of
from tests.store.test_documented_questions import changed, questions

N_CAMPAIGNS = 15
PER_CAMPAIGN = 20_000
PER_BLOCK = 1_000
LARGE = re.compile(r"Seq Scan on (injection_tasks|injection_results)\b")


def rows(seed: int) -> tuple[pa.Table, pa.Table]:
    """Return a campaign's tasks and results; ids are hashes."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    number = np.arange(PER_CAMPAIGN)
    ids = [rng.bytes(12).hex() for _ in number]
    block = (number // PER_BLOCK).tolist()
    common = {"tier": "grid", "grid": "medium", "bandset": "grz", "src_e": 0.1, "lens_e": 0.1}
    tasks = rows_of(MANIFEST, PER_CAMPAIGN, task_id=ids, physical_id=[ids[one - one % 2] for one in number], block=block, **common)
    tasks = changed(tasks, stamp_size=np.where(number % 2, 64, 96).tolist(), host_id=[f"h{one}" for one in number // 10])
    return tasks, rows_of(RESULTS, PER_CAMPAIGN, task_id=ids, block=block, cutout_ok=True, metrics_ok=True)


@pytest.fixture(scope="module")
def large_url(shared_url):
    """A state of 300,000 tasks in fifteen campaigns, demo and wide among them."""
    for number in range(N_CAMPAIGNS):
        tasks, results = rows(number)
        with begin(shared_url) as connection:
            run = campaigns.register_campaign(connection, {0: "demo", 1: "wide"}.get(number, f"other{number}"), {})
            for word, digest in (("manifest", f"m{number:02d}"), ("injection", f"i{number:02d}")):
                stages.record_stage(connection, digest, word, 1, {}, "0.1.0")
                campaigns.link_stage(connection, run, word, digest)
            manifest.store_tasks(connection, tasks, stage_digest=f"m{number:02d}")
            injection.store_results(connection, results, stage_digest=f"i{number:02d}")
    with begin(shared_url) as connection:
        connection.exec_driver_sql("ANALYZE")
    return shared_url


def plan_of(url: str, question: str) -> str:
    """Return how Postgres would answer."""
    with read(url) as connection:
        return "\n".join(connection.execute(sa.text(f"EXPLAIN {question}")).scalars())


@pytest.mark.parametrize("shared_url", ["postgres"], indirect=True)
class TestPlans:
    """Plans of one filled state."""

    @pytest.mark.parametrize("number", sorted(questions()))
    def test_a_documented_question_reads_its_campaign_alone(self, large_url, number):
        plan = plan_of(large_url, questions()[number])
        assert not LARGE.search(plan), plan

    def test_a_question_that_names_no_campaign_is_seen_to_read_all(self, large_url):
        assert LARGE.search(plan_of(large_url, "SELECT COUNT(*) FROM injection_tasks WHERE src_e > 0.5"))

    def test_the_beginning_of_an_id_is_found_by_the_key(self, large_url):
        assert "pk_injection_tasks" in plan_of(large_url, questions()[7])

    def test_rows_of_a_digest_or_a_block_are_found_by_an_index(self, large_url):
        for condition in ("stage_digest = 'm03'", "stage_digest = 'm03' AND block = 7"):
            assert not LARGE.search(plan_of(large_url, f"DELETE FROM injection_tasks WHERE {condition}"))
