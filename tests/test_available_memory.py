from lastbit import memory as module
from lastbit.memory import available_memory_mib


def test_the_available_memory_is_what_the_system_and_the_container_leave(monkeypatch, tmp_path):
    assert 100 < available_memory_mib() < 10**8
    information, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    information.write_text("MemTotal:       16000000 kB\nMemAvailable:     204800 kB\n")
    monkeypatch.setattr(module, "_MEMINFO", information)
    monkeypatch.setattr(module, "_CGROUP_LIMIT", limit)
    assert available_memory_mib() == 200
    limit.write_text("max\n")
    assert available_memory_mib() == 200
    limit.write_text(f"{50 * 2**20}\n")
    assert available_memory_mib() == 50
