"""Whether a request comes from a page of this server, or from no page at all."""

from fastapi import Request
from starlette.exceptions import HTTPException


def same_origin(request: Request) -> None:
    """Nothing, unless a page of somebody else's made a browser ask for a change, perhaps with the key that it holds.

    Browsers say so in Sec-Fetch-Site, and over plain HTTP in Origin, which must be this server's Host then; programs
    send neither.

    Raises:
        HTTPException: 403, such a page did.
    """
    if request.method in ("GET", "HEAD"):
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    host = request.headers.get("host", "")
    own = site == "same-origin" if site else origin in (None, f"http://{host}", f"https://{host}")
    if not own:
        raise HTTPException(
            403, "Origin: a page of another site has sent this: send it from a program, or from /ops on this server"
        )
