"""What rounding explains of several ranks is learnt rank by rank from noisy runs of all of them."""

import pytest
from tests.script.trace.test_compared_ranks import ranks
from tests.script.trace.written_traces import write

from lastbit.errors import LastbitError
from lastbit.script.target import Target
from lastbit.script.trace import rounding
from lastbit.script.trace.ranks import rank_path

TARGET = Target("file", "train.py")


def write_run(path, run):
    for rank, trace in enumerate(run):
        write(rank_path(path, rank), trace)


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """The file of a plain run of two ranks; recordings with noise are written by hand, as of so many ranks."""
    sizes = {"of noisy runs": 2}

    def record(target, path, *, noise, **_):
        # The second rank is noisier.
        write_run(path, ranks(sizes["of noisy runs"], {"noise": 1e-5}, noise=1e-7, noise_seed=noise))

    monkeypatch.setattr(rounding, "record_trace", record)
    write_run(tmp_path / "a.trace", ranks(2))
    return tmp_path / "a.trace", sizes


def test_each_rank_has_limits_of_its_own_and_all_are_kept_in_one_file(recorded):
    path, _ = recorded
    first, second = rounding.measure_rounding(TARGET, path)
    product = next(record for record in ranks(2)[0].records if record.site.name == "aten::mm")
    assert 1e-8 < first(product, 0) < 1e-5
    assert 30 < second(product, 0) / first(product, 0) < 300
    assert rounding.kept_envelopes(path, 2) is None
    rounding.keep_envelopes(path, [first, second])
    assert rounding.kept_envelopes(path, 2) == [first, second]
    with pytest.raises(LastbitError, match=r"of 2 processes, and .* is of 1: record both again"):
        rounding.kept_envelopes(path, 1)


def test_noisy_runs_of_other_numbers_of_processes_are_refused(recorded):
    path, sizes = recorded
    sizes["of noisy runs"] = 1
    with pytest.raises(LastbitError, match=r"train\.py ran in 2 processes, and with noise in 1"):
        rounding.measure_rounding(TARGET, path)
