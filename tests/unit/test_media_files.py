"""What a file is, by its bytes; whether it is whole; what it is called; when its address runs out."""

from __future__ import annotations

import io
import pickle
import re
import struct

import pytest

from core.assets.urls import cdn_url
from core.client import errors, places, sniff
from core.client.errors import MediaError, MediaRefused, MediaUnavailable, StoreUnavailable, UrlExpired
from core.client.keys import asset_stem
from core.client.places import checked, expires_at, host_of, redirected, same_file
from core.client.whole import is_whole
from tests.sandbox.media.bodies import CONTENT_TYPES, file_of


def brand(major: bytes, *others: bytes) -> bytes:
    return struct.pack(">I", 16 + 4 * len(others)) + b"ftyp" + major + bytes(4) + b"".join(others) + bytes(40)


@pytest.mark.parametrize("form", CONTENT_TYPES)
def test_real_files_are_known_by_their_bytes(form: str) -> None:
    kind = sniff.sniff(file_of("a", form))
    assert kind is not None
    assert (kind.extension, kind.content_type) == (form, CONTENT_TYPES[form])


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (brand(b"heic"), sniff.HEIC),
        (brand(b"heix", b"mif1"), sniff.HEIC),
        (brand(b"hevc"), sniff.HEIC),
        (brand(b"mif1", b"mif1", b"heic"), sniff.HEIC),
        (brand(b"mif1", b"mif1", b"avif", b"miaf"), sniff.AVIF),
        (brand(b"msf1"), sniff.HEIC),
        (brand(b"avif", b"mif1"), sniff.AVIF),
        (brand(b"avis"), sniff.AVIF),
        (brand(b"isom"), sniff.MP4),
        (brand(b"mp42", b"avif"), sniff.MP4),
        (brand(b"qt  "), sniff.MP4),
        (b"GIF87a" + bytes(60), sniff.GIF),
        (b"\xff\xd8\xff\xe0", sniff.JPEG),
        (b"\xff\xd8", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"BM" + bytes(60), None),
        (b"<!DOCTYPE html><html>", None),
        (b'{"error": 1}', None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"%PDF-1.7", None),
        (b"", None),
        (b"\0\0\0\x08ftyp", None),
    ],
)
def test_first_bytes_decide(head: bytes, kind: sniff.Kind | None) -> None:
    assert sniff.sniff(head) is kind


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (b"<!DOCTYPE html>", True),
        (b"\xef\xbb\xbf\r\n {", True),
        ("<title>\N{DEVANAGARI LETTER A}</title>".encode(), True),
        (b"", False),
        (b"\0\1\2", False),
        (b"BM\x8a\0\0\0", False),
    ],
)
def test_pages_and_json_are_told_from_binary(head: bytes, text: bool) -> None:
    assert sniff.is_text(head) is text


