"""The border to the terminal: closed output, few characters, output that is a program's alone."""

import io
import os
import subprocess
import sys

from bench import cli, terminal

ROOT = cli.__file__.rpartition("/bench/")[0]
COMMAND = [sys.executable, "-m", "bench", "list", "profiles"]


def shell(redirection, command=COMMAND, **options):
    line = f'exec "$@" {redirection}'
    return subprocess.run(
        ["sh", "-c", line, "sh", *command],
        **{"cwd": ROOT, "capture_output": True, "text": True, "check": False} | options,
    )


def test_output_that_is_closed_is_lost_and_nothing_else(tmp_path):
    done = shell(">&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # The next file that is opened must not take its place and get what C code prints.
    code = "from bench import terminal; terminal.prepare(); assert open('new', 'w').fileno() > 2"
    assert shell(">&- 2>&-", [sys.executable, "-c", code], cwd=tmp_path).returncode == 0


def test_output_to_a_full_disk_is_one_line_and_status_1(tmp_path):
    # No file may grow, as on a full disk; the kernel says EFBIG for ENOSPC.
    done = shell(f">{tmp_path / 'file'}", ["sh", "-c", 'ulimit -S -f 0; exec "$@"', "sh", *COMMAND])
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write: File too large")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_status_1_without_a_word():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(COMMAND, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_characters_that_the_output_does_not_know_are_shown_by_number(monkeypatch):
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", shown)
    terminal.prepare()
    shown.write("1.8 ± 0.2\n")
    shown.flush()
    assert shown.buffer.getvalue() == b"1.8 \\xb1 0.2\n"


RESERVED = """
import ctypes, os, subprocess, sys
from multiprocessing import get_context
from bench import terminal

if __name__ == "__main__":
    terminal.prepare()
    with terminal.reserved_output() as stream:
        print("python")
        os.write(1, b"descriptor\\n")
        ctypes.CDLL(None).printf(b"C\\n")
        subprocess.run(["echo", "child"])
        worker = get_context("spawn").Process(target=print, args=("worker",))
        worker.start()
        worker.join()
        stream.write("ours\\n")
    print("afterwards")
"""


def test_what_others_print_goes_to_standard_error(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(RESERVED)
    path = os.environ | {"PYTHONPATH": ROOT}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, env=path, check=True)
    assert done.stdout == "ours\nafterwards\n"
    others = sorted(done.stderr.split())
    assert others == ["C", "child", "descriptor", "python", "worker"]


HANGUP = """
import os, pty, sys, time
from bench import interrupt

pid, master = pty.fork()
if pid == 0:
    with interrupt.asked_to_stop() as asked:
        print("ready", flush=True)
        while not asked():
            time.sleep(0.01)
        print("to nobody", flush=True)
        print("to nobody", file=sys.stderr, flush=True)
    os._exit(interrupt.status())
assert b"ready" in os.read(master, 100)
os.close(master)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_terminal_that_is_closed_asks_to_stop_and_prints_fail_no_more():
    done = subprocess.run([sys.executable, "-c", HANGUP], cwd=ROOT, check=False)
    assert done.returncode == 129
