"""The operations page as HTML: one file with its style and script, whose hashes its Content-Security-Policy names.

All text comes from elsewhere (names of flows, errors of providers): ``tag`` escapes it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from core.amqp.outbox import LAG_COUNTED, OutboxLag
from core.api.checks import Check
from core.api.html import Html, joined, tag, void
from core.crawler.provider import SourceCredentials
from core.queue.explain import Explanation
from core.queue.status import NEWEST, FlowState, Host, PoolStatus
from core.schedules.switch import state_of
from utils.redact import redact_text
from utils.times import minute, spoken

STYLE = Html("""
body { font: 14px/1.4 system-ui, sans-serif; margin: 1em auto; max-width: 80em; padding: 0 1em; color: #222 }
h1 { font-size: 1.4em } h2 { font-size: 1.1em; margin: 1.5em 0 .3em }
table { border-collapse: collapse } th, td { text-align: left; padding: .15em .8em .15em 0; vertical-align: top }
th { font-weight: 600; border-bottom: 1px solid #999 } td { border-bottom: 1px solid #ddd; overflow-wrap: anywhere }
td.number { text-align: right; font-variant-numeric: tabular-nums } form { display: inline } .bad { color: #b00020 }
output { display: block; min-height: 1.4em; font-weight: 600 } .note { color: #666 }
""")

SCRIPT = Html("""
const said = document.querySelector("output");
said.textContent = sessionStorage.getItem("said") || "";
sessionStorage.removeItem("said");
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  event.preventDefault();
  form.querySelector("button").disabled = true;
  said.textContent = "...";
  let words;
  try {
    const answer = await fetch(form.action, { method: "POST" });
    words = (await answer.json()).status.message;
  } catch (error) {
    words = `Nobody knows whether it was done: ${error}`;
  }
  sessionStorage.setItem("said", words);
  location.reload();
});
""")


def _hash_of(inline: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode() + "'"


HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src {_hash_of(STYLE)}; script-src {_hash_of(SCRIPT)}; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # with no-referrer, a form's POST would have no Origin
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the page shows. ``failed``: tasks of each flow; ``schedules``: rows of their LIST; ``known``: flows that can
    be paused; ``asked``: the task that was asked about, and ``answer`` what there is to say of it."""

    at: datetime
    checks: Mapping[str, Check]
    pool: PoolStatus
    failed: Mapping[str, int]
    lag: OutboxLag
    schedules: Sequence[Any]
    credentials: Sequence[SourceCredentials]
    known: Collection[str]
    asked: int | None = None
    answer: Explanation | None = None


def page(facts: Facts) -> str:
    """The whole page."""
    head = tag(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width"),
        tag("title", "Beat operations"),
        tag("style", STYLE),
    )
    body = tag(
        "body",
        tag("h1", "Beat operations"),
        tag("p", f"As of {minute(facts.at)} UTC. ", tag("a", "Look again", href="/ops"), class_="note"),
        tag("output"),
        *_task(facts),
        *_checks(facts.checks),
        *_hosts(facts.pool.hosts),
        *_flows(facts),
        *_events(facts.lag, facts.pool.relay),
        *_schedules(facts.schedules),
        *_credentials(facts.credentials),
        tag("script", SCRIPT),
    )
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en")


def _task(facts: Facts) -> list[Html]:
    given = void("input", type="number", name="task", min=1, required=True, value=facts.asked, placeholder="id")
    parts = [tag("h2", "A task"), tag("form", given, " ", tag("button", "explain"), method="get", action="/ops")]
    if facts.answer is not None:
        one = facts.answer
        words = f"Task {one.task_id} is {one.status}; {one.reason}: {one.text} "
        buttons = [_button(f"/ops/tasks/{one.task_id}/{verb}", verb) for verb in ("retry", "cancel")]
        parts.append(tag("p", words, *buttons))
    elif facts.asked is not None:
        parts.append(tag("p", f"task: there is no task {facts.asked}; retention may have deleted it", class_="bad"))
    return parts


def _checks(checks: Mapping[str, Check]) -> list[Html]:
    rows = [
        (name.replace("_", " "), "ok" if one.ok else _bad("wrong" if one.required else "can wait"), one.detail)
        for name, one in checks.items()
    ]
    return [tag("h2", "Server"), _table(("", "", "what was seen"), rows)]


def _hosts(hosts: Sequence[Host]) -> list[Html]:
    rows = [
        (
            one.host,
            _bad("lost") if not one.alive else _bad(f"{one.lost} processes lost") if one.lost else "alive",
            one.processes,
            one.slots,
            len(one.flows),
            spoken(one.beat_s),
        )
        for one in hosts
    ]
    return [
        tag("h2", "Hosts"),
        _table(("host", "state", "processes", "slots", "flows", "oldest heartbeat"), rows, "no worker process"),
    ]


def _flows(facts: Facts) -> list[Html]:
    seen = {one.flow: one for one in facts.pool.flows}
    every = [seen.get(flow) or FlowState(flow) for flow in sorted({*facts.known, *facts.failed, *seen})]
    busy = [one for one in every if _has_news(one, facts)]
    idle = [one for one in every if not _has_news(one, facts)]
    names = ("flow", "state", "pending", "oldest", "delayed", "processing", "failed", "slots", "workers", "")
    return [
        tag("h2", "Flows"),
        tag("p", f"Failed: within the last hour, of the {NEWEST:,} newest tasks.", class_="note"),
        _table(names, [_flow(one, facts) for one in busy], "nothing waits, runs, has failed or is paused"),
        tag(
            "details",
            tag("summary", f"{len(idle)} flows with nothing to do"),
            _table(names, [_flow(one, facts) for one in idle]),
        ),
    ]


def _has_news(one: FlowState, facts: Facts) -> bool:
    return bool(one.ready or one.delayed or one.running or one.paused or facts.failed.get(one.flow))


def _flow(one: FlowState, facts: Facts) -> tuple[object, ...]:
    failed, verb = facts.failed.get(one.flow, 0), "resume" if one.paused else "pause"
    return (
        one.flow,
        _bad(one.state) if one.state in ("paused", "no worker", "no slots") else one.state,
        one.ready,
        "" if one.oldest_s is None else spoken(one.oldest_s),
        one.delayed,
        one.running,
        failed,
        f"{one.slots} (cap {one.cap})" if one.cap is not None else one.slots,
        one.workers,
        _button(f"/ops/flows/{one.flow}/{verb}", verb) if one.flow in facts.known else "not in the registry",
    )


def _events(lag: OutboxLag, relay: str | None) -> list[Html]:
    rows = [(key, route.rows, spoken(route.oldest_s)) for key, route in lag.routes.items()]
    more = f" Of the {LAG_COUNTED:,} oldest only." if lag.rows >= LAG_COUNTED else ""
    return [
        tag("h2", "Events"),
        tag("p", "Relay: ", relay or _bad("none works"), ".", more, class_="note"),
        _table(("routing key", "waiting", "oldest"), rows, "no event waits for the broker"),
    ]


def _schedules(schedules: Sequence[Any]) -> list[Html]:
    rows = []
    for row in schedules:
        verb = "disable" if row["enabled"] else "enable"
        outcome = row["last_outcome"]
        rows.append(
            (
                row["name"],
                state_of(row),
                row["cron"],
                row["flow"],
                "" if not row["enabled"] else _bad("never") if row["stopped"] else minute(row["next_run_at"]),
                minute(row["last_run_at"]),
                outcome if outcome in (None, "ok") else _bad(outcome),
                redact_text(row["last_error"] or ""),
                _button(f"/ops/schedules/{row['name']}/{verb}", verb),
            )
        )
    names = ("name", "state", "cron (UTC)", "flow", "next run", "last run", "outcome", "error", "")
    return [tag("h2", "Schedules"), _table(names, rows, "there is none")]


def _credentials(sources: Sequence[SourceCredentials]) -> list[Html]:
    rows = [
        (one.source, one.usable or _bad("0"), one.resting, minute(one.back_at), one.refused, one.expired, one.disabled)
        for one in sources
    ]
    names = ("source", "usable", "resting", "first back at", "refused until replaced", "access expired", "disabled")
    return [tag("h2", "Credentials"), _table(names, rows, "there is none")]


def _table(names: Sequence[str], rows: Sequence[Sequence[object]], empty: str = "") -> Html:
    """A table; what is said in its place when it would be empty."""
    if not rows:
        return tag("p", empty, class_="note")
    body = [tag("tr", *(tag("td", value, class_=_kind(value)) for value in row)) for row in rows]
    return tag("table", tag("thead", tag("tr", *(tag("th", name) for name in names))), tag("tbody", *body))


def _kind(value: object) -> str | None:
    return "number" if isinstance(value, int) else None


def _bad(words: str) -> Html:
    return tag("span", words, class_="bad")


def _button(path: str, verb: str) -> Html:
    """A form that posts; without the script its answer is shown as it is."""
    return joined(tag("form", tag("button", verb), method="post", action=quote(path)), " ")
