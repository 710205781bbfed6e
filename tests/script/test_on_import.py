import subprocess
import sys

from lastbit.script.hooks import after_import


def program(body, place):
    """Run a program in a fresh process with a toy library beside it."""
    (place / "toy").mkdir()
    (place / "toy" / "__init__.py").write_text("print('toy runs'); parts = ['whole']\n")
    (place / "toy" / "sub.py").write_text("print('sub runs')\n")
    code = f"from lastbit.script.hooks import after_import\n{body}"
    ended = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


def test_acts_once_when_the_library_is_whole_and_before_the_program_goes_on(tmp_path):
    body = """
import sys
after_import("toy", lambda: print("act", sys.modules["toy"].parts))
print("begin")
import toy.sub
import toy
print(toy.__spec__.name)
"""
    assert program(body, tmp_path) == ["begin", "toy runs", "act ['whole']", "sub runs", "toy"]


def test_two_may_wait_for_one_library(tmp_path):
    body = "after_import('toy', lambda: print('a'))\nafter_import('toy', lambda: print('b'))\nimport toy"
    assert program(body, tmp_path) == ["toy runs", "a", "b"]


def test_a_library_that_is_never_imported_or_absent_changes_nothing(tmp_path):
    body = """
after_import("toy", lambda: print("act"))
after_import("no_such_library", lambda: print("act"))
try:
    import no_such_library
except ModuleNotFoundError as error:
    print(error)
"""
    assert program(body, tmp_path) == ["No module named 'no_such_library'"]


def test_acts_at_once_where_the_library_is_there():
    done = []
    after_import("sys", lambda: done.append(1))
    assert done == [1]
