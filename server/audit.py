"""Logs calls: each change, each download, each refused caller, and failures for the operator.

Knows no transport.
"""

from __future__ import annotations

import logging

from server.auth.caller import Caller
from server.error_table import INTERNAL, Fault

_log = logging.getLogger(__name__)
_REFUSALS = (401, 403)


def note(action: str, sentence: str, caller: Caller, **facts: object) -> None:
    """Logs an action that was done for a caller."""
    _log.info(sentence, extra={"action": action, **_who(caller), **facts})


def note_fault(
    error: BaseException, fault: Fault, *, method: str, request_id: str, caller: Caller | None
) -> None:
    """Logs a call that failed. An error of the caller is reported to the caller only, and only an
    error of the server is logged with its traceback.
    """
    who = _who(caller) if caller is not None else {"request_id": request_id}
    facts = {"method": method, "code": fault.code, **who}
    if fault.outside.http in _REFUSALS:
        _log.warning("a call was refused", extra={"action": "call.refused", **facts})
    elif fault.outside is INTERNAL:
        _log.error("a call failed", exc_info=error, extra={"action": "call.failed", **facts})
    elif not fault.outside.public:
        extra = {"action": "call.failed", "reason": str(error), **facts}
        _log.warning("a call could not be served", extra=extra)


def _who(caller: Caller) -> dict[str, str]:
    return {"tenant": caller.tenant, "key": caller.key_id, "request_id": caller.request_id}
