"""Texts by task, or by the base itself: resolve, read the prompts, hold the weights, let the rows
write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import structs

from adapters_registry.errors import BadName, NotFound
from adapters_registry.values import Version
from engine.grammar import Grammars
from engine.heads.generate import GenerateHead
from engine.port import EngineInfo
from engine.tokenizer import Tokenizer
from server.dispatch.draft import Draft
from server.dispatch.entry import Entry, RowTokens
from server.dispatch.leases import Leases
from server.dispatch.waiting_room import WaitingRoom
from server.dispatch.writer import Writer
from server.errors import BadCall, TooManyInputs
from server.limits import CallLimits
from server.service.prompts import PromptReader
from server.service.script import Script, Send
from server.service.together import Together
from server.service.token_texts import TokenTexts
from server.service.tokens import Outputs, TextRow
from server.service.values import Caller, Parameters, RowError
from server.service.wanted import Wanted, check_wanted
from server.service.writing_call import WritingCall
