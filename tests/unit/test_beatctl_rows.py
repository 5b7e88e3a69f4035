"""Files of tasks: what each line of them is read as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.beatctl.cli import CommandFailed
from scripts.beatctl.rows import read_rows


def read(tmp_path: Path, text: str, name: str = "rows.csv", form: str | None = None) -> list[tuple[int, Any]]:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8", newline="")
    return list(read_rows(str(file), form))


@pytest.mark.parametrize(
    ("columns", "cells", "row"),
    [
        ("flow,priority", "f,0", {"flow": "f", "priority": "0"}),
        ("flow,account_id", "f,", {"flow": "f"}),
        ("flow,account_id", "f", {"flow": "f"}),
        ("flow", "f,one too many", {"flow": "f", "": ["one too many"]}),
        ("params", '"{""a"": 1}"', {"params": {"a": 1}}),
        ("params", "{", {"params": "no JSON"}),
        ("params,params.b", '"{""a"": 1}",2', {"params": {"a": 1, "b": "2"}}),
        ("params,params.a", '"{""a"": 1}",2', {"params": {"a": "2"}}),
        ("params,params.b", '"{""a"": 1}",', {"params": {"a": 1}}),
        ("params,params.b", "7,2", {"params": 7}),
        ("params.a,params.b", "1,2", {"params": {"a": "1", "b": "2"}}),
        ("params.a", '"two\nlines"', {"params": {"a": "two\nlines"}}),
    ],
)
def test_a_line_of_csv_is_a_task(tmp_path: Path, columns: str, cells: str, row: dict[str, Any]) -> None:
    last = 2 + cells.count("\n")
    assert read(tmp_path, f"{columns}\n{cells}\n") == [(last, row)]


@pytest.mark.parametrize("name", ["rows.ndjson", "rows.JSONL"])
def test_lines_of_json_are_told_by_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, '{"a": 1}\n\n \n[\n2', name) == [(1, {"a": 1}), (4, "no JSON"), (5, 2)]


def test_the_form_that_is_given_counts_more_than_the_name(tmp_path: Path) -> None:
    assert read(tmp_path, "1\n", "rows.csv", "ndjson") == [(1, 1)]


def test_a_cell_may_hold_all_the_params_of_a_task(tmp_path: Path) -> None:
    [(_, row)] = read(tmp_path, f"params.a\n{'x' * 256 * 1024}\n")
    assert len(row["params"]["a"]) == 256 * 1024


def test_a_directory_is_no_file_of_tasks(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"cannot read .*: Is a directory"):
        list(read_rows(str(tmp_path), "csv"))
