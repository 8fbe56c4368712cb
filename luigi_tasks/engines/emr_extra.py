"""EMR where boto3 is installed, an extra of this project."""

from typing import TYPE_CHECKING

from halo_core.errors import ConfigurationError

if TYPE_CHECKING:
    from luigi_tasks.engines.emr import Emr


def emr_engine() -> "Emr":
    """Return EMR as an engine.

    Raises
    ------
    ConfigurationError
        boto3 is not installed, or [emr] is not right.
    """
    try:
        from luigi_tasks.engines.emr import Emr
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"EMR needs {error.name}; run: pip install 'dark-halo-scope[spark]'") from error
    return Emr()
