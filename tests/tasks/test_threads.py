"""A worker computes on one thread, because the workers of a machine are its cores."""

import os
import subprocess
import sys

import pytest

NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
SHOW = "import os, luigi_tasks, numba; print(*(os.environ[name] for name in {names}), numba.config.NUMBA_NUM_THREADS)"


@pytest.mark.parametrize(("given", "want"), [(None, "1"), ("2", "2")])
def test_pipeline_sets_one_thread_unless_the_environment_says_otherwise(given, want):
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    if given is not None:
        environment |= dict.fromkeys(NAMES, given)
    shown = subprocess.run([sys.executable, "-c", SHOW.format(names=NAMES)], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [want] * (len(NAMES) + 1)
