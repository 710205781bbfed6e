import sys
from threading import Event, Thread

import torch

from lastbit.script.audit.watching import WatchingMode


class Seen(WatchingMode):
    """Lists the operations that it is shown."""

    def __init__(self):
        super().__init__()
        self.names = []

    def before(self, call):
        self.names.append(str(call.func))

    def failed(self, call): ...

    def after(self, call, noted, result): ...


def test_where_a_program_leaves_its_groups_waiting_threads_get_the_interpreters_lock(monkeypatch):
    """Else a thread of gloo's may wait for it for ever, as whoever frees the group waits for that thread."""
    left, let_go, given = Event(), Event(), []

    def destroy(*args, **options):
        given.append((args, options))
        left.set()

    def thread():
        left.wait()
        let_go.set()

    monkeypatch.setattr(torch.distributed, "destroy_process_group", destroy)
    waiting = Thread(target=thread)
    waiting.start()
    before = sys.getswitchinterval()
    sys.setswitchinterval(100)  # so that the lock is taken from nobody who does not give it
    try:
        with Seen().watching() as _:
            torch.distributed.destroy_process_group("group", name=1)
            assert let_go.is_set()
    finally:
        sys.setswitchinterval(before)
        left.set()
        waiting.join()
    assert given == [(("group",), {"name": 1})]
    assert torch.distributed.destroy_process_group is destroy


def test_operations_are_seen_inside_the_block_alone():
    mode, ones = Seen(), torch.ones(2)
    with mode.watching():
        ones.exp()
    ones.sin()
    assert mode.names == ["aten.exp.default"]
