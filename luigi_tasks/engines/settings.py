"""Which engine works on blocks, [engine] in luigi.cfg, and how Spark is reached, [spark]."""

import json
import shlex

import luigi

from halo_core.errors import ConfigurationError


class EngineSettings(luigi.Config):
    """The engine, [engine] in luigi.cfg."""

    name: str = luigi.ChoiceParameter(default="local", choices=["local", "spark"], description="local: Luigi's workers; spark: a cluster.")

    @classmethod
    def get_task_family(cls) -> str:
        """Return the section's name."""
        return "engine"

    @property
    def is_local(self) -> bool:
        """Whether blocks are Luigi tasks."""
        return bool(self.name == "local")


class SparkSettings(luigi.Config):
    """How blocks are submitted, [spark] in luigi.cfg."""

    through: str = luigi.ChoiceParameter(
        default="spark-submit", choices=["spark-submit", "emr"], description="spark-submit: of this machine; emr: a step of Amazon EMR."
    )
    program: str = luigi.Parameter(default="spark-submit", description="The spark-submit to run.")
    submit: str = luigi.Parameter(default="[]", description='Its options, a JSON list such as ["--master", "yarn"].')
    archive: str = luigi.Parameter(default="", description="The environment of executors, a path or URI; empty: that of the driver.")
    poll_s: float = luigi.FloatParameter(default=5.0, description="Time between two looks at what is committed [s].")

    @classmethod
    def get_task_family(cls) -> str:
        """Return the section's name."""
        return "spark"

    def options(self) -> list[str]:
        """Return the options of spark-submit.

        Raises
        ------
        ConfigurationError
            They are no JSON list of texts.
        """
        try:
            found = json.loads(self.submit)
        except json.JSONDecodeError as error:
            raise ConfigurationError(f"[spark] submit = {self.submit}: a JSON list is needed, such as {_example()} ({error})") from error
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise ConfigurationError(f"[spark] submit = {self.submit}: a JSON list of texts is needed, such as {_example()}")
        return found


def _example() -> str:
    """Return options that a user may begin with."""
    return json.dumps(shlex.split("--master spark://127.0.0.1:7077 --executor-cores 1 --executor-memory 2g"))
