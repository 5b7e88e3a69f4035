"""When a path counts as vanished, retyped or new. Pure: counts go in, findings come out.

A path that a parser reads is looked up in every answer. What stood there so far is its history. A kind of value (or
nothing) that was there in less than ``RARE`` of at least ``BASELINE`` answers, and then in ``RUN`` answers one after
the other, is a finding; from then on it is what is usual. Keys that are left out now and then are therefore never
reported, and neither is a burst of odd answers that ends.

A path that nobody reads is only seen in the sample of answers that is looked through. One that first came up after
``SAMPLES`` of them, and in at least ``COMMON`` of the ``LOOK`` that followed, is new; one that stays rare is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.drift.shape import ANY, ITEM, KINDS, LIST, NO_CHANCE, NOTHING, OBJECT, ROOT, parent_of

BASELINE, RUN, RARE = 200, 50, 0.02
SAMPLES, LOOK, COMMON = 100, 20, 0.5
MOST_PATHS = 2000
"""Paths kept per source and function; what comes up beyond is not followed."""
MOST_UNDER_ONE = 300
"""Names kept under one path; what comes up beyond counts as its ``{}``."""

_FORGET_AT = 20_000
VANISHED, RETYPED, NEW = "vanished", "retyped", "new"
_NOTHING = KINDS[NOTHING]
_CONTAINERS = (KINDS[OBJECT], KINDS[LIST])


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that changed: ``was`` and ``now`` are kinds of values."""

    kind: str
    path: str
    was: str
    now: str
    payloads: int


@dataclass(slots=True)
class History:
    """What stood at a path: ``counts`` by kind before the run, and the run of one kind that goes on."""

    counts: Counter[str] = field(default_factory=Counter)
    run: str = ""
    length: int = 0

    @classmethod
    def of(cls, stored: Sequence[Any]) -> History:
        """From its JSON form."""
        counts, run, length = stored
        return cls(Counter(counts), run, length)

    def stored(self) -> list[Any]:
        """The JSON form."""
        return [dict(self.counts), self.run, self.length]

    def add(self, kinds: Mapping[str, int], last: str, length: int) -> None:
        """Some answers more: how many of each kind, and the kind of the last ``length`` of them."""
        if kinds == {self.run: length}:
            self.length += length
            return
        self.counts.update({self.run: self.length} if self.run else {})
        self.counts.update(kinds)
        self.counts[last] -= length
        self.counts = +self.counts
        self.run, self.length = last, length
        if self.counts.total() > _FORGET_AT:  # a year ago says less than last week
            self.counts = +Counter({kind: count // 2 for kind, count in self.counts.items()})

    def finding(self, path: str) -> Finding | None:
        """What the run means by now; it becomes what is usual when it means something."""
        before = self.counts.total()
        if self.length < RUN or before < BASELINE or self.counts[self.run] >= RARE * before:
            return None
        was = self.counts.most_common(1)[0][0]
        self.counts = Counter()
        kind = VANISHED if self.run == _NOTHING else NEW if was == _NOTHING else RETYPED
        return Finding(kind, path, was, self.run, self.length)


def note_reads(histories: dict[str, History], paths: Sequence[str], answers: Sequence[bytes]) -> list[Finding]:
    """Enter answers (codes of ``paths``, in the order in which they came) into the histories of the paths."""
    findings: list[Finding] = []
    shapes = Counter(answers)
    for place, path in enumerate(paths):
        kinds: Counter[int] = Counter()
        for shape, count in shapes.items():
            kinds[shape[place]] += count
        del kinds[NO_CHANCE]
        if not kinds:
            continue
        last, length = _tail(place, answers)
        if len(kinds) == 1:
            length = kinds[last]
        history = histories.setdefault(path, History())
        history.add({KINDS[code]: count for code, count in kinds.items()}, KINDS[last], length)
        found = history.finding(path)
        findings += [] if found is None else [found]
    return findings


def _tail(place: int, answers: Sequence[bytes]) -> tuple[int, int]:
    last, length = NO_CHANCE, 0
    for shape in reversed(answers):
        code = shape[place]
        if code == NO_CHANCE:
            continue
        if last not in (NO_CHANCE, code):
            break
        last = code
        length += 1
    return last, length


@dataclass(slots=True)
class Known:
    """A path with a kind of value in the samples: how many had it, and how many there had been when it came up."""

    samples: int
    since: int
    judged: bool = False


Paths = dict[tuple[str, str], Known]


def note_samples(known: Paths, found: Mapping[tuple[str, str], int], samples: int) -> list[Finding]:
    """Enter ``samples`` more answers that were looked through; ``found`` is how many of them had each (path, kind)."""
    before = sum(one.samples for (path, _), one in known.items() if path == ROOT)
    under = Counter(parent_of(path) for path in {path for path, _ in known})
    for (path, kind), count in sorted(found.items()):
        place = (path, kind) if (path, kind) in known else _place(known, under, path, kind)
        if place is None:
            continue
        if place not in known:
            known[place] = Known(0, before)
        known[place].samples = min(known[place].samples + count, before + samples)
    return list(_new_paths(known, before + samples))


def _place(known: Paths, under: Counter[str], path: str, kind: str) -> tuple[str, str] | None:
    """Where a path that is not known goes: a place of its own, the ``{}`` beside it, or none."""
    parent = parent_of(path)
    if path != ROOT and not any((parent, one) in known for one in _CONTAINERS):
        return None
    if not path.endswith((ITEM, ANY)) and under[parent] >= MOST_UNDER_ONE:
        path = f"{'' if parent == ROOT else parent}{ANY}"
    if (path, kind) in known:
        return path, kind
    if len(known) >= MOST_PATHS:
        return None
    under[parent] += 1
    return path, kind


def _new_paths(known: Paths, samples: int) -> Iterable[Finding]:
    first: dict[str, int] = {}
    opened: dict[str, int] = {}  # since when there has been something inside
    for (path, kind), one in known.items():
        first[path] = min(first.get(path, one.since), one.since)
        if kind in _CONTAINERS:
            opened[path] = min(opened.get(path, one.since), one.since)
    for (path, kind), one in known.items():
        if one.judged or samples - one.since < LOOK:
            continue
        one.judged = True
        is_first = first[path] == one.since and one.since >= SAMPLES
        above = opened.get(parent_of(path), 0)
        with_parent = above >= SAMPLES and one.since - above <= LOOK
        if is_first and not with_parent and kind != _NOTHING and one.samples >= COMMON * (samples - one.since):
            yield Finding(NEW, path, _NOTHING, kind, one.samples)
