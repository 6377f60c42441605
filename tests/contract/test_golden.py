"""Settings and names of cells that must not change by accident.

``golden/configs.jsonl`` holds the resolved settings of every method, family and profile. A change
that means to move one replaces the file: ``python -m tests.contract.test_golden``.
"""

import dataclasses
import json
from pathlib import Path

import pytest

from algos.registry import ALGORITHMS
from algos.settings import resolve
from bench import store
from bench.run import plan as plans
from bench.run.profiles import PROFILES
from envs.tasks import get_task

CONFIGS = Path(__file__).parent / "golden" / "configs.jsonl"
COMMITTED = sorted((Path(__file__).parents[2] / "results").glob("*/*/provenance.json"))


def resolved():
    """One line of JSON for each method, family and profile."""
    lines = []
    for profile_name, profile in PROFILES.items():
        for family, size in profile.sizes.items():
            for name in ALGORITHMS:
                config = dataclasses.asdict(resolve(name, family, size).config)
                key = {"profile": profile_name, "family": family, "algorithm": name}
                lines.append(json.dumps(key | {"config": config}))
    return lines


def test_every_method_has_the_settings_on_record():
    assert sorted(resolved()) == sorted(CONFIGS.read_text().splitlines())


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name)
def test_every_committed_cell_has_the_name_that_it_was_given(monkeypatch, path):
    """A cell whose name changes would be trained again, which for all of them takes hours.

    A field of a Config that gets another name keeps the former one as its key; see
    ``bench.run.plan.settings_of``.
    """
    for name, facts in store.read_provenance(path).items():
        task, source = get_task(facts["task"]["name"]), facts["settings"]["source"]
        planned = plans.plan(task, facts["algorithm"], PROFILES[path.parent.name], source)
        monkeypatch.setattr(plans, "version", facts["versions"].__getitem__)
        monkeypatch.setattr(plans.Cell, "data", facts["dataset"])
        assert plans.folder_of(planned, Path()).name == facts["hash"], name


if __name__ == "__main__":
    CONFIGS.write_text("\n".join(resolved()) + "\n")
