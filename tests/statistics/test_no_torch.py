"""The statistics are numpy and scipy alone: they read tables, and no study."""

import subprocess
import sys

SLOW = "('torch', 'scipy.stats', 'scipy.optimize')"  # those of scipy take a second each, and are imported when needed


def test_the_statistics_import_neither_torch_nor_a_study():
    code = (
        "import sys; from lastbit.statistics import clustered, examples, over_tasks, recipes, variance; "
        f"print([name for name in sys.modules if name in {SLOW} or name.startswith('lastbit.study')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
