import hashlib
import re
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lastbit.training.data import download as module
from lastbit.training.data.catalogue import SourceError
from lastbit.training.data.download import RemoteFile, download, silent

CONTENT = bytes(range(256)) * 4000  # 1 MB
CHECKSUM = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@dataclass
class Host:
    """What a host of one file does, and what it was asked."""

    content: bytes = CONTENT
    ranges: bool = True  # whether it knows byte ranges
    lengths: bool = True  # whether it says how long its answers are
    status: int = 200
    cuts: list[int] = field(default_factory=list)  # after how many bytes each of the next answers ends
    asked: list[str | None] = field(default_factory=list)  # the Range header of each request
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    def __init__(self, host, *args):
        self.host = host
        super().__init__(*args)

    def do_GET(self):
        asked = self.headers.get("Range")
        self.host.asked.append(asked)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.host.ranges else 0
        size = len(self.host.content)
        if self.host.status != 200:
            return self.answer(self.host.status, b"", 0)
        if start >= size:
            return self.answer(416, b"", 0)
        body = self.host.content[start:]
        cut = self.host.cuts.pop(0) if self.host.cuts else len(body)
        ranged = {"Content-Range": f"bytes {start}-{size - 1}/{size}"} if start else {}
        return self.answer(206 if start else 200, body[:cut], len(body), ranged)

    def answer(self, status, body, length, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.host.lengths:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        with suppress(ConnectionError):  # a client that has gone away is part of the tests
            self.wfile.write(body)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def host():
    served = Host()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, served))
    served.url = f"http://127.0.0.1:{server.server_port}/folder/set.bin?version=1"
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def remote(host, *, checksum=CHECKSUM, limit=2**21):
    return RemoteFile(host.url, checksum, limit)


def test_a_whole_download_reports_its_progress(host, tmp_path):
    reports = []
    path = download(remote(host), tmp_path, progress=lambda *report: reports.append(report))
    assert path == tmp_path / "set.bin"
    assert path.read_bytes() == CONTENT
    assert reports[0] == ("set.bin", 0, None)
    assert reports[-1] == ("set.bin", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in reports] == sorted(done for _, done, _ in reports)
    assert [p.name for p in tmp_path.iterdir()] == ["set.bin"]


def test_what_is_there_is_not_asked_for_again(host, tmp_path):
    download(remote(host), tmp_path, progress=silent)
    download(remote(host), tmp_path, progress=silent)
    assert host.asked == [None]


def test_an_interruption_is_resumed_at_once(host, tmp_path):
    host.cuts = [300_000, 400_000]
    assert download(remote(host), tmp_path, progress=silent).read_bytes() == CONTENT
    assert host.asked == [None, "bytes=300000-", "bytes=700000-"]


def test_the_next_call_resumes_where_this_one_was_stopped(host, tmp_path):
    def stop(what, done, total):
        if done > 500_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(remote(host), tmp_path, progress=stop)
    held = (tmp_path / "set.bin.part").read_bytes()
    assert held == CONTENT[: len(held)]
    assert len(held) > 500_000
    assert download(remote(host), tmp_path, progress=silent).read_bytes() == CONTENT
    assert host.asked == [None, f"bytes={len(held)}-"]


def test_a_host_that_keeps_breaking_off_is_given_up_and_what_came_is_kept(host, tmp_path):
    host.cuts = [1000] * 100
    with pytest.raises(SourceError, match=r"set\.bin: the connection ended early"):
        download(remote(host), tmp_path, progress=silent)
    assert len(host.asked) == module.ATTEMPTS
    assert (tmp_path / "set.bin.part").read_bytes() == CONTENT[: 1000 * module.ATTEMPTS]


def test_a_host_that_sends_nothing_more_is_asked_once(host, tmp_path):
    host.cuts = [0] * 100
    with pytest.raises(SourceError, match="the connection ended early"):
        download(remote(host), tmp_path, progress=silent)
    assert len(host.asked) == 1


