"""The page: the same bytes, nothing from outside, and alive in a real browser."""

import base64
import html
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import scipy.stats

from bench import cli, store
from bench.report import artifacts, claims, figures, formats, page, plots, stats
from bench.report.scores import Column, aggregate, read
from envs.errors import InputError
from envs.tasks import FAMILIES, TASKS
from envs.worlds.maps import MAPS
from tests.helpers import score_files
from tests.helpers.score_files import METHODS, write_scores, write_tracks

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    folder = write_scores(root / "regenerated" / "quick")
    for build in (formats.build, figures.build, page.build):
        artifacts.write(folder, build)
    return folder


@pytest.fixture(scope="module")
def document(folder):
    return (folder / page.PAGE).read_text()


class Outline(HTMLParser):
    """Every tag with its attributes, checked to be closed in order."""

    EMPTY = ("meta", "link", "br")

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def outline(document):
    parser = Outline()
    parser.feed(document)
    assert parser.open == []
    return parser.tags


def test_the_page_and_the_picture_are_the_same_bytes_again_and_a_change_is_found(folder):
    for build, name in ((page.build, "report.html"), (figures.build, "dichotomy.svg")):
        again = build(folder)
        assert list(again) == [name]
        path = folder / name
        assert path.read_bytes() == again[name].encode()
        assert artifacts.stale(folder, build, optional=False) == []
        path.write_text(again[name] + "\n")
        assert artifacts.stale(folder, build, optional=True) == [path]
        path.write_text(again[name])


def test_table_check_looks_at_tables_picture_and_findings_and_not_at_the_page(tmp_path, capsys):
    tasks = [name for name, task in TASKS.items() if task.family == "pointmaze"]
    where = write_scores(tmp_path / "regenerated" / "quick", tasks, (100,))
    check = ["table", "--check", "--results", str(tmp_path)]
    assert cli.main(["table", "--results", str(tmp_path)]) == 0
    assert cli.main(check) == 0  # a page, a picture and findings were not asked for
    assert cli.main(["report", "--results", str(tmp_path)]) == 0
    assert cli.main(check) == 0
    (where / page.PAGE).write_text("old")  # is not kept in git, and made again where it is shown
    assert cli.main(check) == 0
    for path in (where / "table1.csv", where / "dichotomy.svg", tmp_path / "FINDINGS.md"):
        capsys.readouterr()
        path.write_text("old")
        assert cli.main(check) == 1
        assert capsys.readouterr().err == (
            f"error: {path} is not what its scores give; "
            f"run: rl-or-bc report --results {tmp_path}\n"
        )
        assert cli.main(["report", "--results", str(tmp_path)]) == 0
    assert cli.main(check) == 0


def test_nothing_in_the_page_leads_outside_but_links_to_papers(outline, document):
    allowed = {"a": ("#", "data:text/csv;", "https://arxiv.org/abs/")}
    for tag, attributes in outline:
        for name in ("src", "href", "xlink:href", "data", "action"):
            ours = allowed.get(tag, ("#", "data:,"))
            assert attributes.get(name, "#").startswith(ours), (tag, attributes)
    assert "@import" not in document
    assert not re.search(r"url\((?!#)", document)


def test_no_two_elements_share_an_id_and_every_reference_leads_to_one(outline, document):
    ids = [attributes["id"] for _, attributes in outline if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r"url\(#([^)]+)\)", document))
    for _, attributes in outline:
        wanted |= {attributes[n] for n in ("aria-labelledby",) if n in attributes}
        wanted |= {
            attributes[n][1:] for n in ("href", "xlink:href") if "#" in attributes.get(n, "")
        }
    # The dialog's title is made when it opens.
    assert wanted - {"details-title"} <= set(ids)


def test_tables_have_captions_and_scopes_and_figures_have_names(outline):
    count = lambda name: sum(tag == name for tag, _ in outline)
    assert count("table") == count("caption") == 3 + 2 * len(FAMILIES)
    assert all("scope" in attributes for tag, attributes in outline if tag == "th")
    svgs = [a for tag, a in outline if tag == "svg" and "aria-hidden" not in a]
    assert len(svgs) == 2 * len(FAMILIES) + len(TASKS)
    assert all(a["role"] == "img" and a["aria-label"] for a in svgs)
    sortable = [a for tag, a in outline if tag == "th" and "aria-sort" in a]
    assert len(sortable) == 1 + len(METHODS)


