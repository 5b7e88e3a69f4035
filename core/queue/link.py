"""The socket between a supervisor and one child: short messages, and EOF when the other end dies."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

MAX_MESSAGE = 16384


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends. Neither is inherited by programs that either process may start."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Link:
    """One end, read by callbacks of the running loop. Sending never blocks: what may not get lost, its sender keeps."""

    def __init__(self, end: socket.socket, on_words: Callable[[list[str]], None], on_end: Callable[[], None]) -> None:
        self._end = end
        self._on_words = on_words
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        end.setblocking(False)
        self._loop.add_reader(end.fileno(), self._read)

    def tell(self, *words: str) -> bool:
        """Send one message; False when it could not be sent now."""
        try:
            self._end.send(" ".join(words).encode())
        except (BlockingIOError, InterruptedError, OSError):
            return False
        return True

    @property
    def closed(self) -> bool:
        """Whether nothing more can be sent."""
        return self._end.fileno() == -1

    def close(self) -> None:
        """Stop reading and close this end; a second call does nothing."""
        if not self.closed:
            self._loop.remove_reader(self._end.fileno())
            self._end.close()

    def _read(self) -> None:
        """One message; the loop calls again while there are more."""
        try:
            message = self._end.recv(MAX_MESSAGE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            message = b""
        if message:
            self._on_words(message.decode().split(" "))
        else:
            self.close()
            self._on_end()
