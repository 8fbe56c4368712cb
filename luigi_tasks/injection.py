"""Injection: hosts cut, arcs painted, metrics measured, one result per task; one Luigi task per block."""

import luigi
import pyarrow as pa
import pyarrow.compute as pc

from halo_core.records import RESULTS, arcs_schema
from halo_core.stages.cache import brick_planes
from halo_core.stages.files import StampWriter, read_table
from halo_core.stages.injection import inject_brick
from halo_core.stamps import ARCS_FILE, RESULTS_FILE
from halo_core.store.injection import store_results
from halo_core.store.sessions import begin
from luigi_tasks.block_stage import BlockStage
from luigi_tasks.blocks import BlockPlan, BlockTask, block_tasks, check_counts, fetch_block
from luigi_tasks.cache import load_planes
from luigi_tasks.hosts import block_hosts
from luigi_tasks.leases import Lease
from luigi_tasks.progress import Progress
from luigi_tasks.stage import put_table


class InjectBlock(BlockTask):
    """One block is injected: its planes fetched, hosts, arcs and results stored, results in the state. Safe to run again."""

    word = "injection"

    def work(self, lease: Lease) -> None:
        """Fetch, inject what is not committed, load the rows."""
        plan = BlockPlan.read(self.objects, self.word, self.digest)
        is_new = self.output().committed() is None
        planes, owned = fetch_block(self, plan, reads_pixels=is_new)
        if is_new:
            self._inject(plan, planes)
        results = read_table(self.objects.path(f"{self.output().prefix}/{RESULTS_FILE}"))
        with begin(self.state_url) as connection:
            load_planes(connection, plan, owned, self.block)
            store_results(connection, results, stage_digest=self.digest, block=self.block)
            lease.finish(connection)

    def _inject(self, plan: BlockPlan, planes: pa.Table) -> None:
        """Store hosts, arcs and results brick by brick, then commit."""
        tasks = block_tasks(self.objects, plan, self.block)
        keys = {name: f"{self.output().prefix}/{name}" for name in (ARCS_FILE, RESULTS_FILE)}
        arcs_file = self.objects.temporary(keys[ARCS_FILE])
        size = plan.injection.store_size_pix
        progress = Progress(f"injection, block {self.block}", total=tasks.num_rows, unit="tasks", task=self)
        results = []
        with block_hosts(self.objects, plan, self.block) as hosts, StampWriter(arcs_file, arcs_schema(size)) as arcs:
            for brickname in dict.fromkeys(tasks["brickname"].to_pylist()):
                mine = tasks.filter(pc.equal(tasks["brickname"], brickname))
                of_brick = brick_planes(planes, brickname, hosts.path_of)
                made = inject_brick(mine, of_brick, plan.injection, hosts=hosts.cut_before(brickname), write_arcs=arcs.write)
                hosts.keep(made.hosts)
                results.append(made.results)
                progress.step(made.results.num_rows)
        counts = {"n_hosts": hosts.n_hosts, "n_arcs": arcs.n_rows, "n_tasks": tasks.num_rows}
        table = pa.concat_tables(results, promote_options="none").cast(RESULTS)
        check_counts(table.num_rows, tasks.num_rows, where=f"injection block {self.block}")
        records = hosts.put() | {keys[ARCS_FILE]: self.objects.put_file(keys[ARCS_FILE], arcs_file)}
        records[keys[RESULTS_FILE]] = put_table(self.objects, keys[RESULTS_FILE], table)
        used = {f"{row['brickname']} {row['plane']}": row["sha256"] for row in planes.to_pylist() if row["status"] == "ok"}
        content = {"stage": self.word, "digest": self.digest, "block": self.block, "counts": counts, "planes_sha256": used}
        self.output().commit(content | hosts.said, records)


class InjectAll(BlockStage):
    """Every task of the manifest is one result; cache and injection are done block by block."""

    word = "injection"
    words = ("cache", "injection")

    def block_task(self, block: int) -> luigi.Task:
        """Return the task that injects one block."""
        return InjectBlock(
            digest=self.digest_of(self.word),
            block=block,
            objects_root=self.objects_root,
            survey_root=self.survey.root,
            state_url=self.state_url,
        )
