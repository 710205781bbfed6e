"""A study's directory: `study.json`, and under `trials/` one directory for each finished trial, complete or absent.

study.json                      checksummed; settings, noises, seeds
trials/ID/trial.json            the trial and the numerics it ran with
trials/ID/metrics.jsonl         one line for each log call
trials/ID/weights/STEP.safetensors
trials/ID/predictions.safetensors
trials/ID/output/               what a script wrote, and metrics found in it; no part of the digest
trials/ID/done.json             checksummed; how it ended and a checksum of every other file; written last
running/seed-SEED.bits          the bit fingerprint of a seed's trials
running/ID                      a trial in progress, with its checkpoint; running/ID.lock is held by its worker
results.json                    checksummed; computed from the trials
failed/ID/failure.json          checksummed; how a trial failed when it was last tried; beside it, what a script wrote
.lock                           held by the process that runs the study; .owner.json names it

A checksummed file is JSON with a checksum in it (`lastbit.storage.files.write_checksummed`).
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lastbit.errors import LastbitError
from lastbit.execution.jobs import BitFingerprint
from lastbit.execution.numerics import Fingerprint
from lastbit.storage.checkpoint import DIRECTORY as CHECKPOINT
from lastbit.storage.checkpoint import read_checkpoint
from lastbit.storage.directories import FAILURES, RUNNING, TRIALS
from lastbit.storage.files import (
    DamagedError,
    read_checksummed,
    sha256,
    sync_directory,
    to_json,
    write_checksummed,
)
from lastbit.storage.locks import lock_if_free, trial_lock
from lastbit.study.directory import StudyDirectory
from lastbit.study.recorder import Recorder
from lastbit.study.stored_trial import DIVERGED, DONE, FINISHED, FOUND, OUTPUT, TRIAL, StoredTrial, open_trial
from lastbit.study.trial import Failure, Trial

FAILURE = "failure.json"
_CLAIM = ".bits"


class Store(StudyDirectory):
    """Reads and writes the trials in a study's directory."""

    def has(self, trial: Trial) -> bool:
        """Whether the trial is finished and stored."""
        return (self._place(trial) / DONE).exists()

    def load(self, trial: Trial) -> StoredTrial:
        """Open a finished trial; its files are read, and their checksums verified, when asked for.

        Raises:
            DamagedError: its `done.json` is not what was written.
        """
        return open_trial(self._place(trial))

    @contextmanager
    def attempt(self, trial: Trial) -> Iterator[bool]:
        """Be the only one at a trial while the block runs, waiting for an orphan of a killed study if need be.

        Gives whether the trial is still to be run: the orphan may have stored it, or left it complete.
        """
        (self.root / RUNNING).mkdir(parents=True, exist_ok=True)
        with trial_lock(self._lock(trial)):
            self._store_complete(trial)
            yield not self.has(trial)

    def begin(self, trial: Trial, fingerprint: Fingerprint, bits: BitFingerprint = None) -> Recorder:
        """Open a trial's directory; of an interrupted attempt only what a sound checkpoint can go on from is kept.

        Args:
            trial: of which an attempt is held.
            fingerprint: of the numerics it runs with; an attempt with others is dropped.
            bits: the bit fingerprint of this process.
        """
        place = self._running(trial)
        if not _goes_on(place, _description(trial, fingerprint, bits)):
            shutil.rmtree(place, ignore_errors=True)
        recorder = Recorder(trial, place)
        self.describe_trial(trial, fingerprint, bits)
        return recorder

    def describe_trial(self, trial: Trial, fingerprint: Fingerprint, bits: BitFingerprint = None) -> None:
        """Write down what a trial in progress is, and the numerics it runs with."""
        (self._running(trial) / TRIAL).write_bytes(_description(trial, fingerprint, bits))

    def claim_seed(self, seed: int, bits: BitFingerprint) -> BitFingerprint:
        """Make a seed's trials those of workers with these bits, if nobody was faster; give the fingerprint that holds.

        Of several workers on several machines one wins, since a name can be linked once. A claim ends with the study's
        run; from then on what is stored says which fingerprint a seed has.
        """
        path = self.root / RUNNING / f"seed-{seed}{_CLAIM}"
        if bits is None:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        mine.write_text(bits, encoding="utf-8")
        try:
            path.hardlink_to(mine)
        except FileExistsError:
            return path.read_text(encoding="utf-8")
        finally:
            mine.unlink()
        return bits

    def finish(self, trial: Trial, recorder: Recorder) -> None:
        """Checksum and sync every file of a trial, then move it among the finished ones in one rename."""
        place = self._running(trial)
        shutil.rmtree(place / CHECKPOINT, ignore_errors=True)
        paths = {file.relative_to(place).as_posix(): file for file in _files(place)}
        files = {name: _sync_and_hash(file) for name, file in paths.items() if name != FOUND}  # has its own checksum
        # What a script prints holds times and paths, which no two runs share.
        results = {name: sum_ for name, sum_ in files.items() if name != TRIAL and not name.startswith(OUTPUT)}
        done = {
            "id": trial.id,
            "status": FINISHED if recorder.diverged_at is None else DIVERGED,
            "diverged_at": recorder.diverged_at,
            "digest": sha256(to_json(results).encode()),
            "files": files,
        }
        for directory in [place, *(path for path in place.rglob("*") if path.is_dir())]:
            sync_directory(directory)
        write_checksummed(place / DONE, done, indent=1)
        self._move(trial)

    def failed(self, trial: Trial) -> Path:
        """Where is kept what a trial left that failed when it was last tried."""
        return self.root / FAILURES / trial.id

    def fail(self, trial: Trial, failure: Failure) -> None:
        """Write down how a trial failed."""
        content = {"id": trial.id, **trial.as_json(), "exit_code": failure.exit_code, "last_lines": failure.last_lines}
        write_checksummed(self.failed(trial) / FAILURE, content, indent=1)

    def failure(self, trial: Trial) -> Failure | None:
        """How a trial failed when it was last tried; None for one that is stored, or was not tried.

        Raises:
            DamagedError: its `failure.json` is not what was written.
        """
        path = self.failed(trial) / FAILURE
        if self.has(trial) or not path.is_file():
            return None
        content = read_checksummed(path)
        code, lines = content.get("exit_code"), content.get("last_lines")
        if not isinstance(code, int | None) or not isinstance(lines, list):
            raise DamagedError(f"{path} does not say how a trial failed: it was altered")
        return Failure(code, tuple(str(line) for line in lines))

    def clear_running(self) -> None:
        """Drop what interrupted trials left behind, except a checkpoint, and what an orphaned worker is still at."""
        running = self.root / RUNNING
        for place in [path for path in running.glob("*") if path.is_dir()]:
            with lock_if_free(running / f"{place.name}.lock") as free:
                if free and not (place / CHECKPOINT).exists():
                    shutil.rmtree(place, ignore_errors=True)
        for lock in running.glob("*.lock"):
            with lock_if_free(lock) as free:
                if free:
                    lock.unlink(missing_ok=True)
        if not any(running.glob("*.lock")):
            for claim in [*running.glob(f"*{_CLAIM}"), *running.glob(f".*{_CLAIM}.*")]:
                claim.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            running.rmdir()

    def _store_complete(self, trial: Trial) -> None:
        """Store what an attempt left that was killed after its last byte was written and before the rename."""
        try:
            open_trial(self._running(trial)).verify()
        except DamagedError:  # by far the most often there is nothing
            return
        self._move(trial)

    def _move(self, trial: Trial) -> None:
        place = self._place(trial)
        if not self.has(trial):  # what is left of one that lost its done.json counts for nothing
            shutil.rmtree(place, ignore_errors=True)
        self._running(trial).rename(place)
        sync_directory(self.root / TRIALS)
        shutil.rmtree(self.failed(trial), ignore_errors=True)

    def _place(self, trial: Trial) -> Path:
        return self.root / TRIALS / trial.id

    def _running(self, trial: Trial) -> Path:
        return self.root / RUNNING / trial.id

    def _lock(self, trial: Trial) -> Path:
        return self.root / RUNNING / f"{trial.id}.lock"


def _goes_on(place: Path, description: bytes) -> bool:
    """Whether an interrupted attempt has a sound checkpoint, of this trial and with these numerics."""
    try:
        described = (place / TRIAL).read_bytes() == description
        return described and read_checkpoint(place / CHECKPOINT) is not None
    except (OSError, LastbitError):  # damaged, or larger than what is read
        return False


def _description(trial: Trial, fingerprint: Fingerprint, bits: BitFingerprint) -> bytes:
    content = {"id": trial.id, **trial.as_json(), "fingerprint": fingerprint, "bit_fingerprint": bits}
    return (to_json(content, indent=1) + "\n").encode()


def _files(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file())


def _sync_and_hash(file: Path) -> str:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())
        return sha256(handle.read())
