import importlib.util
import socket
import subprocess
import sys

import pytest

from lastbit.machine import how_to_install


def test_a_port_in_use_is_reported_in_one_line(lastbit):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, said = lastbit("explore", "--no-browser", "--port", port)
    assert (code, out) == (2, "")
    assert said == f"lastbit: --port {port}: address already in use; give another, or 0 for any that is free\n"


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_what_is_no_port_is_reported_in_one_line(lastbit, port):
    code, _, said = lastbit("explore", "--no-browser", "--port", port)
    assert code == 2
    assert said.count("\n") == 1
    assert "Invalid value for '--port'" in said


def test_without_the_extra_it_says_what_to_install(lastbit, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "marimo" else found(name))
    code, _, said = lastbit("explore", "--no-browser")
    assert (code, said) == (2, f"lastbit: marimo is not installed; {how_to_install('explore')}\n")


def test_a_directory_without_studies_is_reported_in_one_line(lastbit, tmp_path):
    for place, reason in (("absent", "there is no directory"), ("", "holds no study")):
        code, out, said = lastbit("explore", "--no-browser", "--port", 0, tmp_path / place)
        assert (code, out, said.count("\n")) == (2, "", 1)
        assert reason in said


# Four of four such programs were aborted where the interpreter ended beneath the thread.
_CALCULATING = """
import threading, time
import torch
import lastbit.explore.serve
from lastbit.cli.explore import explore

def calculate():
    weights = torch.randn(300, 300, requires_grad=True)
    while True:
        torch.autograd.grad((torch.randn(300, 300) @ weights).tanh().sum(), weights)

def serve(listening, ready, *, study):
    listening.close()
    ready("http://127.0.0.1/")
    threading.Thread(target=calculate, daemon=True).start()
    time.sleep(0.7)

lastbit.explore.serve.serve = serve
explore(directory=None, port=0, no_browser=True)
"""


def test_it_ends_well_while_the_page_calculates():
    done = subprocess.run([sys.executable, "-c", _CALCULATING], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("http://127.0.0.1/\n")
