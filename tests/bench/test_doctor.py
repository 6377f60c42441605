"""The doctor finds what would make numbers wrong, and says nothing else is."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from bench import cli, doctor
from bench.doctor import NOTE, OK, WRONG
from envs.sources.registry import DEFAULT_SOURCE, get_source


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("none")))
        found = doctor.examine(tmp_path_factory.mktemp("results"))
    return {finding.what: finding for finding in found}


def test_a_machine_that_passes_the_tests_is_found_well(findings):
    assert [what for what, finding in findings.items() if finding.verdict == WRONG] == []
    assert findings["self-test"].verdict == findings["simulator"].verdict == OK


def test_missing_data_is_a_note_for_they_are_collected_when_needed(findings):
    number = len(get_source(DEFAULT_SOURCE).tasks)
    assert findings["data"][:] == (NOTE, "data", f"0 of {number} datasets of profile quick")


def test_every_finding_is_one_line_and_something_wrong_is_status_1(
    tmp_path, monkeypatch, capsys, findings
):
    monkeypatch.setattr(doctor, "examine", lambda folder: list(findings.values()))
    assert cli.main(["doctor", "--results", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(findings) == 9
    monkeypatch.setattr(doctor, "examine", lambda folder: [doctor.Finding(WRONG, "x", "y")])
    assert cli.main(["doctor"]) == 1


def test_a_simulator_that_differs_in_one_bit_is_wrong(monkeypatch):
    class Off(doctor.get_task("hopper-medium").make_environment(1).__class__):
        def step(self, actions, active):
            observations, rewards, terminations = super().step(actions, active)
            return np.nextafter(observations, np.inf), rewards, terminations

    real = doctor.get_task("hopper-medium")

    class Task:
        gymnasium_id = real.gymnasium_id
        make_environment = staticmethod(lambda num_envs: Off("hopper", num_envs, None))

    monkeypatch.setattr(doctor, "get_task", lambda name: Task)
    assert doctor._simulator().verdict == WRONG


def test_a_method_that_learns_another_action_is_wrong(monkeypatch):
    # Here the action to learn is 0.
    monkeypatch.setattr(doctor.toy, "mixed_quality", doctor.toy.constant_reward)
    assert doctor._learning()[:2] == (WRONG, "self-test")


def test_double_precision_is_wrong():
    with jax.enable_x64(True):
        finding = doctor._settings()
    assert finding.verdict == WRONG
    assert "JAX_ENABLE_X64" in finding.text
    assert doctor._settings().verdict == OK


def test_another_precision_of_matrix_products_is_noted():
    with jax.default_matmul_precision("bfloat16"):
        finding = doctor._settings()
    assert finding[:2] == (NOTE, "settings")
    assert "bfloat16" in finding.text


def test_packages_other_than_the_locked_ones_are_named(monkeypatch, tmp_path):
    lock = doctor.LOCK.read_text()
    assert doctor.locked_versions()["jax"]
    monkeypatch.setattr(doctor, "LOCK", tmp_path / "lock")
    assert doctor._packages().verdict == NOTE
    (tmp_path / "lock").write_text(lock.replace("\nmujoco==", "\nmujoco==0."))
    finding = doctor._packages()
    assert finding.verdict == NOTE
    assert "mujoco " in finding.text
    monkeypatch.setattr(doctor, "PACKAGES", ("jax", "no-such-package"))
    assert doctor._packages().verdict == WRONG


def test_a_half_written_dataset_is_wrong(monkeypatch, tmp_path):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    recipe = doctor.Recipe(doctor.TASKS["hopper-medium"], 0.08)
    doctor.dataset_folder(recipe.dataset_id).mkdir(parents=True)
    finding = doctor._data()
    assert finding.verdict == WRONG
    assert "half written" in finding.text


def test_an_error_of_one_look_is_a_finding_and_the_others_go_on(tmp_path, monkeypatch):
    looks = ("_data", "_simulator", "_learning", "_disk")
    for name in looks:
        monkeypatch.setattr(doctor, name, lambda *_: {}["two\nlines"])
    found = doctor.examine(tmp_path)
    assert len(found) == 9
    wrong = {finding.what for finding in found if finding.text.startswith("KeyError: ")}
    assert wrong == {"data", "simulator", "self-test", "disk"}
    assert all("\n" not in finding.text for finding in found)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("JAX_PLATFORMS", "cuda"), ("JAX_PLATFORMS", "nonsense"), ("JAX_PLATFORM_NAME", "cuda")],
)
def test_a_device_that_is_not_there_is_one_line_that_names_the_variable(
    variable, value, tmp_path, monkeypatch
):
    environment = os.environ | {variable: value, "CUDA_VISIBLE_DEVICES": ""}
    environment |= {"MINARI_DATASETS_PATH": str(tmp_path)}
    run = lambda *words: subprocess.run(
        [sys.executable, "-m", "bench", *words, "--results", str(tmp_path / "results")],
        env=environment,
        cwd=doctor.LOCK.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    done = run("train", "bc", "hopper-medium", "--profile", "smoke")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: JAX finds no device for {variable}={value} (")
    assert f"; unset {variable}, or install what the device needs" in line
    assert not list(tmp_path.iterdir())
    if value == "cuda" and variable == "JAX_PLATFORMS":
        done = run("doctor")
        assert done.returncode == 1
        assert done.stderr == ""
        verdicts = {line[7:17].strip(): line[:6].strip() for line in done.stdout.splitlines()}
        wrong = {what for what, verdict in verdicts.items() if verdict == WRONG}
        assert (len(verdicts), wrong) == (9, {"devices", "self-test"})


def test_a_setting_that_jax_does_not_know_is_one_line():
    command = [sys.executable, "-m", "bench", "list", "algorithms"]
    environment = os.environ | {"JAX_ENABLE_X64": "maybe"}
    root = doctor.LOCK.parent
    done = subprocess.run(
        command, env=environment, cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: JAX refuses a setting: ")
    assert "JAX_ENABLE_X64" in line
