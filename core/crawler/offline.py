"""An answer that is at hand, read exactly as the crawler reads one that it has just been given."""

from __future__ import annotations

from typing import Any

from core.crawler.call import as_provider_error
from core.crawler.provider import Asked, Payload, Provider
from utils.request import Response
from utils.times import utc_now


def read_answer(provider: type[Provider], function: str, asked: Asked, *, body: bytes, status: int = 200) -> Any:
    """What the source's parser of ``function`` makes of a body; without an ``asked`` nothing is checked against it.

    Raises:
        ProviderError: whatever the answer means; Malformed too when the parser stumbled over it.
    """
    try:
        data = provider.decode(Response(status=status, headers={}, body=body, url="", elapsed_s=0.0), function)
        return provider.parsers[function](Payload(provider.source, function, asked, data, utc_now()))
    except Exception as error:
        failure = as_provider_error(error, "read")
        if failure is error:
            raise
        raise failure from error
