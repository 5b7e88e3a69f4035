"""Large bodies on the disk: within a budget, in turn, and without a trace."""

from __future__ import annotations

import asyncio
import io
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from core.client import decode, sniff
from core.client.decode import Decoder
from core.client.errors import MediaRefused
from core.client.nameless import PIECE, NamelessFile
from core.client.spool import SMALL, Body, DiskBudget
from tests.sandbox.media.bodies import file_of


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_room_is_given_in_turn() -> None:
    budget = DiskBudget(10)
    await budget.take(6)
    order: list[int] = []

    async def want(size: int) -> None:
        await budget.take(size)
        order.append(size)

    tasks = [asyncio.create_task(want(size)) for size in (7, 2)]
    await settled()
    assert order == []  # 2 would fit, but whoever wants much must not wait for ever
    assert not budget.try_take(1)
    budget.give(6)
    await asyncio.gather(*tasks)
    assert (order, budget.taken) == ([7, 2], 9)
    last = asyncio.create_task(budget.take(10))
    await settled()
    budget.give(9)
    await asyncio.wait_for(last, 5)
    assert budget.taken == 10


async def test_who_is_cancelled_while_waiting_takes_nothing() -> None:
    budget = DiskBudget(10)
    await budget.take(10)
    first, second = asyncio.create_task(budget.take(5)), asyncio.create_task(budget.take(5))
    await settled()
    first.cancel()
    await settled()
    budget.give(10)
    await second
    assert budget.taken == 5
    third = asyncio.create_task(budget.take(10))
    await settled()
    budget.give(5)  # served, and cancelled before it could go on
    third.cancel()
    with pytest.raises(asyncio.CancelledError):
        await third
    assert budget.taken == 0


async def test_who_waits_behind_a_cancelled_one_is_served() -> None:
    budget = DiskBudget(10)
    await budget.take(5)
    large, small = asyncio.create_task(budget.take(8)), asyncio.create_task(budget.take(3))
    await settled()
    large.cancel()
    await small
    assert budget.taken == 8


async def test_a_body_goes_on_in_a_file_and_leaves_nothing(tmp_path: Path) -> None:
    budget, body = DiskBudget(4 * SMALL), Body()
    assert budget.try_take(2 * SMALL)
    body.hold(budget, 2 * SMALL)
    data = bytes(range(256)) * 8192
    await body.write(data[:1000])
    body.spill(tmp_path)
    for at in range(1000, len(data), 100_000):
        await body.write(data[at : at + 100_000])
    await body.flush()
    assert body.memory is None
    assert body.open().read() == data
    assert body.open(5, 10).read() == data[5:15]
    whole, tail = body.open(), body.open(len(data) - 3, 100)
    assert (whole.read(4), tail.read(), whole.read(4)) == (data[:4], data[-3:], data[4:8])
    assert list(tmp_path.iterdir()) == []  # a kill leaves nothing either
    body.close()
    body.close()
    assert budget.taken == 0
    with pytest.raises(ValueError, match="closed"):
        whole.read(1)


def picture(size: tuple[int, int], form: str = "PNG") -> io.BytesIO:
    file = io.BytesIO()
    Image.new("1", size).save(file, form)
    return file


async def test_a_part_of_a_file_is_read_as_a_file_and_in_pieces(tmp_path: Path) -> None:
    content = bytes(range(256)) * 6000
    body = Body()
    body.spill(tmp_path)
    await body.write(content)
    await body.flush()
    part, told = body.pieces(1000, PIECE + 2000), content[1000 : PIECE + 3000]

    assert len(part) == len(told)
    assert part.read(10) + part.read() == told
    assert (part.tell(), part.read(1)) == (len(told), b"")
    assert [part.seek(5), part.read(3), part.tell()] == [5, told[5:8], 8]
    assert [part.seek(-4, io.SEEK_CUR), part.seek(-3, io.SEEK_END), part.read(), part.seek(-1)] == [
        4, len(told) - 3, told[-3:], 0,
    ]  # fmt: skip
    part.seek(7)
    assert b"".join([piece async for piece in part]) == told
    assert part.tell() == 7

    body.close()
    with pytest.raises(ValueError, match="closed"):
        part.read(1)


def test_any_number_of_pieces_is_written(tmp_path: Path) -> None:
    """The kernel takes 1024 at a time."""
    file = NamelessFile(tmp_path)
    pieces = [b"%d," % number for number in range(3000)]
    file.append(pieces)
    assert file.read(1 << 20, 0) == b"".join(pieces)
    file.close()


async def test_pictures_are_decoded(tmp_path: Path) -> None:
    decoder = Decoder()
    for form in ("jpg", "png", "webp", "gif"):
        body = file_of("a", form)
        kind = sniff.sniff(body)
        assert kind is not None
        await decoder.check(partial(io.BytesIO, body), kind)
        broken = body[: len(body) // 2]
        with pytest.raises(MediaRefused, match="NOT_DECODABLE"):
            await decoder.check(partial(io.BytesIO, broken), kind)
    await decoder.check(io.BytesIO, sniff.HEIC)
    decoder.close()


async def test_a_picture_of_too_many_pixels_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = picture((20_000, 20_000))
    assert len(bomb.getvalue()) < SMALL
    decoder = Decoder()
    with pytest.raises(MediaRefused, match="NOT_DECODABLE"):
        await decoder.check(lambda: bomb, sniff.PNG)
    monkeypatch.setattr(decode, "MAX_PIXELS", 99)
    cut = picture((10, 10)).getvalue()[:-20]
    with pytest.raises(MediaRefused, match="more than 99 pixels"):
        await decoder.check(partial(io.BytesIO, cut), sniff.PNG)
    monkeypatch.setattr(decode, "MAX_PIXELS", 100)
    with pytest.raises(MediaRefused, match="cannot be decoded"):
        await decoder.check(partial(io.BytesIO, cut), sniff.PNG)
    decoder.close()
