"""Whose call a gRPC call is, from the interceptor that knows to whatever runs within the call.

Every call runs in an asyncio task of its own, so that no call sees another's caller.
"""

from __future__ import annotations

from contextvars import ContextVar

from server.auth.caller import Caller
from server.grpc_api.messages import Context

_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def set_caller(caller: Caller) -> None:
    _CALLER.set(caller)


def known_caller() -> Caller | None:
    """None until the caller is authenticated, and for services that ask for no key."""
    return _CALLER.get()


def current_caller(context: Context) -> Caller | str:
    """The caller, or for services that ask for no key the peer's address."""
    return _CALLER.get() or str(context.peer())
