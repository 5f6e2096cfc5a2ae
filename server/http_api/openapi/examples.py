"""Requests and answers as they look for a small task, which the page shows and tries."""

from __future__ import annotations

from typing import Any

_DIGEST = "9c8e0f2a71d4b6c3559e0f1d2a7b4c6e8f90123456789abcdef0123456789abc"
_TIMING = {"tokenize_ms": 0.2, "queue_ms": 0.4, "compute_ms": 6.1, "total_ms": 6.9}
_GLAD = {"label": "positive", "score": 0.97, "scores": {"negative": 0.03, "positive": 0.97}}
_ANSWER = {"task": "sentiment", "version": 1, "digest": _DIGEST, "outputs": [_GLAD]}
_MESSAGES = [{"role": "user", "content": "Where is my order?"}]
_USAGE = {"prompt_tokens": 21, "completion_tokens": 8, "total_tokens": 29}
_ALIAS = {"task": "sentiment", "alias": "production", "version": 2, "digest": _DIGEST}
_CREATED = 1_790_000_000
_REPLY = "It is on its way to you."
_FILE = {
    "id": "file-3c51e2d44cd94a0e8f5ad0a3a4f0d6c1",
    "object": "file",
    "bytes": 134829,
    "created_at": _CREATED,
    "filename": "sentiment.jsonl",
    "purpose": "fine-tune",
    "status": "processed",
    "sha256": "9f2b1c0d4e5a6b7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e",
    "name": "reviews",
}
_JOB = {
    "id": "job-5e83a4b4c3a74d5e8a0f1c2b3d4e5f60",
    "task": "sentiment",
    "status": "queued",
    "phase": "waiting",
    "progress": 0.0,
    "eta_s": None,
    "created_at": float(_CREATED),
    "finished_at": None,
    "version": None,
    "digest": None,
    "result": {},
    "error_code": None,
    "error_message": None,
    "revision": 1,
    "ended": False,
    "spec": {"task": "sentiment", "file_id": _FILE["id"], "head": "classify"},
}

#: the body of a call
REQUESTS: dict[str, Any] = {
    "POST /v1/tasks/{ref}/predict": {"inputs": ["what a day"], "parameters": {"truncate": True}},
    "POST /v1/predict": {"input": "what a day", "tasks": ["sentiment", "topic@7"]},
    "POST /v1/chat/completions": {"model": "reply", "messages": _MESSAGES, "max_tokens": 40},
    "POST /v1/completions": {"model": "base", "prompt": "Once upon a time", "max_tokens": 16},
    "POST /v1/embeddings": {"model": "base", "input": ["what a day"]},
    "POST /v1/jobs": {
        "task": "sentiment",
        "file_id": _FILE["id"],
        "head": "classify",
        "settings": {"preset": "fast"},
    },
    "POST /v1/fine_tuning/jobs": {
        "model": "base",
        "training_file": _FILE["id"],
        "method": {"type": "adapter", "adapter": {"task": "sentiment", "head": "classify"}},
    },
    "PUT /v1/tasks/{task}/aliases/{alias}": {"version": 2, "expected_version": 1},
}
#: what is answered to it
ANSWERS: dict[str, Any] = {
    "POST /v1/tasks/{ref}/predict": {**_ANSWER, "timing": _TIMING},
    "POST /v1/predict": {
        "results": [_ANSWER, {**_ANSWER, "task": "topic", "version": 7}],
        "timing": _TIMING,
    },
    "POST /v1/chat/completions": {
        "id": "chatcmpl-3f2a",
        "object": "chat.completion",
        "created": _CREATED,
        "model": "reply",
        "system_fingerprint": _DIGEST[:16],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": _REPLY, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": _USAGE,
    },
    "POST /v1/completions": {
        "id": "cmpl-3f2a",
        "object": "text_completion",
        "created": _CREATED,
        "model": "base",
        "system_fingerprint": _DIGEST[:16],
        "choices": [
            {"index": 0, "text": ", far away", "logprobs": None, "finish_reason": "length"}
        ],
        "usage": _USAGE,
    },
    "POST /v1/embeddings": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.021, -0.083, 0.117]}],
        "model": "base",
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    },
    "POST /v1/jobs": _JOB,
    "GET /v1/jobs/{job_id}": {**_JOB, "status": "running", "phase": "training", "progress": 0.4},
    "POST /v1/files": _FILE,
    "DELETE /v1/files/{file_id}": {"id": _FILE["id"], "object": "file", "deleted": True},
    "DELETE /v1/tenant": {
        "tenant": "acme",
        "files": [],
        "versions": ["sentiment@1", "sentiment@2"],
        "aliases": [],
        "jobs": [_JOB["id"]],
        "num_stored_files": 5,
        "num_rows_left": 0,
    },
    "PUT /v1/tasks/{task}/aliases/{alias}": _ALIAS,
    "GET /v1/tasks": {
        "tasks": [
            {
                "task": "sentiment",
                "head": "classify",
                "latest_version": 2,
                "aliases": {"production": 2},
                "created_at": float(_CREATED),
            }
        ],
        "has_more": False,
    },
}
