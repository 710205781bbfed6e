"""Records a program in this process, which has imported torch already."""

import runpy

import torch
from torch.optim import optimizer as optimizers

from lastbit.script.audit.compiled import around_compilers
from lastbit.script.audit.generators import generators
from lastbit.script.audit.loaders import around_loaders
from lastbit.script.trace.origins import settings_of
from lastbit.script.trace.reader import read_trace
from lastbit.script.trace.recorder import TraceMode
from lastbit.script.trace.records import FORMAT, SETTINGS, TraceHeader
from lastbit.script.trace.writer import TraceWriter


def recorded(source, folder, name="run", *, whole=True):
    """The trace of a program, which is called train.py.

    Args:
        source: of the program.
        folder: the working directory, for program and trace.
        name: of the trace.
        whole: whether every operation has to be seen.
    """
    (folder / "train.py").write_text(source)
    path = folder / f"{name}.trace"
    path.unlink(missing_ok=True)
    writer = TraceWriter(path, TraceHeader(FORMAT, ("train.py",), {}, {}, {}, 0, 1, None, ""))
    mode = TraceMode(writer)

    def stepped(*_):
        mode.names.end_update()
        mode.step += 1
        writer.state(mode.step, generators())

    def begun(optimizer, *_):
        mode.names.begin_update(optimizer, None)
        writer.event(SETTINGS, step=mode.step, content=settings_of(optimizer))

    before = optimizers.register_optimizer_step_pre_hook(begun)
    after = optimizers.register_optimizer_step_post_hook(stepped)
    state = torch.get_rng_state()
    try:
        writer.state(0, generators())
        with around_compilers(mode, mode.unobserved), around_loaders(mode, mode.unobserved), mode:
            runpy.run_path(str(folder / "train.py"), run_name="__main__")
    finally:
        before.remove()
        after.remove()
        torch.set_rng_state(state)
    writer.end({})
    assert not (whole and mode.unobserved), mode.unobserved
    return read_trace(path)