def test_a_host_without_ranges_sends_it_all_again(host, tmp_path):
    host.ranges = False
    (tmp_path / "set.bin.part").write_bytes(CONTENT[:300_000])
    assert download(remote(host), tmp_path, progress=silent).read_bytes() == CONTENT
    assert host.asked == ["bytes=300000-"]


def test_a_host_that_tells_no_length(host, tmp_path):
    host.lengths = False
    assert download(remote(host), tmp_path, progress=silent).read_bytes() == CONTENT
    host.cuts = [1000]
    with pytest.raises(SourceError, match=r"differs from the published file \(checksum\)"):
        download(remote(host), tmp_path / "other", progress=silent)


def test_an_altered_file_is_refused_and_removed(host, tmp_path):
    host.content = CONTENT[:-1] + b"\x00"
    with pytest.raises(SourceError, match=r"^set\.bin differs from the published file \(checksum\)$"):
        download(remote(host), tmp_path, progress=silent)
    assert list(tmp_path.iterdir()) == []


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(part=CONTENT)  # complete, but never renamed
@example(part=CONTENT + b"!")
@given(part=st.binary(max_size=2000) | st.integers(0, len(CONTENT) + 2).map(lambda n: (CONTENT + b"!!")[:n]))
def test_whatever_lies_there_as_a_beginning_the_file_comes_out_right(host, tmp_path_factory, part):
    folder = tmp_path_factory.mktemp("part")
    (folder / "set.bin.part").write_bytes(part)
    path = download(remote(host), folder, progress=silent)
    assert path.read_bytes() == CONTENT
    assert [p.name for p in folder.iterdir()] == ["set.bin"]


def test_a_damaged_file_is_replaced(host, tmp_path):
    (tmp_path / "set.bin").write_bytes(CONTENT[:-1])
    assert download(remote(host), tmp_path, progress=silent).read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "reason"), [(404, "404 Not Found"), (503, "503 Service Unavailable")])
def test_an_error_of_the_host_is_reported(host, tmp_path, status, reason):
    host.status = status
    with pytest.raises(SourceError, match=rf"^set\.bin: the host answers {reason}$"):
        download(remote(host), tmp_path, progress=silent)
    assert len(host.asked) == 1


@pytest.mark.parametrize("lengths", [True, False])
def test_more_bytes_than_allowed_are_not_kept(host, tmp_path, lengths):
    host.lengths = lengths
    with pytest.raises(SourceError, match=r"^set\.bin has more than the 1000 bytes allowed$"):
        download(remote(host, limit=1000), tmp_path, progress=silent)
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_is_not_there(host, tmp_path):
    gone = RemoteFile("http://127.0.0.1:1/set.bin", CHECKSUM, 1000)
    with pytest.raises(SourceError, match=r"^set\.bin: the host cannot be reached$"):
        download(gone, tmp_path, progress=silent)


def test_a_host_that_falls_silent(host, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "READ_SECONDS", 0.2)
    held = threading.Event()
    monkeypatch.setattr(Handler, "answer", lambda self, *args: held.wait(5))
    with pytest.raises(SourceError, match=r"nothing came for 0\.2 s"):
        download(remote(host), tmp_path, progress=silent)
    held.set()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (requests.ConnectTimeout("..."), "no connection within 10 s"),
        (requests.TooManyRedirects("Exceeded 30 redirects."), "TooManyRedirects: Exceeded 30 redirects."),
    ],
)
def test_other_failures_are_reported_in_one_line(tmp_path, monkeypatch, error, reason):
    def fail(*args, **options):
        assert options["timeout"] == (10, 60)
        raise error

    monkeypatch.setattr(module.requests, "get", fail)
    with pytest.raises(SourceError, match=f"^set.bin: {reason}$"):
        download(RemoteFile("http://127.0.0.1/set.bin", CHECKSUM, 1000), tmp_path, progress=silent)


def test_pooch_logs_as_before(host, tmp_path, capsys):
    logger = module.pooch.get_logger()
    before = logger.level
    download(remote(host), tmp_path, progress=silent)
    assert logger.level == before
    assert capsys.readouterr() == ("", "")