@pytest.mark.parametrize("form", CONTENT_TYPES)
def test_a_cut_file_is_not_whole(form: str) -> None:
    body = file_of("a", form, 64, 20_000)
    kind = sniff.sniff(body)
    assert kind is not None
    assert is_whole(io.BytesIO(body), len(body), kind)
    for part in (len(body) - 1, len(body) - 70, len(body) // 2, 70):
        assert not is_whole(io.BytesIO(body[:part]), part, kind)


def test_boxes_may_have_long_lengths_or_none() -> None:
    start = brand(b"isom")[:16]
    start = struct.pack(">I", 16) + start[4:]
    long = struct.pack(">I", 1) + b"mdat" + struct.pack(">Q", 100) + bytes(84)
    endless = struct.pack(">I", 0) + b"mdat" + bytes(7)
    for body, whole in (
        (start + long, True),
        (start + long[:-1], False),
        (start + endless, True),
        (start + struct.pack(">I", 3) + b"mdat", False),
        (start + b"\0\0\0", False),
    ):
        assert is_whole(io.BytesIO(body), len(body), sniff.MP4) is whole


def test_a_file_of_countless_boxes_is_given_up() -> None:
    body = brand(b"isom")[:16] + (struct.pack(">I", 8) + b"free") * 200_000
    assert not is_whole(io.BytesIO(body), len(body), sniff.MP4)


@pytest.mark.parametrize(
    ("entity_id", "name"),
    [
        ("CxYz_1-2.A", "CxYz_1-2.A"),
        ("a/b", "a%2Fb"),
        ("..a", "..a"),
        ("../../etc", "..%2F..%2Fetc"),
        ("a%2Fb", "a%252Fb"),
        ("a b+c~", "a%20b%2Bc%7E"),
        ("é", "%C3%A9"),
        ("\0\n", "%00%0A"),
    ],
)
def test_ids_become_keys_that_no_other_id_has(entity_id: str, name: str) -> None:
    assert asset_stem("POST", "INSTAGRAM", entity_id) == f"assets/posts/instagram/{name}"


def test_what_is_encoded_in_a_key_is_encoded_once_more_in_its_address() -> None:
    key = asset_stem("POST", "INSTAGRAM", "a b%/~") + ".jpg"
    assert cdn_url("cdn.example", key) == "https://cdn.example/assets/posts/instagram/a%2520b%2525%252F%257E.jpg"


def test_a_key_is_at_most_as_long_as_the_store_allows() -> None:
    longest = "a" * (1024 - len("assets/posts/instagram/.heic"))
    assert len(asset_stem("POST", "INSTAGRAM", longest) + ".heic") == 1024
    with pytest.raises(MediaRefused, match="BAD_ENTITY"):
        asset_stem("POST", "INSTAGRAM", longest + "a")


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_no_part_of_a_key_is_empty_or_dots(part: str) -> None:
    for parts in ((part, "INSTAGRAM", "1"), ("POST", part, "1"), ("POST", "INSTAGRAM", part)):
        with pytest.raises(MediaRefused, match="BAD_ENTITY"):
            asset_stem(*parts)


@pytest.mark.parametrize(
    ("query", "ends"),
    [
        ("?stp=x&oe=6A2F427E", 0x6A2F427E),
        ("?oe=6a2f427e&oe=00000000", 0x6A2F427E),
        ("?oe=", None),
        ("?oe=zz2F427E", None),
        ("?oe=6A2F427E0", None),
        ("?xoe=6A2F427E", None),
        ("?a=1#oe=6A2F427E", None),
        ("", None),
    ],
)
def test_a_url_says_when_it_runs_out(query: str, ends: int | None) -> None:
    assert expires_at(f"https://scontent.cdninstagram.com/v/t51/a.jpg{query}") == ends


def test_old_urls_say_it_in_their_path() -> None:
    assert expires_at("https://scontent.cdninstagram.com/vp/0a1b/5C7E7F00/t51.2885-15/e35/1_n.jpg") == 0x5C7E7F00


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.example/a/../b//c.jpg?b=%7e&a=%2D&c=~&d='\"<>|{}^`[]@!$()*+,;:=?&&e",
        "https://cdn.example/%zz%?q=%",
        "http://cdn.example:80/x?=&",
        "https://CDN.example:443/",
        "https://cdn.example?x=1",
        "https://sub_domain.cdn.example./x",
    ],
)
def test_what_is_printable_stays_to_the_byte(url: str) -> None:
    assert checked(url) == url


def test_what_is_not_printable_is_encoded_and_the_fragment_dropped() -> None:
    assert checked(" https://cdn.example/a b\r\nX: é?q=\N{DEVANAGARI LETTER A}#f\n") == (
        "https://cdn.example/a%20b%0D%0AX:%20%C3%A9?q=%E0%A4%85"
    )


HOSTS = (
    "cdn.example", "cdn.example.", "CDN.example", "sub_domain.example", "a..b", "-a.example", "localhost",
    ".", "..", "", "xn--bcher-kva.example", "127.0.0.1", "8.8.8.8", "0x7f.1", "2130706433", "1.2.3", "x" * 300 + ".y",
    "cdn.example:80", "cdn.example:81", "me@cdn.example", "cdn.example\\@127.0.0.1", "[::1]", "[2606:4700::1]", "%2e",
)  # fmt: skip
LONG = "/" + "a" * 9000
PATHS = ("", "/", "/a.jpg?b=c", "/@b", "/[x]", "/a\\b", "/a#b", "/#", "?x", LONG, "/a b", " ", "/\N{SNOWMAN}")


