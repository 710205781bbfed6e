import subprocess
import sys

import lastbit as lb
from lastbit.script import log


class Heard:
    def __init__(self):
        self.rows = []

    def log(self, step, **metrics):
        self.rows.append((step, metrics))

    def log_predictions(self, labels, targets=None):
        self.rows.append((labels, targets))


def test_what_a_script_logs_goes_to_who_listens(monkeypatch):
    heard = Heard()
    monkeypatch.setattr(log, "_listeners", [])
    lb.log(acc=1.0)
    lb.log_predictions("nobody")
    log.hear(heard)
    lb.log(3, acc=2.0)
    lb.log(acc=3.0, loss=0.5)
    lb.log_predictions("labels", "targets")
    assert heard.rows == [(3, {"acc": 2.0}), (None, {"acc": 3.0, "loss": 0.5}), ("labels", "targets")]


def test_logging_in_a_script_by_itself_needs_no_library():
    program = "import sys, lastbit as lb; lb.log(acc=1); print('torch' in sys.modules, 'numpy' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "False False\n"
