import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"

# Stands in for the interpreter: says which version it is, and makes an empty folder for `-m venv`.
FAKE_PYTHON = """#!/bin/sh
case $1 in
    -c) echo "$FAKE_VERSION" ;;
    -m) for folder; do :; done; mkdir -p "$folder" ;;
esac
"""

# Stands in for pip: writes down how it was called, and fails as pip does for a withdrawn build.
FAKE_PIP = """#!/bin/sh
echo "$*" >>"$FAKE_CALLS"
case "$*" in
    *--require-hashes*) failing=$FAKE_LOCK_FAILS ;;
    *) failing=$FAKE_REST_FAILS ;;
esac
if [ -n "$failing" ]; then
    echo "WARNING: a remark of pip's own" >&2
    echo "ERROR: Could not find a version that satisfies the requirement" >&2
    echo "ERROR: ${FAKE_REASON:-No matching distribution found for tfp-nightly==0.26.0}" >&2
    exit 1
fi
"""


@dataclass
class Outcome:
    code: int
    errors: list[str]
    calls: list[str]
    venv: Path


@pytest.fixture
def run_setup(tmp_path):
    def write_program(name, text):
        program = tmp_path / name
        program.write_text(text)
        program.chmod(0o755)
        return str(program)

    python = write_program("fake-python", FAKE_PYTHON)
    pip = write_program("fake-pip", FAKE_PIP)
    calls = tmp_path / "calls"
    venv = tmp_path / "venv"

    def run(version="3.12", lock_fails=False, rest_fails=False, reason=""):
        done = subprocess.run(
            ["sh", ROOT / ".ci" / "setup", venv],
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHON": python,
                "PIP": pip,
                "FAKE_VERSION": version,
                "FAKE_CALLS": str(calls),
                "FAKE_LOCK_FAILS": "yes" if lock_fails else "",
                "FAKE_REST_FAILS": "yes" if rest_fails else "",
                "FAKE_REASON": reason,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        made = calls.read_text().splitlines() if calls.exists() else []
        return Outcome(done.returncode, done.stderr.splitlines(), made, venv)

    return run


def pins_with_hashes():
    """Maps each pinned requirement of the lock to its number of hashes."""
    pins = {}
    for line in LOCK.read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            pin = line.removesuffix("\\").strip()
            pins[pin] = 0
        elif line.strip().startswith("--hash="):
            pins[pin] += 1
    return pins


def test_a_lock_that_installs_is_all_that_is_installed(run_setup):
    outcome = run_setup()
    assert outcome.code == 0
    assert outcome.errors == []
    assert outcome.calls == [
        "install --require-hashes -r requirements.lock",
        "install --no-deps --no-build-isolation -e .",
    ]


def test_a_lock_that_does_not_install_gives_one_warning_and_the_ranges(run_setup):
    outcome = run_setup(lock_fails=True)
    assert outcome.code == 0
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith("warning: requirements.lock could not be installed")
    assert "pyproject.toml" in outcome.errors[0]
    assert "No matching distribution found for tfp-nightly" in outcome.errors[0]
    assert outcome.calls == [
        "install --require-hashes -r requirements.lock",
        f"install -c {outcome.venv}/constraints.txt -e .[dev,docs]",
    ]


def test_the_fallback_holds_every_locked_version_but_that_of_tfp_nightly(run_setup):
    outcome = run_setup(lock_fails=True)
    constraints = (outcome.venv / "constraints.txt").read_text().splitlines()
    locked = [pin for pin in pins_with_hashes() if not pin.startswith("tfp-nightly")]
    assert constraints == locked
    assert not any("hash" in line or "\\" in line for line in constraints)


def test_a_fallback_that_fails_too_shows_what_pip_said(run_setup):
    outcome = run_setup(lock_fails=True, rest_fails=True)
    assert outcome.code == 1
    assert "ERROR: No matching distribution found" in outcome.errors[-1]


def test_a_package_that_is_not_the_locked_one_stops_setup(run_setup):
    outcome = run_setup(lock_fails=True, reason="THESE PACKAGES DO NOT MATCH THE HASHES")
    assert outcome.code == 1
    assert len(outcome.calls) == 1
    assert "DO NOT MATCH THE HASHES" in outcome.errors[-1]


@pytest.mark.parametrize("version", ["2.7", "3.10", "3.14"])
def test_a_python_out_of_range_is_refused_in_one_line(run_setup, version):
    outcome = run_setup(version=version)
    assert outcome.code == 1
    assert len(outcome.errors) == 1
    assert "3.11 to 3.13" in outcome.errors[0]
    assert version in outcome.errors[0]
    assert outcome.calls == []
    assert not outcome.venv.exists()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_a_python_in_range_is_accepted(run_setup, version):
    assert run_setup(version=version).code == 0


def test_every_locked_requirement_has_one_version_and_a_hash():
    pins = pins_with_hashes()
    assert len(pins) > 20
    assert all(re.match(r"[a-z0-9-]+==[^ ]+( ; .+)?$", pin) for pin in pins)
    assert [pin for pin, hashes in pins.items() if hashes == 0] == []


def test_the_lock_names_no_address():
    assert not re.search(r"https?:|file:", LOCK.read_text())
