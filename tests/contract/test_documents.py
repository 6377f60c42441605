"""What README, CHANGELOG, CONTRIBUTING and the site's pages say of the project is so."""

import re
import tomllib
from pathlib import Path

import pytest

from algos.registry import TABLE1
from bench import cli
from tests.helpers import reference

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "tests/hostile/INPUTS.md")),
    *sorted((ROOT / "docs").glob("**/*.md")),
]


def test_the_readme_shows_the_averages_of_the_longer_profile():
    text = reference.README.read_text()
    assert reference.quoting(text) == text
    averages = text.split("<!-- averages: results/regenerated/cpu/table1.md -->\n")[1]
    lines = averages.split("<!-- end of averages -->")[0].splitlines()
    assert [line.partition(" average")[0] for line in lines[3:]] == [
        *("| **locomotion", "| **antmaze", "| **pointmaze"),
    ]


def test_an_average_that_the_readme_quotes_wrongly_is_put_right():
    text = reference.README.read_text()
    assert "| **antmaze average** |" in text
    assert reference.quoting(text.replace("| **antmaze average** |", "| **ants** |")) == text


def test_documents_name_files_that_are_there():
    tests = {path.name for path in ROOT.glob("tests/**/test_*.py")}
    named = set()
    for document in DOCUMENTS:
        text = document.read_text()
        named |= set(re.findall(r"\btest_\w+\.py\b", text))
        paths = re.findall(r"`((?:algos|bench|docs|envs|tests)/[\w/.-]+\.\w+)`", text)
        examples = re.findall(r"<!-- file: (\S+) -->", text)
        missing = {path for path in paths if not (ROOT / path).is_file()}
        assert missing <= set(examples), document
    assert named
    assert named <= tests


def test_links_of_the_documents_lead_to_files():
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text())
        assert [link for link in links if not (ROOT / link).is_file()] == [], name


def test_the_readme_is_short():
    assert len(reference.README.read_bytes()) < 11_000


def test_the_changelog_dates_the_version_of_the_package():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", text, re.MULTILINE)


def test_every_column_of_the_table_has_a_page():
    pages = {path.stem for path in (ROOT / "docs" / "methods").glob("*.md")} - {"index"}
    assert pages == {entry.make.__module__.rpartition(".")[2] for entry in TABLE1.values()}


def commands():
    """Each ``rl-or-bc`` command in a block of shell of the documents."""
    for document in DOCUMENTS:
        for block in re.findall(r"```(?:ba)?sh\n(.*?)```", document.read_text(), re.DOTALL):
            for line in re.findall(r"^(?:\.venv/bin/)?rl-or-bc (.*)", block, re.MULTILINE):
                yield tuple(line.partition("#")[0].split())


@pytest.mark.parametrize("words", sorted(set(commands())), ids=" ".join)
def test_commands_of_the_documents_have_the_options_that_they_use(words, capsys):
    options = [word for word in words if word.startswith("--")]
    # The settings of a method are listed where its name and its task's are known.
    # A user's own is known where the file is there, which the document's reader has.
    known = 1 if "--methods-file" in words else 3
    name = words[: {"train": known, "sweep": known, "data": 2}.get(words[0], 1)]
    with pytest.raises(SystemExit) as ended:
        cli.main([*name, "--help"])
    assert ended.value.code == 0
    listed = re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out)
    assert set(options) <= set(listed)
