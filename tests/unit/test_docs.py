"""The documents say what the code does: generated parts are current, and what they name exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from config import ConfigError, load_settings
from core.amqp.payloads import PUBLISHED
from core.flows.registry import FLOWS
from scripts.flows_doc import FLOWS_PAGE, params_text
from scripts.generated import ROOT, Block, run
from scripts.listeners_doc import LISTENERS_TABLE
from scripts.settings_doc import SETTINGS, default_text, groups, tables, variable

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PLACES = "core|instagram|credentials|utils|scripts|tests|docs"
PACKAGES = ("core", "utils", "credentials", "instagram")
SOURCES = [ROOT / "main.py", *[path for place in PACKAGES for path in (ROOT / place).rglob("*.py")]]
VARIABLES = {variable(name, field): field for _, group in groups() for name, field in group.model_fields.items()}
OTHERS = {"DEPLOY_ASSETS", "HEARTBEAT_WAIT_S"}
"""Read by scripts/start.sh."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("block", [SETTINGS, FLOWS_PAGE, LISTENERS_TABLE], ids=lambda block: block.name)
def test_a_generated_part_is_current(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(block, ["--check"]) == 0, capsys.readouterr().err


def test_a_generated_part_that_is_not_current_is_refused_until_it_is_written(tmp_path: Path) -> None:
    block = Block("page.md", "numbers", "python -m numbers", lambda: "| 1 |")
    page = tmp_path / "page.md"
    page.write_text(f"before\n{block.begin}\n\n| 0 |\n\n{block.end}\nafter\n")
    assert run(block, ["--check"], tmp_path) == 1
    assert run(block, ["--write"], tmp_path) == 0
    assert page.read_text() == f"before\n{block.begin}\n\n| 1 |\n\n{block.end}\nafter\n"
    assert run(block, ["--check"], tmp_path) == 0


def test_a_page_without_its_marks_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = Block("page.md", "numbers", "python -m numbers", lambda: "| 1 |")
    (tmp_path / "page.md").write_text("no marks")
    assert run(block, ["--write"], tmp_path) == 1
    assert "must hold these lines" in capsys.readouterr().err
    assert (tmp_path / "page.md").read_text() == "no marks"


def test_every_setting_stands_in_the_table_with_what_it_means() -> None:
    text = tables()
    for name, field in VARIABLES.items():
        assert f"| `{name}` |" in text
        assert field.description, name


@pytest.mark.parametrize("name", [n for n, f in VARIABLES.items() if f.annotation in (int, float, bool)])
def test_a_variable_of_the_table_is_the_one_that_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "neither a number nor a switch")
    with pytest.raises(ConfigError, match=rf"\b{name}: "):
        load_settings()


def test_a_default_is_shown_without_its_secret_and_as_the_environment_takes_it() -> None:
    assert default_text(SecretStr("amqp://guest:hunter2@127.0.0.1/")) == "`amqp://***@127.0.0.1/`"
    assert [default_text(value) for value in (None, "", SecretStr(""), True, 5.0, 0.25, "v15.0")] == [
        "unset", "unset", "unset", "`1`", "`5`", "`0.25`", "`v15.0`"
    ]  # fmt: skip


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_every_param_of_a_flow_is_described(flow: object) -> None:
    model = next(each for each in FLOWS if each is flow).params
    assert all(f"`{name}`: " in params_text(model) for name in model.model_fields)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_links_to_and_names_only_what_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    paths = re.findall(rf"(?<![\w/.<])(?:\./)?((?:{PLACES})/[\w./-]*\w)", text)
    assert [path for path in paths if not (ROOT / path).exists()] == [
        path for path in paths if path.endswith("NNNN_name.sql")
    ]
    modules = re.findall(r"python -m ([\w.]+)", text)
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_words_in_capitals_are_settings_or_words_of_the_code(page: Path) -> None:
    named = re.findall(r"`(?:export )?([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", page.read_text(encoding="utf-8"))
    code = "\n".join(path.read_text(encoding="utf-8") for path in [*SOURCES, ROOT / "schema.sql"])
    unknown = set(named) - set(VARIABLES) - OTHERS
    assert {name for name in unknown if not re.search(rf"\b{name}\b", code, re.IGNORECASE)} == set()


def test_the_readme_gives_the_keys_of_the_events_that_are_published_now() -> None:
    rows = re.findall(
        r"^\| `(\w+_(?:events|bulk))` \| [^|]* \| ([^|]*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert {key for key, _ in rows} == {
        "scrape_request_log_events",
        "profile_log_events",
        "post_log_events",
        "profile_relationship_log_events",
        "post_activity_log_events",
        "post_activity_log_bulk",
        "sentiment_log_events",
    }
    for key, keys in rows:
        assert re.findall(r"`(\w+)`", keys) == list(PUBLISHED[key].__annotations__)


def test_the_log_lines_that_operators_look_for_are_written() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    table = text.partition("| `event` begins with |")[2].partition("\n\n")[0]
    lines = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    assert len(lines) > 10
    assert [line for line in lines if f'"{line}' not in code] == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_numbered_fits_on_a_screen_and_says_what_was_rejected(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    number = DECISIONS.index(page) + 1
    assert page.name.startswith(f"{number:04d}-")
    assert lines[0].startswith(f"# {number}. ")
    headings = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert headings == ["Context", "Decision", "Consequences", "Rejected options"]
    assert len(lines) <= 60
