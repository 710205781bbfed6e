import json
from importlib import metadata

import pytest

from lastbit import extras


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({"dir_info": {"editable": True}, "url": "file:///home/a%20b/it"}, "pip install -e '/home/a b/it[explore]'"),
        ({"dir_info": {}, "url": "file:///home/it"}, "pip install 'lastbit[explore]'"),
        ({"archive_info": {}, "url": "https://example.org/lastbit.whl"}, "pip install 'lastbit[explore]'"),
        (None, "pip install 'lastbit[explore]'"),
    ],
)
def test_an_extra_is_installed_from_where_lastbit_came_from(monkeypatch, origin, command):
    class Installed:
        def read_text(self, name):
            return None if origin is None or name != "direct_url.json" else json.dumps(origin)

    monkeypatch.setattr(extras, "distribution", lambda name: Installed())
    assert extras.how_to_install("explore") == command


def test_sources_that_are_not_installed_name_the_extra(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", absent)
    assert extras.how_to_install("wandb") == "pip install 'lastbit[wandb]'"
