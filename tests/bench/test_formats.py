"""The table for papers and pages says what the Markdown says."""

import dataclasses
import io
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from bench import cli, store
from bench.report import formats, scores

COLUMNS = {
    "bc": scores.Column("10%_BC", "imitation", "nothing"),
    "iql": scores.Column("I<QL>", "offline RL", "a return & a goal"),
}
PUBLISHED = {("hopper-medium", "bc"): (52.9, "v2")}


@pytest.fixture
def scored(tmp_path):
    """A results folder with one task and two methods."""
    facts = lambda name, column: {
        "task": {"name": "hopper-medium"},
        "algorithm": name,
        "settings": {"seeds": [0, 1], "num_episodes": 1, "source": "regenerated", "scale": 0.1},
        "dataset": {"hash": "d"},
        "hash": "0",
        **column._asdict(),
    }
    rows = [
        ("hopper-medium", name, seed, 10, 0, 1000.0 * seed, 5)
        for name in COLUMNS
        for seed in (0, 1)
    ]
    provenance = {f"hopper-medium/{name}": facts(name, c) for name, c in COLUMNS.items()}
    frame = pd.DataFrame(rows, columns=list(store.SCORE_COLUMNS))
    store.publish(tmp_path / "regenerated" / "quick", frame, provenance, [])
    return tmp_path


@pytest.fixture
def loaded(scored):
    return dataclasses.replace(scores.read(scored / "regenerated" / "quick"), published=PUBLISHED)


class Cells(HTMLParser):
    """Texts of the cells of each row, and the tags that are open."""

    def __init__(self):
        super().__init__()
        self.rows, self.open, self.classes = [], [], set()

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.classes |= {dict(attributes).get("class")}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_html_holds_every_cell_escaped_and_closes_every_tag(loaded):
    parser = Cells()
    parser.feed(formats.html(loaded))
    assert parser.open == []
    assert parser.rows[0] == ["task", "10%_BC", "I<QL>"]
    assert parser.rows[1] == ["hopper-medium", "16.0 ± 21.7", "16.0 ± 21.7"]
    assert parser.rows[2] == ["published, v2", "52.9", ""]
    assert parser.rows[3] == ["locomotion average", "-", "-"]
    assert {"imitation", "offline-rl", "published", "average"} <= parser.classes


def test_latex_escapes_what_latex_reads_and_heads_the_two_sides(loaded):
    text = formats.latex(loaded)
    assert r"\multicolumn{1}{c}{imitation} & \multicolumn{1}{c}{offline RL} \\" in text
    assert r"task & 10\%\_BC & I<QL> \\" in text
    assert r"hopper-medium & 16.0 $\pm$ 21.7 & 16.0 $\pm$ 21.7 \\" in text
    assert r"\textit{published, v2} & \textit{52.9} &  \\" in text
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert not re.search(r"(?<!\\)[%_#±]", "\n".join(body))
    rows = [line for line in body if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count(" & ") for line in rows} == {2}


def test_csv_has_the_interval_and_the_published_score_of_each_cell(loaded):
    rows = pd.read_csv(io.StringIO(formats.FORMATS["csv"](loaded)))
    assert rows["algorithm"].tolist() == ["bc", "iql"]
    assert rows["published"].tolist()[0] == 52.9
    # Student's t with one degree of freedom: 12.706 standard errors.
    half = 12.7062 * rows["std"][0] / 2**0.5
    assert rows["high"][0] - rows["mean"][0] == pytest.approx(half, rel=1e-3)


def test_a_format_is_printed_and_nothing_is_written(scored, capsys):
    before = sorted(scored.rglob("*"))
    for name in formats.FORMATS:
        assert cli.main(["table", "--format", name, "--results", str(scored)]) == 0
        assert "hopper-medium" in capsys.readouterr().out
    assert sorted(scored.rglob("*")) == before
    assert cli.main(["table", "--format", "htm", "--results", str(scored)]) == 2
    assert "did you mean 'html'?" in capsys.readouterr().err


def test_columns_that_cannot_be_compared_are_named_in_the_terminal_too(scored, capsys):
    assert cli.main(["table", "--results", str(scored)]) == 0
    assert "Not to be compared" not in capsys.readouterr().out
    [path] = scored.rglob("provenance.json")
    facts = store.read_provenance(path)
    facts["hopper-medium/iql"]["dataset"]["hash"] = "e"
    store.write_provenance(path, facts)
    assert cli.main(["table", "--results", str(scored)]) == 0
    assert "columns of hopper-medium learned from different data" in capsys.readouterr().out
