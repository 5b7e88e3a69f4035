"""The properties of a published message, beside what the library writes for the same ones."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from core.amqp.outbox import Row
from core.amqp.publisher import EventProperties

AT = datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize("message_id", ["i", "outbox-7", "é" * 100, "x" * 255])
def test_properties_are_written_as_the_library_writes_them(message_id: str) -> None:
    ours = EventProperties(message_id, AT)
    assert ours.marshal() == Basic.Properties.marshal(ours)
    read = ContentHeader()
    read.unmarshal(ContentHeader(body_size=3, properties=ours).marshal())
    assert (read.properties.message_id, read.properties.delivery_mode) == (message_id, 2)
    assert (read.properties.content_type, read.properties.content_encoding) == ("application/json", "utf-8")
    assert read.properties.timestamp == AT.replace(microsecond=0)


def test_an_id_that_no_frame_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="range"):
        EventProperties("x" * 256, AT).marshal()


@pytest.mark.parametrize(("event_id", "message_id"), [("id-1", "id-1"), (None, "outbox-7"), ("", "outbox-7")])
def test_a_message_is_known_by_its_event_or_else_by_its_row(event_id: str | None, message_id: str) -> None:
    assert Row(7, "beat.dx", "posts", "e", "{}", event_id, AT).message_id == message_id