def test_every_cell_can_be_pressed_and_offline_rl_is_tinted(outline):
    cells = [a["data-cell"] for tag, a in outline if "data-cell" in a]
    assert cells == [f"{task}/{name}" for task in TASKS for name in METHODS]
    tinted = [a for tag, a in outline if tag == "td" and a.get("class") == "rl"]
    assert len(tinted) == len(TASKS) + len(FAMILIES)  # and the averages


def test_a_cells_origin_and_statistics_are_in_the_page_and_cannot_end_its_script(document):
    text = re.search(r'id="provenance">(.*?)</script>', document, re.DOTALL)[1]
    details = json.loads(text)
    assert set(details) == {f"{task}/{name}" for task in TASKS for name in METHODS}
    sections = {heading: dict(pairs) for heading, pairs in details["hopper-medium/iql"]}
    assert sections["Data"]["dataset id"] == "a</script><b>"
    assert sections["Run"]["commit"] == "c0ffee"
    assert sections["hopper-medium, IQL"]["run it again"] == (
        "rl-or-bc train iql hopper-medium --profile quick --source regenerated --scale 0.1 "
        "--num-seeds 3 --num-episodes 1"
    )
    assert sections["Settings"]["hidden dims"] == "8, 8"
    assert float(sections["Scores"]["mean of the last evaluation"]) == pytest.approx(60, abs=2)
    assert float(sections["Scores"]["mean of the last 2 evaluations"]) == pytest.approx(45, abs=2)
    assert sections["Scores"]["best evaluation of each seed"].endswith("biased upwards")
    assert any("other data" in text for text in sections["Published"].values())
    assert "D&lt;T&gt;" in document
    assert "D<T>" not in document.replace(text, "")


def test_the_dichotomy_shows_the_means_and_intervals_of_the_statistics(folder):
    found = read(folder)
    scores = found.matrices["antmaze"]["iql"]
    assert scores.shape == (3, 6)
    point = figures.points(found, "antmaze", {"iql": scores})[0]
    assert point.mean == pytest.approx(stats.mean(scores), abs=1e-3)
    assert point.low < point.mean < point.high
    assert point.published == pytest.approx(378.0 / 6)


def test_the_seeds_of_a_pair_are_drawn_apart(folder):
    # Of two methods with the same scores, by going through all resamples of both: were they drawn
    # alike, all would be ties, and the probability of improvement one half for sure.
    found, scores = read(folder), np.array([[1.0], [2.0], [4.0]])
    resamples = [np.array(drawn)[:, None] for drawn in product(scores[:, 0], repeat=3)]
    pairs = [stats.probability_of_improvement(x, y) for x in resamples for y in resamples]
    half = np.sqrt(3 / 2) * np.std(pairs) * scipy.stats.t.ppf(0.975, 4)
    shown = page._improvements(found, "locomotion", {"bc": scores, "iql": scores})
    for row in shown["rows"]:
        (cell,) = filter(None, row["cells"])
        low, high = map(float, cell["interval"].split(" to "))
        assert (cell["value"], cell["sure"]) == ("0.50", False)
        assert (low, high) == pytest.approx((max(0.0, 0.5 - half), min(1.0, 0.5 + half)), abs=0.03)
        assert low < 0.3
    lower = scores - 0.5  # 0.5 beats none of 1, 2 and 4; 1.5 beats one, and 3.5 two: 3 of 9
    shown = page._improvements(found, "locomotion", {"bc": lower, "iql": scores})
    assert [c["value"] for row in shown["rows"] for c in row["cells"] if c] == ["0.33", "0.67"]


def test_rates_of_success_have_intervals_of_rates(folder):
    found = read(folder)
    scores = np.full((3, 6), 100.0)
    scores[0, 0] = 40.0
    value, low, high = aggregate(stats.mean, scores, "antmaze")
    assert low < value < high == 100.0
    assert aggregate(stats.mean, scores, "locomotion")[2] > 100.0
    for family in ("antmaze", "locomotion"):
        assert aggregate(stats.optimality_gap, scores, family)[1] == 0.0
    assert aggregate(stats.mean, scores[:1], "antmaze") == (90.0, -np.inf, np.inf)
    (point, *_) = figures.points(found, "antmaze", {"bc": scores})
    assert point.high == 100.0


