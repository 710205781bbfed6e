import time

from lastbit.script.processes import followed


def test_lines_come_while_they_are_written_and_the_last_one_at_the_end(tmp_path):
    one, other, seen = tmp_path / "one", tmp_path / "other", []
    other.touch()
    with one.open("wb", buffering=0) as file, followed([one, other], seen.append):
        file.write(b"first\nsec")
        deadline = time.monotonic() + 10
        while not seen and time.monotonic() < deadline:
            time.sleep(0.01)
        assert seen == ["first"]
        file.write(b"ond\n 10%\r 90%\r100%\r\n\xff")
    assert seen == ["first", "second", "100%", "\ufffd"]
