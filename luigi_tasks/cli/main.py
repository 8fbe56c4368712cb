"""The subcommands of `halo` that need the pipeline; importing this adds them."""

from halo_command import main
from luigi_tasks.cli.campaign import campaign
from luigi_tasks.cli.compare import compare
from luigi_tasks.cli.doctor import doctor
from luigi_tasks.cli.emr import emr
from luigi_tasks.cli.place import init
from luigi_tasks.cli.report import report
from luigi_tasks.cli.stamps import stamps
from luigi_tasks.cli.state import state
from luigi_tasks.cli.status import status
from luigi_tasks.cli.storage import storage
from luigi_tasks.cli.validate import validate

__all__ = ["main"]

for command in (campaign, compare, doctor, emr, init, report, stamps, state, status, storage, validate):
    main.add_command(command)
