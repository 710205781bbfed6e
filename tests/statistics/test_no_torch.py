"""The statistics are numpy and scipy alone: they read tables, and no study."""

import subprocess
import sys


def test_the_statistics_import_neither_torch_nor_a_study():
    code = (
        "import sys; from lastbit.statistics import examples, means, power, spread, variance; "
        "print([name for name in sys.modules if name == 'torch' or name.startswith('lastbit.study')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
