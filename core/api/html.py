"""HTML by construction: text is escaped wherever it comes in, only what ``tag`` made goes in as it is."""

from __future__ import annotations

from html import escape


class Html(str):
    """Markup."""

    __slots__ = ()


def tag(name: str, /, *inside: object, **attributes: object) -> Html:
    """An element. None inside is nothing, an attribute that is None is left out, one that is True has no value."""
    given = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    return Html(f"<{name}{given}>{joined(*inside)}</{name}>")


def void(name: str, /, **attributes: object) -> Html:
    """An element that holds nothing, such as an input."""
    return Html(tag(name, **attributes).removesuffix(f"</{name}>"))


def joined(*parts: object) -> Html:
    """One after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(str(part)) for part in parts if part is not None))


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
