"""The caller of the current gRPC call, set by the interceptor that authenticates it.

Every call runs in an asyncio task of its own, so no call sees another's caller.
"""

from __future__ import annotations

from contextvars import ContextVar

from server.auth.caller import Caller
from server.grpc_api.messages import Context

_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def set_caller(caller: Caller) -> None:
    _CALLER.set(caller)


def known_caller() -> Caller | None:
    """None before the caller is authenticated, and for services that need no key."""
    return _CALLER.get()


def current_caller(context: Context) -> Caller | str:
    """The caller; for services that need no key, the peer's address."""
    return _CALLER.get() or str(context.peer())
