from importlib.metadata import version


def test_the_version_is_that_of_the_package(lastbit):
    assert lastbit("--version") == (0, f"lastbit {version('lastbit')}\n", "")


def test_help_fits_one_screen_and_names_every_command(lastbit):
    code, out, _ = lastbit("--help")
    assert code == 0
    assert len(out.splitlines()) <= 60
    assert {"demo", "study", "run", "audit", "check", "doctor"} <= set(out.split())
