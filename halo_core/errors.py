"""Errors that stop a run: each message says what, the value, the limit, where, and what to do."""


class HaloError(Exception):
    """Base of every error this project raises on purpose."""


class ConfigurationError(HaloError):
    """A parameter, campaign file or grid file is missing, unknown or out of range."""


class ConventionError(HaloError):
    """A quantity has the wrong unit, axis, sign or range."""


class SurveyDataError(HaloError):
    """A survey file or table is not what its format promises."""


class ManifestError(HaloError):
    """A manifest cannot be planned or built as asked."""


class AccountingError(HaloError):
    """Counts that must agree do not."""


class StageValidationError(HaloError):
    """A stage broke one of its laws; the findings are in the state and in the report."""


class StoreError(HaloError):
    """The state database is unreachable, not migrated, or holds something else than expected."""


class LeaseLostError(StoreError):
    """The lease on a block ended before the work did: another worker has the block."""


class ObjectStoreError(HaloError):
    """An object store is unreachable, not writable, or returned something else than was put."""


class ClusterError(HaloError):
    """A service that runs clusters cannot be reached, or refuses what it is asked."""


class BlocksFailedError(HaloError):
    """Blocks of a stage failed on the cluster; each one's reason is in the state."""
