import json
from importlib import metadata

import pytest

from lastbit import machine
from lastbit.machine import available_memory_mib


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

    monkeypatch.setattr(machine, "distribution", lambda name: Installed())
    assert machine.how_to_install("explore") == command


def test_sources_that_are_not_installed_name_the_extra(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(machine, "distribution", absent)
    assert machine.how_to_install("wandb") == "pip install 'lastbit[wandb]'"


def test_the_available_memory_is_what_the_system_and_the_container_leave(monkeypatch, tmp_path):
    assert 100 < available_memory_mib() < 10**8
    information, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    information.write_text("MemTotal:       16000000 kB\nMemAvailable:     204800 kB\n")
    monkeypatch.setattr(machine, "_MEMINFO", information)
    monkeypatch.setattr(machine, "_CGROUP_LIMIT", limit)
    assert available_memory_mib() == 200
    limit.write_text("max\n")
    assert available_memory_mib() == 200
    limit.write_text(f"{50 * 2**20}\n")
    assert available_memory_mib() == 50