def read_of(url: str) -> tuple[str, ...]:
    """What becomes of a URL: how it is sent and to whom, or why not."""
    try:
        return checked(url), host_of(checked(url))
    except MediaRefused as error:
        return error.code, error.message


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("path", PATHS)
def test_usual_urls_are_read_as_all_others(host: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = [f"{scheme}://{host}{path}" for scheme in ("https", "http", "HTTPS", "ftp")]
    short = [read_of(url) for url in urls]
    monkeypatch.setattr(places, "_USUAL", re.compile("(?!)"))
    assert short == [read_of(url) for url in urls]


def test_a_redirect_from_https_to_http_is_refused_however_the_scheme_is_written() -> None:
    for url in ("https://cdn.example/a", checked("HTTPS://cdn.example/a"), checked("HttpS://CDN.example:443/a")):
        for location in ("http://cdn.example/b", "HTTP://cdn.example/b"):
            with pytest.raises(MediaRefused) as caught:
                redirected(url, location)
            assert caught.value.code == "BAD_REDIRECT"
        assert redirected(url, "HTTPS://cdn.example/b") == "https://cdn.example/b"


@pytest.mark.parametrize(
    ("location", "meant"),
    [
        ("https://cdn.example/a/../b;?q=1&oh=%7e+;", "https://cdn.example/a/../b;?q=1&oh=%7e+;"),
        (
            b"https://cdn.example/\xe9\xff?\xc3\xa9".decode("utf-8", "surrogateescape"),
            "https://cdn.example/%E9%FF?%C3%A9",
        ),
    ],
)
def test_where_a_redirect_leads_stays_to_the_byte(location: str, meant: str) -> None:
    assert redirected("https://cdn.example/", location) == meant


FILE = "https://scontent-a.cdninstagram.com/v/t51/1_n.jpg?stp=dst-jpg_e35&"
SIGNED = "efg=1&_nc_ht=a&_nc_cat=1&_nc_ohc=2&edm=3&ccb=7-5&oh=00_4&oe=6A2F427E&_nc_sid=5"


@pytest.mark.parametrize(
    ("now", "same"),
    [
        (FILE + SIGNED, True),
        (FILE + "efg=9&_nc_ht=b&_nc_cat=2&_nc_ohc=8&edm=7&ccb=6-6&oh=00_0&oe=7FFFFFFF&_nc_sid=6", True),
        (FILE.replace("scontent-a.cdn", "SCONTENT-B.CDN") + SIGNED, True),
        (FILE.replace("e35", "e15") + SIGNED, False),
        (FILE.replace("1_n", "2_n") + SIGNED, False),
        (FILE.replace("cdninstagram", "instagram") + SIGNED, False),
        (FILE + SIGNED + "&page=2", False),
        ("https://[::1", False),
    ],
)
def test_a_file_is_the_same_under_another_signature(now: str, same: bool) -> None:
    assert same_file(FILE + SIGNED, now) is same


@pytest.mark.parametrize("root", ["https://cdn.example", "https://cdn.example/"])
def test_what_a_host_serves_by_default_is_no_file(root: str) -> None:
    assert not same_file(root, root)


def test_text_that_no_bytes_stand_for_is_no_url() -> None:
    with pytest.raises(MediaRefused):
        checked("https://cdn.example/\ud800")


def test_a_relative_redirect_keeps_the_host() -> None:
    assert redirected("https://cdn.example/a/b?q=1", "../c?d=%2e") == "https://cdn.example/c?d=%2e"


@pytest.mark.parametrize(
    "error",
    [
        UrlExpired("the signature has run out"),
        MediaRefused("TOO_LARGE", "more"),
        MediaUnavailable("THROTTLED", "slowly", retry_after_s=60.0),
        StoreUnavailable("STORE_DOWN", "away", retry_after_s=2.5),
    ],
)
def test_errors_cross_processes(error: MediaError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_every_error_has_a_rule_and_a_code() -> None:
    rules = {
        name: getattr(errors, name).retry.name for name in dir(errors) if name.startswith(("Media", "Store", "Url"))
    }
    assert rules == {
        "MediaError": "BACKOFF",
        "MediaRefused": "NEVER",
        "MediaUnavailable": "BACKOFF",
        "StoreRefused": "BACKOFF",
        "StoreUnavailable": "HELD",
        "UrlExpired": "NEVER",
    }
    assert UrlExpired("x").code == errors.URL_EXPIRED
