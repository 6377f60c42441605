"""Text that fits a screen."""

import subprocess
import sys

import pytest
from rich.cells import cell_len

from bench import screen


def shown(capsys, *arguments, **options):
    screen.show(screen.in_blocks(*arguments, **options))
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_columns_that_do_not_fit_go_below_with_the_names_again(capsys):
    rows = [["first", "1.0", "-20.0", "300.0"], ["second", "4.0", "5.0", "6.0"]]
    lines = shown(capsys, ["task", "a", "b", "c"], rows, right=(1, 2, 3), columns=17)
    assert lines == [
        *("task     a     b", "first  1.0 -20.0", "second 4.0   5.0", ""),
        *("task       c", "first  300.0", "second   6.0"),
    ]


def test_a_long_name_gives_way_to_the_numbers_beside_it_and_keeps_both_ends(capsys):
    name = "me-a-very-long-name-of-a-dataset-that-says-all/onestep_reverse_kl"
    lines = shown(capsys, ["task", "score"], [[name, "-1234567.8 ± 1234567.8"]], columns=50)
    assert lines[1].endswith(" -1234567.8 ± 1234567.8")
    assert lines[1].startswith("me-a-very-lo...")
    assert "...p_reverse_kl " in lines[1]
    assert len(lines[1]) == 50


def test_a_text_wider_than_the_terminal_is_whole_and_names_stay_readable(capsys):
    value = "x" * 100
    lines = shown(capsys, ["what", "", "n"], [["histogram of rewards", value, "7"]], columns=40)
    assert any(line.endswith(value) for line in lines)
    assert all("histo...ards" in line for line in lines if value in line or line.endswith("7"))


def test_names_are_text_and_not_markup(capsys):
    lines = shown(capsys, ["task", "a"], [["me-[red]x", "[1]"]], columns=40)
    assert lines[1] == "me-[red]x [1]"


@pytest.mark.parametrize("name", ["short", "a" * 40, "数据" * 20, "x" + "数" * 30])
@pytest.mark.parametrize("columns", [5, 12, 33])
def test_a_shortened_name_is_as_wide_as_it_may_be_at_most(name, columns):
    short = screen.shorten(name, columns)
    assert cell_len(short) <= columns
    assert (short == name) == (cell_len(name) <= columns)
    assert short[:1] == name[:1] or columns == 5


@pytest.mark.parametrize(("columns", "width"), [(None, 80), ("", 80), ("60", 60), ("x", 80)])
def test_the_width_is_80_without_a_terminal_unless_the_user_sets_it(columns, width):
    environment = {"PATH": "/usr/bin:/bin"} | ({} if columns is None else {"COLUMNS": columns})
    command = [sys.executable, "-c", "from bench import screen; print(screen.width())"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(shown.stdout) == width


def test_filled_text_keeps_what_stands_in_brackets_together(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    filled = screen.fill("usage: x [-h] [--a NAME [NAME ...]] [--b NAME]", indent="       ")
    assert filled.splitlines() == [
        *("usage: x [-h]", "       [--a NAME [NAME ...]]", "       [--b NAME]"),
    ]
