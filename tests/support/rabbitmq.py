"""One vhost a pytest session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support.names import is_abandoned, session_name
from tests.support.stack import control_broker, is_private, with_path

# Evaluated inside the node: each run of rabbitmqctl costs most of a second.
ADD = (
    'rabbit_vhost:add(<<"{0}">>, <<"tests">>), '
    'rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"{0}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>), '
    'binary_to_list(iolist_to_binary(lists:join(" ", rabbit_vhost:list_names()))).'
)
DELETE = 'catch rabbit_vhost:delete(<<"{0}">>, <<"tests">>)'


@contextmanager
def own_vhost(environment: Mapping[str, str]) -> Iterator[str]:
    """URL of a fresh vhost of the private broker; of a foreign one, whose commands are out of reach, its own URL."""
    url = environment["RMQ_URL"]
    if not is_private(environment):
        yield url
        return
    vhost = session_name()
    known = control_broker("eval", ADD.format(vhost)).strip().strip('"').split()
    try:
        yield with_path(url, vhost)
    finally:
        doomed = [vhost, *filter(is_abandoned, known)]
        control_broker("eval", ",".join(DELETE.format(name) for name in doomed) + ".")
