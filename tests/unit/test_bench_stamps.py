"""The files in which a peer's processes note when each job began."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from scripts.bench.peers import stamps

THREADS, TRIES = 8, 40


def test_no_job_is_missed_when_the_first_ones_begin_in_several_threads_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(TRIES):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.setenv(stamps.VARIABLE, str(folder))
        stamps._own.cache_clear()
        together = threading.Barrier(THREADS)

        def job(own: int, together: threading.Barrier = together) -> None:
            together.wait()
            stamps.mark(own)

        threads = [threading.Thread(target=job, args=(own,)) for own in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (entries,) = stamps.read(folder)
        assert stamps.count(folder) == THREADS
        assert sorted(own for own, _ in entries) == list(range(THREADS))
    stamps._own.cache_clear()
