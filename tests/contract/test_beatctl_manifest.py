"""Every recording through one `beatctl parse --manifest`, held against tests/contract/golden.

A golden file has one entry per recording of its source: the printed line without its nulls, of errors the class alone.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scripts.beatctl.__main__ import main
from tests.support.instagram import SAMPLES, recorded_status

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(SAMPLES.glob("*/*.json"))


def without_nulls(value: Any) -> Any:
    """The value without keys that hold null."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


@cache
def golden(source: str) -> dict[str, Any]:
    """File name -> what is printed for it."""
    found: dict[str, Any] = json.loads((GOLDEN / f"{source}.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """The output for a manifest of all recordings, in their order."""
    manifest = tmp_path / "all.ndjson"
    rows = [
        {
            "source": path.parent.name,
            "function": path.name.partition(".")[0],
            "file": str(path),
            "status": recorded_status(path.stem),
        }
        for path in FILES
    ]
    manifest.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert main(["parse", "--manifest", str(manifest)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return [json.loads(line) for line in out.splitlines()]


def test_a_manifest_of_every_recording_prints_what_the_golden_files_say(lines: list[Any]) -> None:
    assert len(lines) == len(FILES)
    for path, line in zip(FILES, lines, strict=True):
        where = f"{path.parent.name}/{path.stem}"
        if line["kind"] == "error":
            assert line["error"].pop("message"), where
        assert without_nulls(line) == golden(path.parent.name)[path.stem], where


def test_the_golden_files_speak_of_the_recordings_and_of_nothing_else() -> None:
    said = {(path.stem, name) for path in GOLDEN.glob("*.json") for name in golden(path.stem)}
    assert said == {(path.parent.name, path.stem) for path in FILES}
