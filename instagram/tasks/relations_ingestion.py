"""People in lists -> relations of two profiles. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.crawler.provider import Payload
from core.enums import Platform, RelationshipType
from core.models.logs import RelationshipLog
from instagram.functions.retriever.reader import said
from instagram.models.keys import FULL_NAME, HANDLE, IS_PRIVATE, IS_VERIFIED, PROFILE_PIC_URL
from instagram.models.pages import Person
from utils.json_safe import json_safe


def person_dimensions(person: Person) -> dict[str, Any]:
    """What a list says about somebody in it."""
    found = {
        HANDLE: person.handle,
        FULL_NAME: person.full_name,
        PROFILE_PIC_URL: person.profile_pic_url,
        IS_PRIVATE: person.is_private,
        IS_VERIFIED: person.is_verified,
    }
    safe: dict[str, Any] = json_safe(said(found))
    return safe


def followers_of(profile_id: str, people: Iterable[Person], payload: Payload) -> list[RelationshipLog]:
    """Each of the people follows the profile."""
    return [
        RelationshipLog(
            RelationshipType.FOLLOWS,
            Platform.INSTAGRAM,
            person.profile_id,
            profile_id,
            payload.source,
            payload.fetched_at,
            source_dimensions=person_dimensions(person),
        )
        for person in people
    ]


def related_to(
    profile_id: str, people: Iterable[Person], payload: Payload, *, kind: RelationshipType
) -> list[RelationshipLog]:
    """The profile follows each of the people, or is similar to them."""
    return [
        RelationshipLog(
            kind,
            Platform.INSTAGRAM,
            profile_id,
            person.profile_id,
            payload.source,
            payload.fetched_at,
            target_dimensions=person_dimensions(person),
        )
        for person in people
    ]
