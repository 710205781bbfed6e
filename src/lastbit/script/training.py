"""A person's script as a study's training: one process for each trial."""

import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.execution.jobs import BitFingerprint, Outcome
from lastbit.remedies.given import Treatment, remedies_as_json
from lastbit.script.endings import ScriptError, UnfitError, UntrainedError, checked_notes
from lastbit.script.environment import probed, trial_environment
from lastbit.script.file_metric import FileMetric
from lastbit.script.launch import child_command
from lastbit.script.launchers import Launch, launch_of
from lastbit.script.metrics import MetricSource, write_found
from lastbit.script.notes import ADVICE, Notes, left_over, name_files, notes_of_study, read_notes
from lastbit.script.processes import STDERR, STDOUT, Children, followed
from lastbit.script.ranks import UnclearError, first_error, gather
from lastbit.script.target import Target
from lastbit.storage.files import sha256
from lastbit.study.recorder import Recorder
from lastbit.study.store import Store
from lastbit.study.stored_trial import OUTPUT
from lastbit.study.trial import Trial

TRIAL_PLACE = "{trial}"  # in the script's arguments: a directory of the trial's own


@dataclass(frozen=True)
class ScriptTraining:
    """A script as a study's training: runs it once for each trial, in a separate process.

    It travels to other machines without `on_line` and `children`, which are this process's own.
    """

    target: Target
    seed_arg: str | None = None  # appended to the arguments, with `{seed}` filled in
    seed_env: str | None = None  # an environment variable that holds the seed
    seed_args: Mapping[str, str] = field(default_factory=dict)  # of each source of randomness that varies, likewise
    threads: int | None = 1  # of the process; None leaves them as they are
    snapshots: float = 10  # of the weights, for each decade of steps
    remedies: Treatment = ()  # put on from outside
    metrics: tuple[MetricSource, ...] = ()  # beside those the script logs; they may change between calls
    directory: Path = field(default_factory=Path.cwd, compare=False)  # where the script runs
    on_line: Callable[[str], None] | None = field(default=None, compare=False)  # called with what scripts write, live
    children: Children = field(default_factory=Children, compare=False)

    @cached_property
    def script(self) -> str | None:
        """A hash of its file, when first asked for; None if it has no file."""
        return self._script()

    @cached_property
    def launch(self) -> Launch | None:
        """What the target starts where it is a launcher such as torchrun; errors are those of `launch_of`."""
        return launch_of(self.target)

    def _path(self) -> Path | None:
        """The file of the code that trains, behind a launcher the script's."""
        return (self.launch or self.target).path(self.directory)

    def _script(self) -> str | None:
        return sha256(path.read_bytes()) if (path := self._path()) is not None else None

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"script": self.script, "on_line": None, "children": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, children=Children())

    @property
    def sources(self) -> dict[str, str]:
        """The sources of randomness that may vary, each without a reason why it may not."""
        return dict.fromkeys(self.seed_args, "")

    @property
    def settings(self) -> dict[str, Any]:
        """What identifies the training besides seed and noise: the command, and a hash of the script's code."""
        path = self._path()
        return {
            **({} if self.seed_env is None else {"seed_env": self.seed_env}),
            **({"vary": dict(self.seed_args)} if self.seed_args else {}),
            **({"remedy": remedies_as_json(self.remedies)} if self.remedies else {}),
            "name": path.stem if path is not None else self.target.name,
            "command": shlex.join(self.target.words),
            "seed_arg": self.seed_arg,
            "script": self.script,
            "threads": self.threads,
            "snapshots": self.snapshots,
        }

    def check(self) -> None:
        """Check that the script is on this machine as it is where the study was begun.

        Raises:
            LastbitError: it is not.
        """
        if not self.directory.is_dir():
            raise LastbitError(f"there is no directory {self.directory}, where the script runs")
        path = self._path()
        if self.script is not None and (path is None or not path.is_file()):
            raise LastbitError(f"there is no {self.target.name} in {self.directory}")
        if self.script != self._script():
            raise LastbitError(f"{self.target.name} in {self.directory} is another one than where the study was begun")

    @property
    def device(self) -> str:
        """Of this process, which trains nothing: the script's processes report where their weights are."""
        return "cpu"

    def bit_fingerprint(self, control: Trial) -> BitFingerprint:
        """Run a fixed computation in a process like those of the script's trials, once for this one, and hash its bits.

        A script cannot be begun and left for that: nobody knows what it would leave behind.

        Args:
            control: not used.
        """
        return probed(tuple(sorted(self.environment().items())))

    def run_trial(self, trial: Trial, root: Path, bits: BitFingerprint) -> Outcome[Trial]:
        """Run the script in a separate process, and store the trial with the fingerprint of that process."""
        store = Store(root)
        with store.attempt(trial) as wanted:
            if not wanted:
                return Outcome(trial, None)
            with self.children.cores.taken():
                return self._attempt(trial, store, bits)

    def _attempt(self, trial: Trial, store: Store, bits: BitFingerprint) -> Outcome[Trial]:
        recorder = store.begin(trial, {})
        output = recorder.directory / OUTPUT
        try:
            notes = self.train(recorder)
        except UntrainedError as error:
            paths = left_over(read_notes(output) or Notes(), notes_of_study(store.root))
            read = f". It read {name_files(paths, self.directory)}: if it went on from there, {ADVICE}" if paths else ""
            return Outcome(trial, f"{error}{read}", fatal=True)
        except UnfitError as error:
            return Outcome(trial, str(error), fatal=True)
        except ScriptError as error:
            if self.children.stopped:
                return Outcome(trial, "it was stopped")  # with the study, which is no failure of the script
            kept, code = store.failed(trial), error.exit_code
            _move(output, kept)
            # Its weights are kept from the first step on; one that a signal ended may have met a passing shortage.
            untrained = recorder.is_empty and code is not None and code > 0
            message = f"{error} (all it wrote is in {kept})\n{error.said}"
            return Outcome(trial, message, exit_code=code, untrained=untrained, exited=error.exited)
        if self.children.stopped:
            return Outcome(trial, "it was stopped")  # though it ended well: a script may catch the interrupt and save
        if states := [file for file in left_over(notes, notes_of_study(store.root)) if file.is_state]:
            notes.doubts.append(f"read {name_files(states, self.directory)}; {ADVICE}")
            notes.write(output)
        store.describe_trial(trial, dict(notes.fingerprint), bits)
        write_found(self.metrics, output)  # before it is stored: the controls look at it then
        store.finish(trial, recorder)
        return Outcome(trial, None)

    def train(self, run: Recorder) -> Notes:
        """Run the script for a trial; its output, weights and logged metrics are left in the trial's directory.

        Raises:
            ScriptError: it failed, or made no optimizer, or the noise is not for the one it made.
            UnfitError: the same, where no other trial would do better; or batches are to be put in another order and
                no shuffling loader yielded any.
        """
        output = run.directory / OUTPUT
        output.mkdir()
        before = {source: source.state(output) for source in self.metrics if isinstance(source, FileMetric)}
        code = self._run(run, output)
        error = first_error(run.directory)
        notes = checked_notes(self.target, code, self._gathered(run, code), output, error)
        self.children.cores.processes = notes.processes
        if run.noise.arranges and not notes.arranged:
            raise UnfitError(
                f"--noise {run.noise.kind}: no shuffling DataLoader of {self.target.name} yielded a batch, so there "
                "is nothing to put in another order"
            )
        run.diverged_at = notes.diverged_at
        for source in self.metrics:
            if isinstance(source, FileMetric):
                source.keep(output, before=before[source], wrote=notes.wrote)
        return notes

    def _gathered(self, run: Recorder, code: int) -> Notes | None:
        """What the trial's processes noted, once what rank 0 recorded has become the trial's."""
        first = read_notes(run.directory / OUTPUT)
        try:
            return gather(run, first)
        except (UnclearError, LastbitError) as error:
            if code != 0:  # which comes first, and explains why ranks are missing
                return first
            raise UnfitError(f"{self.target.name}: {error}") from None

    def command(self, run: Recorder) -> list[str]:
        """The command line of the trial's process."""
        added = shlex.split(self.seed_arg.format(seed=run.seed)) if self.seed_arg else []
        for source, argument in self.seed_args.items():
            added += shlex.split(argument.replace("{seed}", str(run.seeds[source])))
        place = str(run.directory.absolute() / OUTPUT)
        filled = [word.replace(TRIAL_PLACE, place) for word in (*self.target.arguments, *added)]
        settings = {
            "directory": str(run.directory.absolute()),
            "seed": run.seed,
            "noise": dict(run.noise.as_json()),
            "snapshots": self.snapshots,
            "remedy": remedies_as_json(self.remedies),
        }
        target = Target(self.target.kind, self.target.name, tuple(filled))
        return child_command(target, "lastbit.script.trial_process:instruments", settings)

    def _run(self, run: Recorder, output: Path) -> int:
        files = output / STDOUT, output / STDERR
        with files[0].open("wb") as stdout, files[1].open("wb") as stderr, self._shown(run, files):
            return self.children.run(
                self.command(run),
                run.directory,
                cwd=self.directory,
                env={**self.environment(), **({self.seed_env: str(run.seed)} if self.seed_env is not None else {})},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )

    def _shown(self, run: Recorder, files: Sequence[Path]) -> AbstractContextManager[None]:
        """Give what is written to the files, with the name of the trial before each line, while the block runs."""
        if (on_line := self.on_line) is None:
            return nullcontext()
        seeds = ", ".join(f"{name} {seed}" for name, seed in (run.seeds or {"seed": run.seed}).items())
        name = f"{seeds}, {run.noise.label} | "
        return followed(files, lambda line: on_line(name + line))

    def environment(self) -> Mapping[str, str]:
        """Variables of a trial's process."""
        free_port = self.launch is None or self.launch.port is None
        return trial_environment(self.threads, watched=self.on_line is not None, free_port=free_port)


def _move(output: Path, kept: Path) -> None:
    """Move what a failed trial wrote to a place that outlives the trial."""
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(output, kept)
