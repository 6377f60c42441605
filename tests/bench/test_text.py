"""Foreign text is text and no more, wherever it is written to."""

import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pandas as pd
import pytest
from rich.console import Console

from bench import cli, display, store
from bench.report import artifacts, formats, page, plots, scores
from bench.report.text import escape_html, escape_latex, escape_markdown
from envs.errors import InputError
from envs.text import for_terminal, printable
from tests.helpers.score_files import write_scores, write_tracks

EVIL = "\x1b[31m[red]|<b a='\">&$\\frac{$%\n# x\r\u202e\ud800\x00\x9b:bomb:`*_~^é中"
TASKS = ["hopper-medium", "pointmaze-medium-play"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of results in which whatever is text is hostile, its own name among them."""
    root = tmp_path_factory.mktemp("r") / "a\x1b[31m[red]$"
    folder = write_scores(root / "regenerated" / "quick", TASKS, (50, 100), (0, 1))
    write_tracks(folder, "pointmaze-medium-play", "iql", [(0.0, 0.0), (1.0, 2.0)])
    provenance = store.read_provenance(folder / "provenance.json")
    for facts in provenance.values():
        facts |= {
            "title": EVIL,
            "told": EVIL,
            "paper": EVIL,
            "hash": EVIL,
            "environment": EVIL,
            "device": EVIL,
        }
        facts |= {"config": {EVIL: EVIL}, "dataset_provenance": {"doubts": [EVIL]}}
        facts["settings"]["source"] = facts["dataset"]["hash"] = EVIL
    store.write_provenance(folder / "provenance.json", provenance)
    artifacts.write(folder, formats.build)
    return root


def is_fit(text):
    """Whether a terminal shows all of ``text``, lines aside, as it is."""
    return text.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "command",
    [
        ["report"],
        ["table"],
        ["table", "--check"],
        ["compare"],
        ["compare", "--csv"],
        *(["table", "--format", name] for name in ("md", "csv", "latex", "html")),
    ],
    ids=" ".join,
)
def test_whatever_is_printed_is_fit_for_a_terminal(root, capsys, command):
    assert cli.main([*command, "--results", str(root)]) == 0
    shown = capsys.readouterr()
    assert is_fit(shown.out)
    assert is_fit(shown.err)
    if command == ["table"]:
        assert "[31m" in shown.out  # not read as markup
        assert "💣" not in shown.out


@pytest.mark.parametrize(
    "arguments",
    [
        [EVIL],
        ["list", EVIL],
        ["list", "tasks", EVIL],
        ["table", f"--{EVIL}"],
        ["table", "--format", EVIL, "--results", "results"],
        ["grid", "--num-seeds", EVIL],
        ["train", EVIL, "hopper-medium"],
        ["train", "bc", "hopper-medium", "--learning-rate", EVIL],
    ],
)
def test_arguments_that_are_refused_are_repeated_fit_for_a_terminal(capsys, arguments):
    try:
        status = cli.main(arguments)
    except SystemExit as end:
        status = end.code
    assert status == 2
    shown = capsys.readouterr()
    assert is_fit(shown.out + shown.err)
    assert "\\x1b" in shown.err


def test_markdown_has_a_cell_for_a_column_and_no_html(root):
    text = formats.build(root / "regenerated" / "quick")["table1.md"]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) > len(TASKS)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}
    assert not re.search(r"<|(?<!\\)[`\[\]$]", text)
    assert "| hopper-medium | 20" in text


def test_latex_has_no_comment_or_command_from_outside(root, capsys):
    assert cli.main(["table", "--format", "latex", "--results", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    body = "\n".join(line for line in lines if not line.startswith("% "))
    assert not re.search(r"(?<!\\)[%#]|\\frac|\\\\\s*[\[*]", body)
    assert body.startswith(r"\begin{tabular}")
    assert body.endswith("\\bottomrule\n\\end{tabular}")


def test_rows_of_latex_that_begin_with_a_bracket_or_star_are_no_option():
    assert escape_latex("[2]*") == "{[}2{]}{*}"


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.texts, self.values = set(), [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.values |= {name for name, _ in attributes}

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_shows_text_as_text_and_every_picture_is_sound(root):
    html = page.build(root / "regenerated" / "quick")[page.PAGE]
    html.encode()
    reader = Reader()
    reader.feed(html)
    assert "b" in reader.tags  # the html's own, for scores
    assert "a'" not in reader.values
    assert printable(EVIL) in reader.texts
    assert is_fit(html)
    pictures = re.findall(r"<svg role.*?</svg>", html, re.DOTALL)
    assert len(pictures) >= 3
    for picture in pictures:
        ElementTree.fromstring(picture.replace("xlink:", ""))
    details = json.loads(re.search(r'id="provenance">(.*?)</script>', html, re.DOTALL)[1])
    assert details["hopper-medium/bc"][0][0] == f"hopper-medium, {EVIL}"


def test_a_title_in_a_picture_is_never_a_formula():
    column = scores.Column("$\\frac{$", "imitation", "nothing")
    points = [plots.Point(column, 1.0, 0.0, 2.0, None)]
    text = plots.svg(plots.dichotomy({"$x^2$": points}), "x")
    assert ">$\\frac{$<" in text
    assert ">$x^2$<" in text
    shown = plots.inline(plots.dichotomy({"a": points}), "x", 'of "a" <b> & c')
    assert ElementTree.fromstring(shown.replace("xlink:", "")).get("aria-label") == 'of "a" <b> & c'


def test_long_titles_leave_a_picture_room():
    column = scores.Column("x" * 5000, "imitation", "nothing")
    points = [plots.Point(column, 1.0, 0.0, 2.0, None)]
    text = plots.svg(plots.dichotomy({"y" * 5000: points}), "x")  # matplotlib would warn
    assert max(map(len, re.findall(r"[xy.]{20,}", text))) == plots.LONGEST_LABEL


def test_csv_keeps_values_and_has_a_line_for_a_cell():
    cells = ["=1+1", "-5", "@x", 'a "b", c\nd', None]
    text = formats.to_csv(pd.DataFrame({"what": cells, "value": [1.0, 2.0, 3.0, 4.0, 5.0]}), "%.1f")
    assert len(text.splitlines()) == 6
    again = pd.read_csv(io.StringIO(text))
    assert again["what"].tolist()[:4] == ["=1+1", "-5", "@x", 'a "b", c d']


def test_printable_is_one_line_and_shows_what_a_terminal_would_obey():
    assert printable("a\r\nb\u2028c\x1b[0m\u202e\ud800\t") == r"a b c\x1b[0m\u202e\ud800\t"
    assert printable("é 中文\u3000日本\xa0±†") == "é 中文\u3000日本\xa0±†"


def test_names_lose_their_middle_and_numbers_and_paths_nothing():
    short = for_terminal(f"no {'n' * 150}{'m' * 150} there")
    assert short == f"no {'n' * 98}...{'m' * 98} there"
    number = "1" * 300
    assert for_terminal(f"got {number}.5e-3, not 1") == f"got {number}.5e-3, not 1"
    path = "/".join(["/data", *["folder"] * 60, "scores.csv"])
    assert for_terminal(f"cannot read {path}") == f"cannot read {path}"
    assert for_terminal(for_terminal("word " * 10_000)) == for_terminal("word " * 10_000)
    assert len(for_terminal("word " * 10_000)) <= 2000
    assert len(for_terminal("/a" * 10_000)) <= 2000


def test_the_error_of_a_user_is_one_line_fit_for_a_terminal():
    message = str(InputError(f"no {EVIL} in {'x' * 1000}; run: this"))
    assert is_fit(message)
    assert "\n" not in message
    assert len(message) < 300
    assert message.endswith("; run: this")


def test_targets_leave_plain_text_alone():
    plain = "10%BC, 58.4 (v2): IQL's + 1/2; † ±"
    assert escape_markdown(plain) == plain
    assert escape_html("10%BC") == "10%BC"


def test_progress_shows_names_as_they_are():
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=200)
    with display.Bars("cells [red]", 2, console) as bars:
        bars.started(EVIL)
        bars.progress(EVIL, 1, 2)
        bars.finished(EVIL, EVIL)
        bars.started("[red]a")
        bars.failed("[red]a", EVIL)
        bars.note("[red]b :bomb:")
        bars.started("[red]c")  # on a bar alone
    text = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", console.file.getvalue())  # rich's own
    assert "[red]b :bomb:" in text
    assert "[red]c" in text
    assert r"\x1b[31m[red]|<b" in text
    assert not {"\x9b", "\x00", "\u202e"} & set(text)


def test_json_lines_are_ascii_and_say_the_same(capsys):
    with display.JsonLines("cells", 1) as lines:
        lines.started(EVIL)
        lines.note(f"{EVIL} 95 % ± 1")
    said = capsys.readouterr().out
    assert said.isascii()
    assert is_fit(said)
    events = [json.loads(line) for line in said.splitlines()]
    assert events[1]["name"] == EVIL
    assert events[2]["line"] == f"{EVIL} 95 % ± 1"
