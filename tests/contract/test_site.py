"""The site's pages: every number comes from the results or from the code."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from algos.registry import TABLE1

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text() for path in sorted(DOCS.glob("**/*.md"))}
# A year, the ends of a scale, a method's name, and an exit status.
NO_RESULTS = {"2022", "3.11", "3.13", "100", "10", "128"}


@pytest.fixture(scope="module")
def values():
    specification = importlib.util.spec_from_file_location("docs_values", DOCS / "values.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", PAGES)
def test_every_name_on_a_page_is_there(name, values):
    assert "{{" not in values.fill(PAGES[name])


@pytest.mark.parametrize("name", PAGES)
def test_no_number_is_typed_on_a_page(name):
    code = r"```.*?```|\{\{.*?\}\}|`[^`]*`|\$\$.*?\$\$|https://\S+"
    prose = re.sub(code, "", PAGES[name], flags=re.DOTALL)
    numbers = set(re.findall(r"(?<![\w.-])\d[\d,]*\.?\d+", prose))
    assert numbers <= NO_RESULTS


@pytest.mark.parametrize(
    "call",
    [
        'score("cpu", "iql", "hopper-tall")',
        'score("cpu", "rwr", "antmaze")',
        'docstring("algos.gone")',
        'docstring("algos.losses", "Departures")',
        'settings("losses")',
        'text("results/GONE.md")',
        'text("CONTRIBUTING.md", "Add a planet")',
        "gone()",
    ],
)
def test_a_name_that_is_gone_is_an_error(call, values):
    with pytest.raises(Exception, match=r"\w"):
        values.fill("{{ " + call + " }}")


def test_scores_on_a_page_are_those_of_the_committed_table(values):
    row = next(
        line for line in values.table("cpu").splitlines() if line.startswith("| antmaze-large-play")
    )
    for key, cell in zip(TABLE1, row.split("|")[2:], strict=False):
        written = values.fill(f'{{{{ score("cpu", "{key}", "antmaze-large-play") }}}}')
        assert abs(float(written) - float(cell.split("±")[0])) <= 0.55
    averages = [line for line in values.averages("cpu").splitlines() if "antmaze average" in line]
    shown = re.search(r"\*\*antmaze\*\* \| \S+ \| \*\*(\S+)\*\*", values.results("iql"))
    assert f"**{shown[1]}** |" in averages[0]


def test_every_setting_of_every_method_has_its_meaning_and_its_committed_values(values):
    for entry in TABLE1.values():
        module = sys.modules[entry.make.__module__]
        written = values.settings(module.__name__.rpartition(".")[2])
        for name in vars(module.Config()):
            assert written.count(f"| `{name}` |") == 2
    assert "| `expectile` | 0.7 | 0.9 | 0.7 | 0.9 |" in values.settings("iql")
    assert "| `learning_rate` | 3e-4 |" in values.settings("iql")
