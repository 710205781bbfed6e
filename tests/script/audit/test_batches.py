from dataclasses import replace

import pytest
import torch

from lastbit.script.audit.batch_contents import checksums, named
from lastbit.script.audit.batches import Batch, BatchLog, LoaderCode, first_differing_batch

_BATCH = Batch("train.py:30", 0, 3, 3, 1, 7, (5, 9, 1), (11, 22, 33), 44)
_CODE = {"train.py:30": LoaderCode(order=(("s.py", 1, 2),), contents=(("d.py", 3, 4),))}


@pytest.mark.parametrize(
    ("change", "said", "file"),
    [
        (
            {"indices": (9, 5, 1)},
            "holds samples 5, 9, 1 in one run and 9, 5, 1 in the other: the same samples in",
            "s.py",
        ),
        ({"indices": (5, 9, 2)}, "holds samples 5, 9, 1 in one run and 5, 9, 2 in the other: other samples", "s.py"),
        ({"samples": (11, 0, 33), "digest": 1}, "and sample 9 has other contents, made by worker 1", "d.py"),
        ({"samples": (0, 0, 33), "digest": 1}, "and samples 5, 9 have other contents, made by worker 1", "d.py"),
        ({"samples": (1, 2, 3), "digest": 1}, "and all 3 samples have other contents, made by worker 1", "d.py"),
        ({"samples": (), "digest": 1}, "holds the same samples with other contents, made by worker 1", "d.py"),
        ({"worker": 0, "digest": 1}, "is made by worker 1 in one run and 0 in the other, with other contents", "d.py"),
        ({"number": 4}, "comes where the other run gets batch 4", None),
    ],
)
def test_how_two_batches_differ_is_said(change, said, file):
    found = first_differing_batch([_BATCH], [replace(_BATCH, **change)], _CODE)
    assert said in found.what
    assert "batch 3 (epoch 0) of the loader at train.py:30" in found.what
    assert [lines[0] for lines in (*found.code.order, *found.code.contents)] == ([] if file is None else [file])


def test_batches_that_only_one_run_has_are_no_difference():
    drawn = replace(_BATCH, number=4, place=None, digest=None)
    assert first_differing_batch([_BATCH, drawn], [_BATCH], _CODE) is None
    assert first_differing_batch([_BATCH, drawn], [_BATCH, replace(drawn, place=4, digest=5)], _CODE) is None


def test_loaders_of_a_program_with_a_line_more_are_told_by_their_order():
    """Two loaders, both a line lower in the other run; of the second another sample is drawn."""
    second = replace(_BATCH, loader="train.py:31", number=0, place=0)
    other = [replace(_BATCH, loader="train.py:31"), replace(second, loader="train.py:32", indices=(5, 9, 2))]
    found = first_differing_batch([_BATCH, second], other, _CODE)
    assert found.batch == second
    assert found.what.endswith("holds samples 5, 9, 1 in one run and 5, 9, 2 in the other: other samples")
    assert first_differing_batch([_BATCH, second], [other[0], replace(second, loader="train.py:32")], _CODE) is None


def test_a_log_keeps_the_latest_batches_as_they_were_handed_over():
    log = BatchLog()
    for number in range(300):
        log.note_batch(replace(_BATCH, number=number, digest=None))
        log.note_batch(replace(_BATCH, number=number))
    assert len(log.batches) == 256
    assert (log.batches[0].number, log.batches[-1].number) == (44, 299)
    assert log.batches[-1].digest == 44


@pytest.mark.parametrize("layout", ["plain", "transposed"])
def test_the_checksum_of_a_sample_changes_with_it_alone(layout):
    images = torch.arange(24.0).reshape(4, 6) if layout == "plain" else torch.arange(24.0).reshape(6, 4).t()
    batch = {"x": images, "y": [torch.arange(4), ("a", "b", "c", "d")], "scale": 0.5}
    samples, whole = checksums(batch, 4)
    assert len(set(samples)) == 4
    images[2, 5] = torch.nextafter(images[2, 5], torch.tensor(99.0))
    changed, other = checksums(batch, 4)
    assert [a != b for a, b in zip(samples, changed, strict=True)] == [False, False, True, False]
    assert whole != other
    assert checksums({"x": images.flip(0), "y": [torch.arange(4).flip(0), ("d", "c", "b", "a")]}, 4)[0] == changed[::-1]
    renamed = {**batch, "y": [torch.arange(4), ("a", "b", "c", "e")]}
    assert [a != b for a, b in zip(checksums(renamed, 4)[0], changed, strict=True)] == [False, False, False, True]
    assert checksums({**batch, "scale": 0.25}, 4)[1] != other


def test_a_batch_that_is_not_split_by_samples_has_one_checksum():
    packed = torch.nn.utils.rnn.pack_sequence([torch.ones(3), torch.ones(2)])
    samples, whole = checksums(packed, 2)
    assert samples == ()
    assert whole != checksums(torch.nn.utils.rnn.pack_sequence([torch.ones(3), torch.zeros(2)]), 2)[1]


def test_samples_are_named_by_what_the_sampler_gave():
    assert named([3, torch.tensor(4), "a/b.png", (1, 2)]) == (3, 4, "a/b.png", "(1, 2)")
    assert named(torch.tensor([5, 6])) == (5, 6)
    assert named(7) == (7,)
    assert named([None, None]) is named(None) is None
