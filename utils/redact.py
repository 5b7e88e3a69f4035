"""Secrets out of URLs, headers and free text, before they reach a log line, a trace or an exception.

Every function is total (any text in, text out) and idempotent. In doubt more is masked than needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote_plus

MASK = "***"

SECRET_PARAMS = frozenset(
    {
        "access_key",
        "access_token",
        "api_key",
        "apikey",
        "appsecret_proof",
        "auth_token",
        "client_secret",
        "fb_exchange_token",
        "hmac",
        "id_token",
        "input_token",
        "key",
        "password",
        "refresh_token",
        "secret",
        "session_token",
        "sig",
        "signature",
        "token",
        "x_amz_credential",
        "x_amz_security_token",
        "x_amz_signature",
    }
)
"""Names of query parameters and form fields, lower case, with underscores for dashes."""

_SECRET_HEADERS = ("authorization", "cookie", "token", "secret", "password", "signature", "key")
"""A header whose name ends in one of these holds a secret."""

_NAMES = "|".join(name.replace("_", "[_-]") for name in sorted(SECRET_PARAMS - {"key"}, key=len, reverse=True))
_ENCODED = r"%(?:25)?[0-9a-f]{2}|\\u00[0-9a-f]{2}"
"""What may stand before a name or a token inside an encoded URL or JSON text: its last letter is none of a word."""
_HEADER_NAMES = r"(?:proxy-)?authorization|(?:set-)?cookie|x-[a-z0-9-]{0,40}(?:key|token)|api-key"

_TEXT = re.compile(
    rf"""
      (?P<user>(?<=://)[^\s/?\#"']+(?=@))                                                 # user and password of a URL
    | (?P<escaped>\\"(?:{_NAMES}|{_HEADER_NAMES})\\"\s*:\s*\\")(?:[^"\\]|\\[^"])*         # JSON inside a JSON text
    | (?P<double>"(?:{_NAMES}|{_HEADER_NAMES})"\s*:\s*b?")(?:[^"\\]|\\.)*                 # JSON pair
    | (?P<single>'(?:{_NAMES}|{_HEADER_NAMES})'\s*:\s*b?')(?:[^'\\]|\\.)*                 # pair in the repr of a dict
    | (?P<mixed>'(?:{_NAMES}|{_HEADER_NAMES})'\s*:\s*b?")(?:[^"\\]|\\.)*                  # the same, value with a quote
    | (?P<quoted>(?<![a-z0-9_-])(?:{_NAMES})\s*=\s*(?P<q>["']))(?:(?!(?P=q))[^\\]|\\.)*   # token='...'
    | (?P<pair>(?:(?<![a-z0-9_-])|{_ENCODED})(?:{_NAMES})\s*(?:=|%(?:25)?3d|\\u003d)\s*   # token=...
        |(?:[?&;]|%(?:25)?(?:3f|26|3b)|\\u0026)key(?:=|%(?:25)?3d|\\u003d))[^\s&;\#"'<>)\]}},]+
    | (?P<line>(?<![a-z0-9_"'-])(?:{_HEADER_NAMES})\s*:[^\S\r\n]*)[^\r\n]+                # header line
    | (?P<scheme>(?:\b|{_ENCODED})(?:bearer|basic)(?:\s|\+|%(?:25)?20)+                   # authorization value
        |\btoken\s+(?=[\w.+/=-]{{16}}))[\w.~+/=|%-]+
    | (?P<known>(?<![a-z0-9])|{_ENCODED})(?:
        (?:EAA|IGQ)[a-z0-9_-]{{13,}}                                                        # Graph user tokens
      | (?:sk-|shpat_|shpss_|ya29\.|AIza|1//)[\w-]{{16,}}
      | eyJ[\w-]{{8,}}\.[\w-]+\.[\w-]*                                                    # JSON web tokens
      )
    | (?P<gateway>)[0-9a-f]{{6,32}}msh[0-9a-z]{{1,64}}jsn[0-9a-f]+                            # gateway keys
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_SIGNS = (
    "@", "key", "token", "secret", "hmac", "password", "sig", "credential", "auth", "cookie", "bearer", "basic",
    "eaa", "igq", "sk-", "shpat_", "shpss_", "ya29.", "aiza", "1//", "msh", "eyj",
)  # fmt: skip
"""Whatever the pattern finds holds one of these, in lower case: looking for them costs a tenth of it."""

_KINDS = ("escaped", "double", "single", "mixed", "quoted", "pair", "line", "scheme", "known", "gateway")
_MASKED_PAIR = re.compile(rf"[?&;#](?:{_NAMES}|key)=\*\*\*(?=[?&;#]|$)", re.IGNORECASE)
_QUERY_PAIR = re.compile(r"(?<=[?&;#])([^=&;#?]+)=([^&;#]*)")
_ROUNDS = 50
_SHORT, _MOST_CLEAN = 200, 1000
_clean: set[str] = set()
"""Short texts that hold no secret: most log lines say what others said. None that had one is kept."""


def redact_url(url: str) -> str:
    """The URL with the values of secret parameters (query and fragment) and any user part replaced by ``***``."""
    masked = _until_stable(lambda text: _QUERY_PAIR.sub(_mask_pair, text), url)
    return redact_text(masked) if _is_suspect(_MASKED_PAIR.sub("", masked)) else masked


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """A copy with lower-case names; values of secret headers are ``***``, other values are redacted as text."""
    texts = {str(name).lower(): str(value) for name, value in headers.items()}
    return {name: MASK if is_secret_header(name) else redact_text(text) for name, text in texts.items()}


def redact_text(text: str) -> str:
    """Free text without tokens: pairs, JSON pairs, header lines, Bearer values, DSN users, and known token shapes."""
    if text in _clean or not _is_suspect(text):
        return text
    found = _until_stable(lambda current: _TEXT.sub(_mask_match, current), text)
    if found == text and len(text) <= _SHORT:
        if len(_clean) >= _MOST_CLEAN:
            _clean.clear()
        _clean.add(text)
    return found


def _is_suspect(text: str) -> bool:
    """Whether there may be a secret in it. Beyond ASCII there are letters that a pattern takes for others: always."""
    if not text.isascii():
        return True
    lower = text.lower()
    return any(sign in lower for sign in _SIGNS)


def is_secret_header(name: str) -> bool:
    """Whether a header of this name carries a credential."""
    return name.lower().endswith(_SECRET_HEADERS)


def is_secret_param(name: str) -> bool:
    """Whether a query parameter or form field of this (decoded) name carries a credential."""
    return name.strip().lower().replace("-", "_") in SECRET_PARAMS


def _mask_pair(match: re.Match[str]) -> str:
    name, value = match[1], unquote_plus(match[2])
    if not match[2]:
        return match[0]
    if is_secret_param(unquote_plus(name)) or redact_text(value) != value or _nested_secret(value):
        return f"{name}={MASK}"
    return match[0]


def _nested_secret(value: str) -> bool:
    """Whether a decoded value holds a URL with a secret of its own."""
    return any(pair[2] != MASK and is_secret_param(unquote_plus(pair[1])) for pair in _QUERY_PAIR.finditer(value))


def _mask_match(match: re.Match[str]) -> str:
    if match["user"] is not None:
        return MASK
    return next(match[kind] for kind in _KINDS if match[kind] is not None) + MASK


def _until_stable(change: Callable[[str], str], text: str) -> str:
    """Masking one secret can uncover the next; each round leaves less that is not a mask."""
    for _ in range(_ROUNDS):
        changed = change(text)
        if changed == text:
            break
        text = changed
    return text
