"""Workers of a dask.distributed cluster, as a `concurrent.futures.Executor`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

_TIMEOUT = 10  # seconds for the scheduler to answer


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """Give the workers behind a scheduler as an executor.

    The workers need lastbit, the same folder of data sets, and the directory that results go to under the same name;
    start them with one thread each (`dask worker ADDRESS --nthreads 1`), as `local_pool` does.

    Args:
        address: of a running scheduler, such as `tcp://10.0.0.5:8786`.

    Raises:
        ValueError: dask.distributed is not installed, this is no address, or nothing answers there within 10 seconds.
    """
    try:
        from distributed import Client  # only here: an extra that most do without
        from distributed.comm.addressing import get_address_host_port
    except ModuleNotFoundError:
        raise ValueError("a scheduler needs dask.distributed: pip install 'lastbit[cluster]'") from None
    try:
        get_address_host_port(address)  # a client that finds this out itself leaves threads behind
        client = Client(address, timeout=_TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:  # a time-out is an OSError
        raise ValueError(f"no scheduler answers at {address!r} within {_TIMEOUT} s: {_reason(error)}") from None
    with client:
        # A call given twice is two runs, not one whose outcome is known already.
        yield client.get_executor(pure=False)  # type: ignore[no-untyped-call]


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
