"""What a worker of a cluster shows before it is given trials: that it has all it needs, and which bits it gives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from lastbit.errors import LastbitError
from lastbit.execution.versions import differing_versions
from lastbit.storage.files import sha256
from lastbit.study.execute import Job
from lastbit.study.layout import STUDY


@dataclass(frozen=True)
class Introduction:
    """How a worker showed itself."""

    proof: str | None = None
    complaint: str | None = None  # why it can take no part


def introduce(job: Job, study: str, versions: Mapping[str, str | None]) -> Introduction:
    """Look whether this process can take part in a study, and prove its arithmetic.

    Args:
        job: runs the study's trials.
        study: checksum of the study's description, as the client sees it.
        versions: the client's, which those that were there when it came were held against already.
    """
    complaint = differing_versions(versions) or _directory(job, study) or _training(job)
    return Introduction(complaint=complaint) if complaint else Introduction(proof=job.proof())


def checksum(job: Job) -> str:
    """Of the study's description, which client and workers must see alike."""
    return sha256((job.root / STUDY).read_bytes())


def _directory(job: Job, study: str) -> str | None:
    advice = "put it on a file system that all machines share under one name"
    try:
        same = checksum(job) == study
    except OSError:
        return f"does not see the study's directory {job.root}: {advice}"
    if not same:
        return f"sees another directory as {job.root}: {advice}"
    if not os.access(job.root, os.W_OK):
        return f"cannot write to {job.root}: its user needs the right to"
    return None


def _training(job: Job) -> str | None:
    """What the training itself finds missing, such as its data set."""
    check = getattr(job.train, "check", None)
    if check is None:
        return None
    try:
        check()
    except LastbitError as error:
        return str(error)
    return None