def test_a_part_of_the_grid_makes_a_page_without_averages(tmp_path):
    folder = write_scores(tmp_path / "regenerated" / "quick", ["hopper-medium"], (100,), (0,))
    assert figures.build(folder) == {}
    text = page.build(folder)[page.PAGE]
    assert "The dichotomy" not in text
    assert "Learning curves" not in text
    assert "hopper-medium/iql" in text


def test_plots_are_written_as_svg_and_png_and_are_the_same_again(tmp_path, capsys):
    antmazes = [name for name, task in TASKS.items() if task.family == "antmaze"]
    where = write_scores(tmp_path / "regenerated" / "quick", antmazes, (100,))
    for name in ("a", "b"):
        arguments = ["report", "--results", str(tmp_path), "--plots", str(tmp_path / name)]
        assert cli.main(arguments) == 0
    assert "6 pictures: " in capsys.readouterr().out
    first, second = (sorted((tmp_path / name).rglob("*.*g")) for name in ("a", "b"))
    names = ["dichotomy-antmaze", "dichotomy", "profile-antmaze"]
    assert sorted({path.stem for path in first}) == sorted(names)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    pngs = [path for path in first if path.suffix == ".png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pngs)
    assert (where / figures.PICTURE).exists()


def test_tracks_are_drawn_over_the_maze_and_tell_who_got_there(tmp_path):
    task = "pointmaze-medium-play"
    scores = {(task, "bc"): 0.0, (task, "iql"): 100.0}
    folder = write_scores(tmp_path / "regenerated" / "quick", [task], (100,), (0,), scores)
    rows = store.read_rows(folder / "scores.csv", store.SCORE_COLUMNS)
    rows["return"] = rows["return"].round()
    store.write_rows(folder / "scores.csv", rows)
    write_tracks(folder, task, "iql", [(0.0, 0.0), (1.0, 2.0), (20.0, 20.0)])
    (panel,) = read(folder).panels[task]
    assert (panel.column.title, panel.text) == ("IQL", "100")
    ((path, reached),) = panel.paths
    assert reached
    assert path.tolist() == [[0.0, 0.0], [1.0, 2.0], [20.0, 20.0]]
    write_tracks(folder, task, "bc", [(0.0, 0.0), (3.0, 0.0)])
    (panel,) = read(folder).panels[task]
    assert not panel.paths[0][1]
    document = page.build(folder)[page.PAGE]
    assert "Where they go" in document
    assert f"Where episodes went in {task}" in document
    figure = figures.figures(read(folder), {})[f"tracks-{task}"]
    walls = figure.axes[0].patches[0].get_path()
    squares = (walls.codes == walls.MOVETO).sum()
    assert squares == sum(row.count("1") for row in MAPS["medium"])
    # The dotted way keeps to free cells: ten moves from corner to corner, start included.
    assert len(figure.axes[0].lines[0].get_xydata()) == 11
    write_tracks(folder, task, "iql", [(0.0, 0.0)], [(0.0, 0.0)])
    with pytest.raises(InputError, match=r"tracks.csv has an episode that scores.csv lacks"):
        assert read(folder).panels


def test_each_method_has_a_look_of_its_own_even_when_there_are_many():
    columns = {str(i): Column(str(i), "offline RL", "nothing") for i in range(12)}
    looks = plots.looks(columns)
    assert len(set(looks.values())) == 12


# The page's own script runs first, then this one, which does what a reader does.
ACTIONS = """
const seen = {};
const bodies = document.querySelectorAll("#scores tbody");
const rows = (i) => [...bodies[i].rows].map((row) => row.cells[0].textContent);
const press = (selector) => document.querySelector(selector).click();
seen.before = rows(0);
press('[data-sort="2"]');
seen.sort = document.querySelector('[data-sort="2"]').closest("th").getAttribute("aria-sort");
seen.status = document.getElementById("status").textContent;
seen.descending = [...bodies[0].querySelectorAll("[data-task]")]
  .map((row) => Number(row.cells[3].dataset.score));
seen.last = rows(0).at(-1);
press('[data-sort="2"]');
seen.ascending = [...bodies[0].querySelectorAll("[data-task]")]
  .map((row) => Number(row.cells[3].dataset.score));
press('[data-sort="task"]');
seen.tasks = rows(1).slice(0, -1);
seen.sorted = document.querySelectorAll('[aria-sort="none"]').length;
const cell = document.querySelector('[data-cell="hopper-medium/iql"]');
cell.focus();
cell.click();
seen.open = document.getElementById("details").open;
seen.title = document.getElementById("details-title").textContent;
seen.text = document.getElementById("details-body").textContent;
document.querySelector("dialog form button").click();
seen.closed = !document.getElementById("details").open;
seen.focus = document.activeElement === cell;
seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
const figure = document.querySelector('[data-lines="curve-hopper-medium"]');
const picture = figure.querySelector("svg");
const point = (group) => {
  const [x, y] = group.querySelector("path").getAttribute("d").match(/-?[\\d.]+/g).map(Number);
  return new DOMPoint(x, y).matrixTransform(picture.getScreenCTM());
};
const iql = figure.querySelector('[data-line][data-method="iql"]');
const hover = (at) => {
  const { x, y } = at;
  figure.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true }));
  const tip = document.getElementById("tip");
  return tip.hidden ? "" : tip.textContent;
};
const place = point(iql);
seen.tip = hover(place);
press('.legend [data-method="iql"]');
seen.off = [...document.querySelectorAll('[data-method="iql"]')].filter(
  (part) => part.tagName !== "BUTTON" && getComputedStyle(part).display !== "none").length;
seen.pressed = [...document.querySelectorAll('.legend [data-method="iql"]')].map(
  (button) => button.getAttribute("aria-pressed"));
seen.without = hover(place);
press('.legend [data-method="iql"]');
seen.again = getComputedStyle(iql).display !== "none";
const out = document.createElement("pre");
out.id = "seen";
out.textContent = JSON.stringify(seen);
document.body.append(out);
"""


def browse(path, width=1280):
    """The page's DOM after its scripts ran, and what the console said."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser found ({', '.join(BROWSERS)}); install Debian's chromium")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [f"--window-size={width},900", f"--user-data-dir={path.parent / 'profile'}"]
    # The clock runs ahead until nothing is left to load, so that scripts which wait have ended.
    command += ["--disable-background-networking", "--virtual-time-budget=10000"]
    command += ["--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("width", [1280, 500])
def test_in_a_browser_the_page_sorts_opens_cells_and_says_no_error(document, tmp_path, width):
    path = tmp_path / "page.html"
    path.write_text(document.replace("</body>", f"<script>{ACTIONS}</script></body>"))
    dom, console = browse(path, width)
    assert console == []
    seen = json.loads(re.search(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)[1])
    locomotion = [name for name, task in TASKS.items() if task.family == "locomotion"]
    assert seen["before"] == [*locomotion, "locomotion average"]
    assert seen["sort"] == "descending"
    assert seen["status"] == "sorted by IQL, descending"
    assert seen["descending"] == sorted(seen["ascending"], reverse=True)
    assert seen["ascending"] == sorted(seen["ascending"])
    assert len(seen["ascending"]) == len(locomotion)
    assert seen["last"] == "locomotion average"
    assert seen["tasks"] == sorted(n for n, task in TASKS.items() if task.family == "antmaze")
    assert seen["sorted"] == len(METHODS)
    assert seen["open"]
    assert seen["closed"]
    assert seen["focus"]
    assert seen["title"] == "hopper-medium, IQL"
    assert "c0ffee" in seen["text"]
    assert seen["wide"] <= 0  # nothing but the tables themselves scrolls sideways
    found = re.fullmatch(r"IQL, at 50: (\S+) \((\S+) to (\S+)\)", seen["tip"])
    mean, low, high = map(float, found.groups())
    assert mean == pytest.approx(30, abs=2)
    assert low < mean < high
    assert seen["off"] == 0
    assert seen["pressed"] == ["false", "false"]  # profiles and curves
    assert "IQL" not in seen["without"]
    assert seen["again"]


# DejaVu Sans, which comes with matplotlib, is about the widest font that a system may have.
WIDE_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
MEASURE = """
document.fonts.load("16px Wide").then(() => {
  fit();
  const regions = [...document.querySelectorAll(".scroll")];
  const name = (region) => region.getAttribute("aria-label") ?? "scores";
  const seen = { font: document.fonts.check("16px Wide"), width: innerWidth };
  seen.cut = regions.filter((region) => region.scrollWidth > region.clientWidth).map(name);
  seen.stacked = regions.filter((region) => region.classList.contains("stack")).map(name);
  seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const out = document.createElement("pre");
  out.id = "seen";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
});
"""


def measure(document, folder, width):
    """How the page fits a window, or a frame where no window is so narrow, in a wide font."""
    font = base64.b64encode(WIDE_FONT.read_bytes()).decode()
    face = f"@font-face {{ font-family: Wide; src: url(data:font/ttf;base64,{font}); }}"
    face = f"<style>{face} * {{ font-family: Wide !important; }}</style></head>"
    text = document.replace("img-src data:", "img-src data:; font-src data:").replace(
        "</head>", face, 1
    )
    text = text.replace("</body>", f"<script>{MEASURE}</script></body>")
    path = folder / "page.html"
    if width < 500:
        frame = f'<iframe id="f" srcdoc="{html.escape(text)}" style="width:{width}px;border:0">'
        script = """addEventListener("load", () => setTimeout(() => document.body.append(
            document.getElementById("f").contentDocument.getElementById("seen")), 500))"""
        text = f"<!doctype html><body>{frame}</iframe><script>{script}</script></body>"
    path.write_text(text)
    dom, console = browse(path, width)
    assert console == []
    return json.loads(re.findall(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)[-1])


@pytest.fixture(scope="module")
def full_page(tmp_path_factory):
    """The page of the table with all columns, whose scores have as many digits as any."""
    sides = {
        "imitation": ("BC", "10%BC", "Onestep RL", "DT", "RvS-R", "RvS-G"),
        "offline RL": ("TD3+BC", "CQL", "IQL"),
    }
    methods = {title: (title, style) for style, titles in sides.items() for title in titles}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score_files, "METHODS", methods)
        tasks = ["halfcheetah-medium-replay", "hopper-medium", "pointmaze-umaze"]
        scores = {(task, name): 104.0 for task in tasks for name in methods}
        folder = tmp_path_factory.mktemp("full") / "regenerated" / "quick"
        write_scores(folder, tasks, (100,), (0, 1, 2), scores, 30.0)
        return page.build(folder)[page.PAGE]


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_nothing_is_cut_in_a_wide_font_at_any_width(full_page, tmp_path, width):
    seen = measure(full_page, tmp_path, width)
    assert seen["font"]
    assert seen["width"] == width
    assert seen["cut"] == []
    assert seen["wide"] <= 0
    assert ("scores" in seen["stacked"]) is (width < 1280)


def test_a_table_that_does_not_fit_would_be_noticed(full_page, tmp_path):
    broken = full_page.replace('classList.toggle("stack"', 'classList.toggle("other"')
    assert "scores" in measure(broken, tmp_path, 768)["cut"]


def test_a_score_above_100_looks_like_more_than_100(tmp_path):
    scores = {("hopper-medium", "bc"): 100.0, ("hopper-medium", "iql"): 133.3}
    folder = write_scores(
        tmp_path / "regenerated" / "quick", ["hopper-medium"], (100,), (0,), scores, 0.0
    )
    document = page.build(folder)[page.PAGE]
    assert 'style="--top:140"' in document
    assert "from 0 to 140, with a mark at 100" in document
    assert "and stripes beyond it" in document
    assert "--score:133.300" in document
    scores[("hopper-medium", "iql")] = 99.0
    write_scores(folder, ["hopper-medium"], (100,), (0,), scores, 0.0)
    assert 'style="--top:100"' in page.build(folder)[page.PAGE]


def test_every_heading_is_in_the_contents_and_a_part_that_is_not_there_is_not(document, tmp_path):
    def contents(text):
        return re.findall(r'<li><a href="#(\w+)">([^<]+)</a></li>', text)

    shown = re.findall(r'<h2 id="(\w+)"><a href="#\1">([^<]+)</a></h2>', document)
    assert contents(document) == shown
    assert ("claims", "The post&#39;s claims") in shown
    folder = write_scores(tmp_path / "regenerated" / "quick", ["hopper-medium"], (100,), (0,))
    names = [name for name, _ in contents(page.build(folder)[page.PAGE])]
    assert names == ["table", "methods", "downloads"]


def test_the_page_holds_the_claims_and_how_they_are_judged(document, folder):
    rows = claims.texts(read(folder))
    assert len(rows) > 5
    for row in rows:
        assert f'<th scope="row">{row["claim"]}</th>' in document
        assert f"<td>{html.escape(row['measured'])}</td>" in document
        assert f"<td>{row['interval']}</td><td>{row['holds']}</td>" in document
    assert "A figure is a difference of mean scores in points" in document


def test_means_within_the_interval_of_the_best_are_marked(tmp_path):
    tasks = ["hopper-medium", "halfcheetah-medium"]
    scores = dict.fromkeys(product(tasks[:1], METHODS), 50.0) | {("hopper-medium", "bc"): 20.0}
    folder = write_scores(tmp_path / "regenerated" / "quick", tasks, (100,), (0, 1, 2), scores)
    document = page.build(folder)[page.PAGE]
    rows = re.findall(r'<tr data-task="(\S+)">(.*?)</tr>', document, re.DOTALL)
    marked = {
        task: [name for name in METHODS if re.search(rf'{task}/{name}"[^>]*><b class="best"', row)]
        for task, row in rows
    }
    assert marked == {"hopper-medium": ["dt", "iql"], "halfcheetah-medium": ["iql"]}
    assert "A mean with a dot lies within the 95 % interval of its row's best" in document


def test_files_to_download_are_those_that_the_commands_write(document, folder):
    links = re.findall(r'download="(\S+)" href="data:text/csv;base64,([^"]+)"', document)
    files = {name: base64.b64decode(text).decode() for name, text in links}
    assert list(files) == ["table1.csv", "curves.csv", "claims.csv", "published.csv"]
    assert files["table1.csv"] == (folder / "table1.csv").read_text()
    curves = pd.read_csv(io.StringIO(files["curves.csv"]))
    assert len(curves) == 2 * len(TASKS) * len(METHODS)
    assert curves["step"].unique().tolist() == [50, 100]
    assert len(pd.read_csv(io.StringIO(files["claims.csv"]))) == len(claims.texts(read(folder)))


def test_a_method_leads_to_its_paper_where_its_name_says_where_that_is(tmp_path):
    folder = write_scores(tmp_path / "regenerated" / "quick", ["hopper-medium"], (100,), (0,))
    facts = store.read_provenance(folder / "provenance.json")
    papers = {"bc": "Pomerleau 1988", "dt": "arXiv:2106.01345", "iql": "young-geng/CQL#2"}
    for cell in facts.values():
        cell["paper"] = papers[cell["algorithm"]]
    store.write_provenance(folder / "provenance.json", facts)
    document = page.build(folder)[page.PAGE]
    assert "<td>Pomerleau 1988</td>" in document
    link = '<a href="{}" rel="noreferrer">{}</a>'
    assert link.format("https://arxiv.org/abs/2106.01345", "arXiv:2106.01345") in document
    address = "https://github.com/young-geng/CQL/issues/2"
    assert link.format(address, "young-geng/CQL#2") in document


def test_every_colour_of_a_picture_has_another_one_in_the_dark(document):
    used = set(re.findall(r"var\(--c([0-9a-f]{6}), #\1\)", document))
    dark = re.search(r"prefers-color-scheme: dark\) \{\n(.*?)\n\}", document, re.DOTALL)[1]
    known = dict(re.findall(r"--c([0-9a-f]{6}): #([0-9a-f]{6})", dark))
    every = {colour[1:] for of_side in plots.COLOURS.values() for colour in of_side}
    assert used | every <= set(known)
    assert all(known[colour] != colour for colour in known)


@pytest.mark.parametrize(
    "spoiler", ["<img src='http://127.0.0.1:9/x.png'>", "<script>x()</script>"]
)
def test_the_browser_would_report_a_request_or_an_error(document, tmp_path, spoiler):
    path = tmp_path / "page.html"
    path.write_text(document.replace("</body>", f"{spoiler}</body>"))
    assert browse(path)[1]
