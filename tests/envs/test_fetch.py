"""Downloads from a loopback server that behaves as badly as real ones do."""

import dataclasses
import fcntl
import hashlib
import http.server
import itertools
import threading

import pytest

from bench import cli
from envs.sources import d4rl, download
from envs.sources.d4rl_files import FILES
from envs.tasks import get_task
from tests.helpers import d4rl_files

TASK = get_task("hopper-medium")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one file as the server's ``behave`` has it; the server counts what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        offset = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")
        self.server.asked.append((self.path, int(offset)))
        self.close_connection = True
        self.server.behave(self, self.server.content, int(offset), len(self.server.asked))

    def send(self, status, body, **headers):
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def whole(request, content, offset, number):
    """A good server: resumes, and says 416 where nothing is left."""
    if offset >= len(content):
        request.send(416, b"", Content_Range=f"bytes */{len(content)}")
    elif offset:
        span = f"bytes {offset}-{len(content) - 1}/{len(content)}"
        request.send(206, content[offset:], Content_Range=span)
    else:
        request.send(200, content)


def cut(request, content, offset, number):
    """Sends a seventh of the file at a time, having announced all that is left."""
    share = content[offset : offset + len(content) // 7 + 1]
    headers = {"Content_Length": str(len(content) - offset)}
    if offset:
        headers["Content_Range"] = f"bytes {offset}-{len(content) - 1}/{len(content)}"
    request.send(206 if offset else 200, share, **headers)


def status(code):
    return lambda request, content, offset, number: request.send(code, b"<html>no</html>")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of the file of hopper-medium, which is thereby the published one."""
    monkeypatch.setenv("D4RL_DATASET_DIR", str(tmp_path / "made"))
    content = d4rl_files.write("hopper-medium", d4rl_files.locomotion()).read_bytes()
    monkeypatch.setenv("D4RL_DATASET_DIR", str(tmp_path / "d4rl"))
    monkeypatch.setenv("no_proxy", "*")
    published(monkeypatch, len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(download, "sleep", lambda seconds: None)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.asked, server.behave = content, [], whole
    server.address = f"http://127.0.0.1:{server.server_port}/offline_rl"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def published(monkeypatch, num_bytes, sha256):
    file = dataclasses.replace(FILES["hopper-medium"], num_bytes=num_bytes, sha256=sha256)
    monkeypatch.setitem(FILES, "hopper-medium", file)


def run(server, *options):
    arguments = ["data", "fetch", "hopper-medium", "--source", "d4rl", *options]
    return cli.main([*arguments, "--mirror", server.address])


def partial():
    path = d4rl.path_of(TASK)
    return path.with_name(f".{path.name}.part")


def files():
    return sorted(path.name for path in d4rl.path_of(TASK).parent.glob("*"))


def test_a_file_is_fetched_checked_and_read(server, capsys):
    assert run(server) == 0
    assert d4rl.path_of(TASK).read_bytes() == server.content
    assert server.asked == [("/offline_rl/gym_mujoco_v2/hopper_medium-v2.hdf5", 0)]
    assert files() == ["hopper_medium-v2.hdf5"]
    assert "hopper-medium" in capsys.readouterr().out
    assert d4rl.read(TASK, 1.0)[0].num_rows == 600


def test_a_file_that_is_there_is_not_fetched_again(server, capsys):
    assert run(server) == run(server) == 0
    assert len(server.asked) == 1
    assert "there already" in capsys.readouterr().out
    assert run(server, "--overwrite") == 0
    assert len(server.asked) == 2


def test_another_file_in_its_place_is_kept_and_named(server, capsys):
    path = d4rl.path_of(TASK)
    path.parent.mkdir()
    path.write_bytes(b"mine")
    assert run(server) == 2
    assert f"{path} is not the file that D4RL published" in capsys.readouterr().err
    assert path.read_bytes() == b"mine"
    assert server.asked == []
    assert run(server, "--overwrite") == 0
    assert path.read_bytes() == server.content


def test_a_download_that_is_cut_goes_on_where_it_was(server):
    server.behave = cut
    assert run(server) == 0
    assert d4rl.path_of(TASK).read_bytes() == server.content
    offsets = [offset for _, offset in server.asked]
    share = len(server.content) // 7 + 1
    assert offsets == list(range(0, len(server.content), share))


def test_a_partial_file_of_an_earlier_run_is_gone_on_with(server):
    partial().parent.mkdir()
    partial().write_bytes(server.content[:1000])
    assert run(server) == 0
    assert [offset for _, offset in server.asked] == [1000]
    assert d4rl.path_of(TASK).read_bytes() == server.content


def test_a_whole_partial_file_needs_no_server(server):
    partial().parent.mkdir()
    partial().write_bytes(server.content)
    assert run(server) == 0
    assert server.asked == []
    assert files() == ["hopper_medium-v2.hdf5"]


def test_a_partial_file_of_other_bytes_is_never_used(server, capsys):
    partial().parent.mkdir()
    partial().write_bytes(b"x" * 1000)
    assert run(server) == 2
    assert "sends a file of SHA-256" in capsys.readouterr().err
    assert files() == []
    assert run(server) == 0


def test_a_partial_file_longer_than_the_file_is_begun_again(server):
    partial().parent.mkdir()
    partial().write_bytes(server.content + b"more")
    assert run(server) == 0
    assert [offset for _, offset in server.asked] == [0]


def test_a_server_that_cannot_resume_sends_it_all_again(server):
    server.behave = lambda request, content, *_: request.send(200, content)
    partial().parent.mkdir()
    partial().write_bytes(server.content[:1000])
    assert run(server) == 0
    assert d4rl.path_of(TASK).read_bytes() == server.content


def test_416_begins_again(server):
    server.behave = lambda request, content, offset, number: (
        request.send(416, b"") if number == 1 else whole(request, content, offset, number)
    )
    partial().parent.mkdir()
    partial().write_bytes(server.content[:1000])
    assert run(server) == 0
    assert [offset for _, offset in server.asked] == [1000, 0]


def test_a_server_in_trouble_is_asked_again(server):
    server.behave = lambda request, content, offset, number: (
        request.send(503, b"") if number < 4 else whole(request, content, offset, number)
    )
    assert run(server) == 0
    assert len(server.asked) == 4


def page(request, content, offset, number):
    request.send(200, b"<html>moved</html>", Content_Type="text/html; charset=utf-8")


def other_span(request, content, offset, number):
    request.send(206, content[500:], Content_Range=f"bytes 500-{len(content) - 1}/{len(content)}")


def endless(request, content, offset, number):
    request.send(200, content + b"x" * 10, Content_Length=None)


def altered(request, content, offset, number):
    request.send(200, content[:-1] + b"x")


def too_short(request, content, offset, number):
    request.send(200, content[:-100], Content_Length=str(len(content)))


WRONG = {
    "403": (status(403), "answers 403 Forbidden", 1),
    "404": (status(404), "answers 404 Not Found", 1),
    "500": (status(500), "cannot be reached (500 Internal Server Error)", download.NUM_TRIES),
    "a page": (page, "answers with a web page instead of the file", 1),
    "short": (lambda r, c, *_: r.send(200, c[:-1]), "bytes, the published file has", 1),
    "long": (lambda r, c, *_: r.send(200, c + b"x"), "it is another file", 1),
    "endless": (endless, "sends more than", 1),
    "altered": (altered, "sends a file of SHA-256", 1),
    "never whole": (too_short, "the connection ended at byte", download.NUM_TRIES + 1),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_server_that_does_not_have_the_file_is_answered_with_what_to_do(kind, server, capsys):
    server.behave, message, tries = WRONG[kind]
    assert run(server) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    path = d4rl.path_of(TASK)
    assert f"name another server with --mirror, or put the file at {path}" in error
    assert len(server.asked) == tries
    # What came before a cut is kept, under a name that nothing reads.
    assert files() == ([partial().name] if kind == "never whole" else [])
    server.behave = whole
    assert run(server) == 0
    assert path.read_bytes() == server.content


def moved(to):
    """Sends on whoever asks for the published path; the file is elsewhere."""

    def behave(request, content, offset, number):
        if request.path == "/elsewhere":
            whole(request, content, offset, number)
        else:
            request.send(302, b"", Location=to(request.server))

    return behave


def test_a_redirect_on_the_same_server_is_followed(server):
    server.behave = moved(lambda server: "/elsewhere")
    assert run(server) == 0
    assert d4rl.path_of(TASK).read_bytes() == server.content
    assert [path for path, _ in server.asked][-1] == "/elsewhere"


@pytest.mark.parametrize(
    "to",
    [
        lambda server: f"http://localhost:{server.server_port}/elsewhere",
        lambda server: f"ftp://127.0.0.1:{server.server_port}/elsewhere",
    ],
)
def test_a_redirect_to_another_server_is_refused_with_its_name(to, server, capsys):
    server.behave = moved(to)
    assert run(server) == 2
    error = capsys.readouterr().err
    assert f"answers 302 Found, to {to(server).removesuffix('/elsewhere')}; name another" in error
    assert error.count("\n") == 1
    assert len(server.asked) == 1


def test_a_resumed_answer_must_begin_where_it_was_asked_to(server, capsys):
    server.behave = other_span
    partial().parent.mkdir()
    partial().write_bytes(server.content[:1000])
    assert run(server) == 2
    assert "was asked for byte 1,000 on and sends 'bytes 500-" in capsys.readouterr().err


def test_without_a_network_the_message_says_which_file_to_put_where(server, capsys):
    server.shutdown()
    server.server_close()
    assert run(server) == 2
    error = capsys.readouterr().err
    assert f"{server.address}/gym_mujoco_v2/hopper_medium-v2.hdf5 cannot be reached" in error
    assert "Connection refused" in error
    assert f"put the file at {d4rl.path_of(TASK)}" in error
    assert error.count("\n") == 1


def test_a_file_without_a_published_sum_must_be_whole_hdf5(server, monkeypatch, capsys):
    published(monkeypatch, None, None)
    server.behave = lambda request, content, *_: request.send(
        200, content[:-5000], Content_Length=None
    )
    assert run(server) == 2
    assert "sends what is no whole HDF5 file; nothing was kept" in capsys.readouterr().err
    assert files() == []
    server.behave = cut
    assert run(server) == 0
    assert d4rl.path_of(TASK).read_bytes() == server.content


def test_a_whole_partial_file_without_a_published_size_is_recognised(server, monkeypatch):
    published(monkeypatch, None, None)
    partial().parent.mkdir()
    partial().write_bytes(server.content)
    assert run(server) == 0
    assert server.asked == [(server.asked[0][0], len(server.content))]


def test_a_mirror_can_be_a_folder_or_come_from_the_environment(server, tmp_path, monkeypatch):
    made = tmp_path / "made"
    (made / "gym_mujoco_v2").mkdir()
    (made / "hopper_medium-v2.hdf5").rename(made / "gym_mujoco_v2" / "hopper_medium-v2.hdf5")
    assert cli.main(["data", "fetch", "hopper-medium", "--mirror", made.as_uri()]) == 0
    assert d4rl.path_of(TASK).read_bytes() == server.content
    d4rl.path_of(TASK).unlink()
    monkeypatch.setenv("D4RL_MIRROR", server.address + "/")
    assert cli.main(["data", "fetch", "hopper-medium-v2"]) == 0
    assert len(server.asked) == 1


def test_a_mirror_folder_without_the_file_is_named_at_once(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        download, "sleep", lambda seconds: pytest.fail("there is nothing to wait for")
    )
    missing = (tmp_path / "nowhere").as_uri()
    assert cli.main(["data", "fetch", "hopper-medium", "--mirror", missing]) == 2
    error = capsys.readouterr().err
    assert f"{missing}/gym_mujoco_v2/hopper_medium-v2.hdf5 cannot be read" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the tasks whose data to download"),
        (["hopper-medium", "--mirror", "rail.edu"], "mirror 'rail.edu' does not begin with http"),
        (["hopper-medium", "--mirror", "http://[a"], "mirror 'http://[a' is no address: Invalid"),
        (["hopper-medium", "--mirror", "file:///größe"], "'file:///größe' is no address: 'ascii'"),
        (["hopper-medium", "--source", "regenerated"], "made here; run: rl-or-bc data make"),
        (["hoper-medium"], "did you mean 'hopper-medium'?"),
    ],
)
def test_a_mistake_is_one_line(arguments, message, server, capsys):
    assert cli.main(["data", "fetch", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_folder_that_cannot_be_written_to_is_named(server, tmp_path, capsys):
    (tmp_path / "d4rl").write_text("a file")
    assert run(server) == 2
    assert f"cannot write to {tmp_path / 'd4rl'}" in capsys.readouterr().err


def test_a_second_process_does_not_go_on_with_what_the_first_threw_away(server, monkeypatch):
    flock = fcntl.flock

    def overtaken(file, how):
        monkeypatch.setattr(fcntl, "flock", flock)
        partial().unlink()  # by the process that had the lock until now
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", overtaken)
    assert run(server) == 0
    assert d4rl.path_of(TASK).read_bytes() == server.content


def test_a_second_process_leaves_what_the_first_has_finished(server, monkeypatch):
    flock = fcntl.flock

    def overtaken(file, how):
        partial().rename(d4rl.path_of(TASK))
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", overtaken)
    assert run(server) == 0
    assert not server.asked
    assert not partial().exists()


def test_pauses_grow_until_nothing_comes_five_times_in_a_row(server, monkeypatch):
    server.behave = status(503)
    pauses = []
    monkeypatch.setattr(download, "sleep", pauses.append)
    assert run(server) == 2
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def trickle(pause, closes):
    """Sends a byte at a time, or in a connection, and lets ``pause`` seconds go by on its clock."""

    def behave(request, content, offset, number):
        span = f"bytes {offset}-{len(content) - 1}/{len(content)}"
        given = {"Content_Length": str(len(content) - offset)}
        if offset:
            given |= {"Content_Range": span}
        request.send(206 if offset else 200, b"", **given)
        for byte in content[offset : offset + 1 if closes else None]:
            request.server.now += pause
            request.wfile.write(bytes([byte]))
            request.wfile.flush()
            threading.Event().wait(0.001)

    return behave


@pytest.mark.parametrize("size_is_published", [True, False])
def test_a_byte_a_second_is_not_waited_for_and_is_kept(
    size_is_published, server, monkeypatch, capsys
):
    if not size_is_published:
        published(monkeypatch, None, None)
    server.now, server.behave = 0.0, trickle(1.0, closes=False)
    monkeypatch.setattr(download, "monotonic", lambda: server.now)
    assert run(server) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "sends fewer than 1,000 bytes a second" in line
    kept = partial().read_bytes()
    assert f"the {len(kept):,} bytes that came are kept: run the same command to go on" in line
    assert 0 < len(kept) < 300
    assert server.content.startswith(kept)
    server.behave = whole
    assert run(server) == 0
    assert server.asked[-1][1] == len(kept)
    assert d4rl.path_of(TASK).read_bytes() == server.content


def test_a_byte_a_connection_is_given_up_after_five(server, monkeypatch, capsys):
    server.now, server.behave = 0.0, trickle(0.0, closes=True)
    monkeypatch.setattr(download, "monotonic", lambda: server.now)
    assert run(server) == 2
    assert "the connection ended at byte 5 of" in capsys.readouterr().err
    assert len(server.asked) == download.NUM_TRIES


def test_headers_without_end_are_not_waited_for(server, monkeypatch, capsys):
    def behave(request, content, offset, number):
        request.send_response(200)
        while not given_up.wait(0.01):
            request.send_header("X-More", "x")
            request.flush_headers()

    given_up = threading.Event()
    server.behave = behave
    monkeypatch.setattr(download, "RATE_SECONDS", 0.1)
    try:
        assert run(server) == 2
    finally:
        given_up.set()
    assert "cannot be reached (no answer within 0.1 s)" in capsys.readouterr().err
    assert files() == []


@pytest.mark.parametrize("announced", [True, False])
def test_without_a_published_size_no_more_than_a_bound_is_taken(
    announced, server, monkeypatch, capsys
):
    published(monkeypatch, None, None)
    monkeypatch.setattr(download, "MAX_BYTES", len(server.content) - 1)
    if not announced:
        server.behave = lambda request, content, *_: request.send(200, content, Content_Length=None)
    assert run(server) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "1,000,000,000 that are taken of a file whose size is not published" in line
    assert "put the file at" in line
    assert files() == []
    monkeypatch.setattr(download, "MAX_BYTES", len(server.content))
    assert run(server) == 0


def test_progress_is_told_in_bytes(server):
    told = []
    assert d4rl.fetch(TASK, server.address, False, lambda *numbers: told.append(numbers))
    size = len(server.content)
    assert told[-1] == (size, size)
    assert all(one < two for (one, _), (two, _) in itertools.pairwise(told))
