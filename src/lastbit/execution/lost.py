"""Workers that went away."""


class WorkerDiedError(RuntimeError):
    """A worker process ended in the middle of its work."""


class LostWorkersError(RuntimeError):
    """All workers are out of reach, so that no job can be run."""
