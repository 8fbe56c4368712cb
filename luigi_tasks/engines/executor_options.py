"""What every spark-submit is told about executors, on whatever cluster: pure words, so that each way of submitting says the same."""

ARCHIVE_FOLDER = "environment"
"""Where executors find the unpacked archive, below their own working folder."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Threads of the libraries: a block works on one core, and Spark counts cores."""

RULES = {"spark.task.cpus": "1", "spark.task.maxFailures": "4", "spark.python.worker.reuse": "true", "spark.speculation": "false"}
"""Said aloud, because a cluster has defaults of its own: a block is one core's; a block whose process dies is tried four times in all; a
process does block after block, so that it loads libraries and compiled code once; no block is done twice for being slow."""

_COMPILED = {"NUMBA_CACHE_DIR": "numba_cache"}
"""Compiled code of an unpacked archive: in the executor's own working folder, which can be written where an archive may not be, ends with
the application, and is never another processor's, version's or user's."""


def executor_options(archive: str, *, driver_python: str | None = None) -> list[str]:
    """Return the options of spark-submit that executors need.

    Parameters
    ----------
    archive : path or URI of the environment that executors unpack; empty where they find Python and the packages where the driver does.
    driver_python : the driver's own Python where it is not that of an archive, as in client mode.
    """
    variables = ONE_THREAD | (_COMPILED if archive else {})
    rules = RULES | {f"{place}.{name}": value for place in _PLACES for name, value in variables.items()}
    words = []
    if archive:
        words = ["--archives", f"{archive}#{ARCHIVE_FOLDER}"]
        rules["spark.pyspark.python"] = f"./{ARCHIVE_FOLDER}/bin/python"
        if driver_python is not None:
            rules["spark.pyspark.driver.python"] = driver_python
    return words + [word for name, value in rules.items() for word in ("--conf", f"{name}={value}")]


_PLACES = ("spark.executorEnv", "spark.yarn.appMasterEnv")
"""Whose environment: the executors', and that of a driver which YARN runs."""
