"""Schemas of answers that routes encode themselves: outputs by head, and OpenAI's objects."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_WHOLE = {"type": "integer"}


def _object(description: str, optional: tuple[str, ...] = (), /, **fields: Any) -> dict[str, Any]:
    required = [name for name in fields if name not in optional]
    schema = {"type": "object", "description": description, "properties": fields}
    return {**schema, "required": required} if required else schema


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _of(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _says(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "description": description}


_SPAN = {"start": _WHOLE, "end": _WHOLE}
_TOKENS = {"prompt_tokens": _WHOLE, "completion_tokens": _WHOLE, "total_tokens": _WHOLE}
_FINISH = {
    "type": ["string", "null"],
    "enum": ["stop", "length", None],
    "description": "why the text ended; null in a stream while it goes on",
}

#: one output of a predict call, by the head of the task; an input that failed has an error
OUTPUTS: dict[str, dict[str, Any]] = {
    "ClassifyOutput": _object(
        "head `classify`",
        ("labels",),
        label=_says("the most likely label", _TEXT),
        score=_says("its probability", _NUMBER),
        scores=_says(
            "the probability of every label; with the parameter `raw_scores` its logit",
            {"type": "object"},
        ),
        labels=_says("of a multi-label task: the labels over the threshold", _list(_TEXT)),
    ),
    "RegressOutput": _object("head `regress`", value=_NUMBER),
    "TagOutput": _object(
        "head `tag`",
        entities=_list(
            _object("an entity of the text", label=_TEXT, text=_TEXT, score=_NUMBER, **_SPAN)
        ),
    ),
    "SpanOutput": _object(
        "head `span`; the text is empty if the context has no answer",
        text=_TEXT,
        score=_NUMBER,
        **_SPAN,
    ),
    "EmbedOutput": _object("head `embed`", embedding=_list(_NUMBER)),
    "RerankOutput": _object("head `rerank`", score=_NUMBER),
    "GenerateOutput": _object(
        "head `generate`; `value` only of a version that was trained on numbers",
        ("finish_reason", "usage", "value"),
        text=_TEXT,
        finish_reason=_FINISH,
        usage={"type": "object"},
        value={"type": ["number", "null"]},
    ),
    "RowError": _object(
        "this input failed; the others are still answered",
        error=_object("stable code and sentence", code=_TEXT, message=_TEXT),
    ),
}

_MESSAGE = _object(
    "the answer", ("refusal",), role=_TEXT, content=_TEXT, refusal={"type": ["string", "null"]}
)
#: OpenAI's objects, as far as they are filled here
OPENAI: dict[str, dict[str, Any]] = {
    "TokenUsage": _object("tokens of the call", ("completion_tokens",), **_TOKENS),
    "ChatCompletion": _object(
        "a whole answer; in a stream, chunks with `delta` instead of `message`",
        ("system_fingerprint",),
        id=_TEXT,
        object={"type": "string", "const": "chat.completion"},
        created=_says("seconds since 1970", _WHOLE),
        model=_says("the ref of the call", _TEXT),
        system_fingerprint=_says("a prefix of the version's digest", {"type": ["string", "null"]}),
        choices=_list(
            _object(
                "a text", ("logprobs",),
                index=_WHOLE, message=_MESSAGE, logprobs={"type": ["object", "null"]},
                finish_reason=_FINISH,
            )
        ),
        usage=_of("TokenUsage"),
    ),
    "Completion": _object(
        "a whole completion; a stream has chunks of the same shape",
        ("system_fingerprint",),
        id=_TEXT,
        object={"type": "string", "const": "text_completion"},
        created=_says("seconds since 1970", _WHOLE),
        model=_says("the ref of the call", _TEXT),
        system_fingerprint=_says("a prefix of the version's digest", {"type": ["string", "null"]}),
        choices=_list(
            _object(
                "a text", ("logprobs",),
                index=_WHOLE, text=_TEXT, logprobs={"type": ["object", "null"]},
                finish_reason=_FINISH,
            )
        ),
        usage=_of("TokenUsage"),
    ),
    "EmbeddingList": _object(
        "one embedding per input, in order",
        object={"type": "string", "const": "list"},
        data=_list(
            _object(
                "an embedding",
                object={"type": "string", "const": "embedding"},
                index=_WHOLE,
                embedding=_says(
                    "numbers, or with `encoding_format: base64` their float32 bytes",
                    {"anyOf": [_list(_NUMBER), _TEXT]},
                ),
            )
        ),
        model=_says("the ref of the call", _TEXT),
        usage=_of("TokenUsage"),
    ),
    "Model": _object(
        "a value of `model`: the base, or a task, version or alias",
        id=_says("the base's id, or a ref", _TEXT),
        object={"type": "string", "const": "model"},
        created=_says("seconds since 1970", _WHOLE),
        owned_by=_TEXT,
        root=_says("the digest of the version", {"type": ["string", "null"]}),
        parent=_says("the base; null for the base itself", {"type": ["string", "null"]}),
        max_model_len=_WHOLE,
    ),
    "ModelList": _object(
        "all of them", object={"type": "string", "const": "list"}, data=_list(_of("Model"))
    ),
}  # fmt: skip

#: the answer of a route, by the name of its schema
ANSWERS = {
    "POST /v1/chat/completions": "ChatCompletion",
    "POST /v1/completions": "Completion",
    "POST /v1/embeddings": "EmbeddingList",
    "GET /v1/models": "ModelList",
    "GET /v1/models/{ref:path}": "Model",
}
