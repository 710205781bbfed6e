from importlib.metadata import version


def test_the_version_is_that_of_the_package(lastbit):
    assert lastbit("--version") == (0, f"lastbit {version('lastbit')}\n", "")
