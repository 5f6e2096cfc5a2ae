"""The stock `openai` client against a server over the fake engine: a row gets its own prompt back,
turned round by as many tokens as its version says; the base gives it back as it is.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pytest

from engine.port import Generate
from engine.testing.fake_engine import FakeEngine
from server.auth.key_file import create_key
from server.http_api.openai import chat, completions, embeddings
from server.main import Server
from tests.server.build import HeldEngine, http_client, publish, registry_of, running, until

HEAD = {"kind": "generate", "max_tokens": 200}
PLAIN = HEAD | {"format": "plain"}


@asynccontextmanager
async def client(
    directory: Path, engine: FakeEngine | None = None, **changes: Any
) -> AsyncIterator[tuple[openai.AsyncOpenAI, Server]]:
    """A server with a task that writes and one that embeds, and OpenAI's client to it."""
    async with running(directory, engine, **changes) as server:
        publish(registry_of(server), "draft", head=HEAD)
        publish(registry_of(server), "near", head={"kind": "embed"})
        async with (
            httpx2.AsyncClient(trust_env=False) as http,
            openai.AsyncOpenAI(
                api_key="none",
                http_client=http,
                max_retries=0,
                base_url=f"http://127.0.0.1:{server.ports.http}/v1",
            ) as api,
        ):
            yield api, server


def assert_all_given_back(server: Server) -> None:
    dispatch = server.parts.dispatch
    assert dispatch.slots.num_leases == 0
    assert dispatch.residency.num_leases == 0
    assert dispatch.generation_loop.sequences == []


# ---------------------------------------------------------------- completions


async def test_the_base_completes_by_its_own_name(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, server):
        answer = await api.completions.create(model="fake", prompt="naïve café", max_tokens=99)
        assert answer.object == "text_completion"
        assert answer.choices[0].text == "naïve café"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == 14
        assert answer.usage.completion_tokens == 14
        assert answer.usage.prompt_tokens_details is not None
        assert_all_given_back(server)


async def test_a_task_a_version_and_an_alias_are_models(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _server):
        texts = set()
        for model in ("draft", "draft@1", "draft@production"):
            answer = await api.completions.create(model=model, prompt="hello there", max_tokens=99)
            assert answer.model == model
            texts.add((answer.choices[0].text, answer.system_fingerprint))
        assert len(texts) == 1


async def test_many_prompts_and_texts_come_in_order(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _server):
        answer = await api.completions.create(model="fake", prompt=["abc", "xyz"], n=2)
        assert [c.index for c in answer.choices] == [0, 1, 2, 3]
        assert [c.text for c in answer.choices] == ["abc", "abc", "xyz", "xyz"]
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == 10  # each prompt once
        assert answer.usage.completion_tokens == 20


async def test_each_of_n_texts_has_a_seed_of_its_own(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with client(tmp_path, engine) as (api, _server):
        await api.completions.create(model="fake", prompt=["abc", "xyz"], n=2, seed=7)
        begun = [b for s in engine.steps if isinstance(s, Generate) for b in s.begin]
        assert [b.sampling.seed for b in begun] == [7, 8, 7, 8]
        assert {b.sampling.temperature for b in begun} == {1.0}
        assert {b.salt for b in begun} == {"default"}


@pytest.mark.survival("C8")
async def test_prompts_may_be_tokens(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, server):
        ids = server.parts.service.generate._tokenizer.ids("abc", special=False)
        one = await api.completions.create(model="fake", prompt=ids)
        two = await api.completions.create(model="fake", prompt=[ids, ids[:1]], echo=True)
        assert one.choices[0].text == "abc"
        assert [c.text for c in two.choices] == ["abcabc", "aa"]
        with pytest.raises(openai.UnprocessableEntityError, match="token 99999"):
            await api.completions.create(model="fake", prompt=[99999])


async def test_echo_puts_the_prompt_in_front_streamed_or_not(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _server):
        whole = await api.completions.create(model="fake", prompt="hello", echo=True)
        assert whole.choices[0].text == "hellohello"
        stream = await api.completions.create(model="fake", prompt="hello", echo=True, stream=True)
        assert "".join([c.choices[0].text async for c in stream]) == "hellohello"


async def test_a_completion_names_logprobs_and_where_tokens_begin(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _server):
        answer = await api.completions.create(model="fake", prompt="né", logprobs=1)
        found = answer.choices[0].logprobs
        assert found is not None
        assert found.tokens == ["[CLS]", "n", "bytes:\\xc3", "bytes:\\xa9", "[SEP]"]
        assert found.token_logprobs == [0.0] * 5
        assert found.text_offset == [0, 0, 1, 1, 2]
        assert found.top_logprobs is not None
        assert found.top_logprobs[1] == {"n": 0.0}


@pytest.mark.parametrize("stop", ["ll", ["zz", "lo th", "ll"]])
async def test_a_stop_string_ends_the_text_and_is_not_part_of_it(
    tmp_path: Path, stop: str | list[str]
) -> None:
    engine = FakeEngine()
    async with client(tmp_path, engine) as (api, server):
        answer = await api.completions.create(
            model="fake", prompt="hello there", stop=stop, max_tokens=99, logprobs=0
        )
        assert answer.choices[0].text == "he"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.choices[0].logprobs is not None
        assert answer.choices[0].logprobs.tokens == ["[CLS]", "h", "e"]
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 5
        assert not engine.writing.rows
        assert_all_given_back(server)


# ---------------------------------------------------------------- chat


async def test_a_conversation_goes_through_the_template(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _server):
        answer = await api.chat.completions.create(
            model="fake",
            messages=[
                {"role": "developer", "name": "shop", "content": "Be kind."},
                {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            ],
        )
        assert answer.object == "chat.completion"
        assert answer.choices[0].message.role == "assistant"
        assert answer.choices[0].message.content == "system: Be kind.\nuser: hi\nassistant: "
        assert answer.choices[0].finish_reason == "stop"


async def test_chat_logprobs_come_with_bytes(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _server):
        answer = await api.chat.completions.create(
            model="fake",
            messages=[{"role": "user", "content": "é"}],
            logprobs=True,
            top_logprobs=1,
            max_completion_tokens=8,
        )
        found = answer.choices[0].logprobs
        assert found is not None
        assert found.content is not None
        assert bytes(found.content[6].bytes or []) == b"\xc3"
        assert found.content[0].top_logprobs[0].token == "u"
        assert answer.choices[0].finish_reason == "length"


async def test_a_streamed_chat_begins_with_its_role_and_ends_alone(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, server):
        stream = await api.chat.completions.create(
            model="draft",
            messages=[{"role": "user", "content": "naïve"}],
            stream=True,
            n=2,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        assert len({(c.id, c.created, c.model, c.system_fingerprint) for c in chunks}) == 1
        assert {c.object for c in chunks} == {"chat.completion.chunk"}
        whole = await api.chat.completions.create(
            model="draft", messages=[{"role": "user", "content": "naïve"}]
        )
        for index in (0, 1):
            mine = [c.choices[0] for c in chunks[:-1] if c.choices[0].index == index]
            assert mine[0].delta.role == "assistant"
            assert mine[-1].finish_reason == "stop"
            assert mine[-1].delta.content is None
            assert "".join(c.delta.content or "" for c in mine) == whole.choices[0].message.content
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        assert whole.usage is not None
        assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
        assert chunks[-1].usage.completion_tokens == 2 * whole.usage.completion_tokens
        assert_all_given_back(server)


async def test_the_clients_own_stream_reader_puts_a_chat_together(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _server):
        async with api.chat.completions.stream(
            model="fake", messages=[{"role": "user", "content": "né"}], logprobs=True
        ) as stream:
            deltas = [event.delta async for event in stream if event.type == "content.delta"]
            final = await stream.get_final_completion()
        assert "".join(deltas) == final.choices[0].message.content == "user: né\nassistant: "
        assert final.choices[0].finish_reason == "stop"
        assert final.choices[0].logprobs is not None
        assert final.choices[0].logprobs.content is not None
        said = b"".join(bytes(token.bytes or []) for token in final.choices[0].logprobs.content)
        assert said.decode() == final.choices[0].message.content


async def test_the_wire_of_a_stream_is_events_and_done(tmp_path: Path) -> None:
    async with client(tmp_path) as (_api, server), http_client(server) as http:
        body = {"model": "fake", "prompt": "abc", "stream": True}
        answer = await http.post("/v1/completions", json=body)
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = answer.text.split("\n\n")
        assert events[-2:] == ["data: [DONE]", ""]
        assert all(event.startswith("data: ") for event in events[:-1])
        assert "usage" not in json.loads(events[0].removeprefix("data: "))


async def test_what_json_schema_asks_reaches_the_engine(tmp_path: Path) -> None:
    engine = FakeEngine()
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    forms: list[dict[str, Any]] = [
        {"response_format": {"type": "json_object"}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": schema},
            }
        },
        {"extra_body": {"guided_regex": "[ab]+"}},
        {"extra_body": {"guided_json": json.dumps(schema)}},
        {"extra_body": {"structured_outputs": {"choice": ["yes", "no"]}}},
    ]
    async with client(tmp_path, engine) as (api, _server):
        for form in forms:
            await api.chat.completions.create(
                model="fake", messages=[{"role": "user", "content": "hi"}], **form
            )
        begun = [b for s in engine.steps if isinstance(s, Generate) for b in s.begin]
        # two of them ask for the same in other words
        assert len({b.sampling.grammar for b in begun}) == len(forms) - 1
        assert all(b.sampling.grammar for b in begun)


async def test_sampling_by_vllms_names_reaches_the_engine(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with client(tmp_path, engine) as (api, _server):
        await api.completions.create(
            model="fake",
            prompt="abc",
            temperature=0.5,
            top_p=0.9,
            presence_penalty=0.1,
            frequency_penalty=0.2,
            logit_bias={"5": -100},
            user="me",
            extra_body={
                "top_k": -1,
                "min_p": 0.1,
                "repetition_penalty": 1.1,
                "ignore_eos": True,
                "stop_token_ids": [7],
            },
        )
        begun = next(b for s in engine.steps if isinstance(s, Generate) for b in s.begin)
        sampling = begun.sampling
        assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.5, 0.9, 0)
        assert (sampling.min_p, sampling.repetition_penalty) == (0.1, 1.1)
        assert (sampling.presence_penalty, sampling.frequency_penalty) == (0.1, 0.2)
        assert sampling.logit_bias == {5: -100.0}
        assert sampling.stop_ids == [7]
        assert sampling.ignore_eos
        assert begun.max_tokens == 16


# ---------------------------------------------------------------- embeddings and models


async def test_embeddings_come_as_floats_and_as_base64(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, server), http_client(server) as http:
        found = await api.embeddings.create(model="near", input=["a", "bc"])  # asks for base64
        assert [each.index for each in found.data] == [0, 1]
        assert found.usage.total_tokens == 7
        body = {"model": "near", "input": "bc"}
        plain = (await http.post("/v1/embeddings", json=body)).json()["data"][0]["embedding"]
        coded = (
            await http.post("/v1/embeddings", json=body | {"encoding_format": "base64"})
        ).json()
        decoded = np.frombuffer(base64.b64decode(coded["data"][0]["embedding"]), "<f4")
        assert np.allclose(plain, decoded)
        assert np.allclose(plain, found.data[1].embedding)


async def test_embeddings_may_be_shortened_and_read_tokens(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, server):
        short = await api.embeddings.create(model="near", input="bc", dimensions=3)
        assert len(short.data[0].embedding) == 3
        ids = server.parts.service.generate._tokenizer.ids("bc", special=True)
        text = await api.embeddings.create(model="near", input="bc")
        tokens = await api.embeddings.create(model="near", input=[ids])
        assert tokens.data[0].embedding == text.data[0].embedding


async def test_models_list_the_base_tasks_versions_and_aliases(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, server):
        publish(registry_of(server), "draft", seed=1, head=HEAD)
        ids = [model.id async for model in api.models.list()]
        assert ids[0] == "fake"
        assert set(ids[1:]) == {
            "draft", "draft@production", "draft@1", "draft@2",
            "near", "near@production", "near@1",
        }  # fmt: skip
        found = await api.models.retrieve("draft@2")
        assert found.model_dump()["parent"] == "fake"
        assert found.model_dump()["max_model_len"] == 128
        assert (await api.models.retrieve("fake")).model_dump()["parent"] is None


# ---------------------------------------------------------------- errors


BAD: list[tuple[dict[str, Any], type[openai.APIStatusError], str]] = [
    ({"model": "nobody"}, openai.NotFoundError, "model_not_found"),
    ({"model": "No Name"}, openai.NotFoundError, "model_not_found"),
    ({"model": "near"}, openai.BadRequestError, "the head generate produce text"),
    ({"prompt": {}}, openai.BadRequestError, "prompt must be"),
    ({"prompt": "x" * 500}, openai.BadRequestError, "context_length_exceeded"),
    ({"prompt": ""}, openai.BadRequestError, "empty"),
    ({"suffix": "x"}, openai.BadRequestError, "suffix"),
    ({"best_of": 3}, openai.BadRequestError, "best_of"),
    ({"echo": True, "logprobs": 1}, openai.BadRequestError, "echo"),
    ({"n": 0}, openai.BadRequestError, "n is 0"),
    ({"n": 2000}, openai.BadRequestError, "at most 1024"),
    ({"max_tokens": 0}, openai.BadRequestError, "max_tokens is 0"),
    ({"temperature": -1}, openai.BadRequestError, "temperature"),
    ({"top_p": 2}, openai.BadRequestError, "top_p"),
    ({"logprobs": 99}, openai.BadRequestError, "logprobs"),
    ({"logit_bias": {"x": 1}}, openai.BadRequestError, "logit_bias"),
    ({"logit_bias": {"99999": 1}}, openai.BadRequestError, "99999"),
    ({"stop": [""]}, openai.BadRequestError, "stop"),
    ({"extra_body": {"stop_token_ids": [99999]}}, openai.BadRequestError, "'stop_token_ids'"),
    ({"seed": 2**70}, openai.BadRequestError, "seed"),
    ({"seed": 10**400}, openai.BadRequestError, "seed"),
    ({"temperature": 10**400}, openai.BadRequestError, "temperature"),
    ({"prompt": [-1], "echo": True}, openai.UnprocessableEntityError, "token -1"),
    ({"prompt": [2**70], "echo": True}, openai.UnprocessableEntityError, "not in the base"),
    ({"stream_options": {"include_usage": True}}, openai.BadRequestError, "stream_options"),
    ({"extra_body": {"use_beam_search": True}}, openai.BadRequestError, "use_beam_search"),
    ({"extra_body": {"guided_regex": "a(b"}}, openai.BadRequestError, "grammar"),
    ({"extra_body": {"guided_regex": "a", "guided_choice": ["a"]}}, openai.BadRequestError, "one"),
]


@pytest.mark.survival("C5")
@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("changes", "error", "words"), BAD, ids=lambda v: str(v)[:40])
async def test_what_cannot_be_written_is_refused_by_status(
    tmp_path: Path,
    changes: dict[str, Any],
    error: type[openai.APIStatusError],
    words: str,
    streams: bool,
) -> None:
    if streams and "stream_options" in changes:
        return
    async with client(tmp_path) as (api, server):
        with pytest.raises(error) as caught:
            await api.completions.create(
                **{"model": "fake", "prompt": "abc", "stream": streams} | changes
            )
        assert words in f"{caught.value} {caught.value.body}"
        assert isinstance(caught.value.body, dict)
        assert set(caught.value.body) == {"message", "type", "param", "code"}
        assert_all_given_back(server)


BAD_CHATS: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages must be"),
    ({"messages": [{"role": "user", "content": "x", "tool_call_id": "y"}]}, "tool_call_id"),
    ({"messages": [{"role": "king", "content": "x"}]}, r"messages\[0\] has the role 'king'"),
    ({"messages": [{"role": "user", "content": "x", "name": 7}]}, r"messages\[0\].name must be"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "type text"),
    ({"tools": [{"type": "function", "function": {}}]}, r"tools\[0\] must be"),
    ({"tool_choice": "required"}, "only none and auto"),
    ({"functions": [{"name": "f"}]}, "functions is not read here; use tools"),
    ({"extra_body": {"chat_template_kwargs": [1]}}, "chat_template_kwargs must be"),
    ({"top_logprobs": 2}, "top_logprobs need logprobs"),
    ({"response_format": {"type": "xml"}}, "response_format"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {
        "name": "x", "schema": {"type": "nothing"}}}}, "grammar"),
    ({"verbosity": "low"}, "verbosity can only be 'medium'"),
    ({"extra_body": {"min_tokens": 3}}, "min_tokens can only be 0"),
    ({"extra_body": {"skip_special_tokens": False}}, "skip_special_tokens can only be True"),
    ({"temperature": 2.5}, "temperature is above 2"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), BAD_CHATS, ids=lambda v: str(v)[:40])
async def test_a_chat_that_cannot_be_answered_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    async with client(tmp_path) as (api, _server):
        messages = [{"role": "user", "content": "hi"}]
        with pytest.raises(openai.BadRequestError, match=words):
            await api.chat.completions.create(**{"model": "fake", "messages": messages} | changes)


async def test_a_plain_version_takes_no_conversation(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, server):
        publish(registry_of(server), "plain", head=PLAIN)
        with pytest.raises(openai.UnprocessableEntityError, match="plain text"):
            await api.chat.completions.create(
                model="plain", messages=[{"role": "user", "content": "hi"}]
            )


async def test_a_wrong_key_is_an_authentication_error(tmp_path: Path) -> None:
    keys_file = tmp_path / "keys.jsonl"
    key = create_key(keys_file, "acme", "use")[1]
    async with client(tmp_path / "data", keys_file=keys_file) as (api, _server):
        for call in (api.models.list, lambda: api.completions.create(model="fake", prompt="x")):
            with pytest.raises(openai.AuthenticationError) as caught:
                await call()
            assert caught.value.code == "invalid_api_key"
        known = api.with_options(api_key=key)
        assert (await known.completions.create(model="fake", prompt="x")).choices[0].text == "x"
        with pytest.raises(openai.NotFoundError):  # it is another tenant's
            await known.completions.create(model="draft", prompt="x")
        assert [model.id async for model in known.models.list()] == ["fake"]


async def test_a_full_queue_is_a_rate_limit_that_says_when_to_come_back(tmp_path: Path) -> None:
    engine = HeldEngine(holds=(Generate,))
    async with client(tmp_path, engine, max_queue_rows=1, max_batch_rows=1) as (api, server):
        running = asyncio.create_task(api.completions.create(model="draft", prompt="x"))
        await until(lambda: engine.held)
        waiting = asyncio.create_task(api.completions.create(model="draft", prompt="x"))
        await until(lambda: server.parts.dispatch.generation_queue.num_rows)
        with pytest.raises(openai.RateLimitError) as caught:
            await api.completions.create(model="draft", prompt="x")
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.response.headers["x-should-retry"] == "true"
        assert float(caught.value.response.headers["retry-after-ms"]) > 0
        engine.release_all()
        for call in (running, waiting):
            assert (await call).choices[0].finish_reason == "stop"


async def test_malformed_bodies_too_large_ones_and_unknown_paths_speak_openai(
    tmp_path: Path,
) -> None:
    async with client(tmp_path, max_body_bytes=2048) as (_api, server), http_client(server) as http:
        for path, content, status in (
            ("/v1/completions", b"{", 400),
            ("/v1/completions", b"[]", 400),
            ("/v1/chat/completions", b"x" * 4000, 413),
            ("/v1/chat/nothing", b"{}", 404),
            ("/v1/embeddings", b'{"model": "draft", "input": "x"}', 400),
            ("/v1/embeddings", b'{"model": "near", "input": [["x"]]}', 400),
        ):
            answer = await http.post(path, content=content)
            assert answer.status_code == status, answer.text
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_a_failure_after_the_first_piece_is_told_in_the_stream(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with client(tmp_path, engine) as (api, server):
        stream = await api.completions.create(
            model="fake", prompt="x" * 120, stream=True, max_tokens=120
        )
        await anext(stream)
        engine.die()
        engine.down = True
        with pytest.raises(openai.APIError, match="engine") as caught:
            async for _ in stream:
                pass
        assert caught.value.code == "engine_gone"
        await until(lambda: not server.parts.dispatch.generation_loop.sequences)
        assert_all_given_back(server)


ODD: list[Any] = [
    None, True, -1, 0, 1.5, 1e300, 10**30, "", "x", "\ud800", [], [[]], [1], ["x", 2], [None], {},
    {"type": "json_schema", "json_schema": {"schema": {"$ref": "#"}}}, {"x": {"y": []}},
    {"regex": "("}, {"choice": []}, {"json": "{"}, {"type": []}, [{"role": [], "content": {}}],
    [{"role": "user", "content": [{"type": "text", "text": 3}]}], "\u0000",
]  # fmt: skip
ROUTES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "/v1/completions": ({"model": "fake", "prompt": "abc"}, completions._KNOWN),
    "/v1/chat/completions": (
        {"model": "fake", "messages": [{"role": "user", "content": "hi"}]},
        chat._KNOWN,
    ),
    "/v1/embeddings": ({"model": "near", "input": "abc"}, embeddings._KNOWN),
}


@pytest.mark.survival("C5")
@pytest.mark.parametrize("path", ROUTES)
async def test_no_value_of_any_parameter_is_the_servers_own_fault(
    tmp_path: Path, path: str
) -> None:
    usual, known = ROUTES[path]
    async with client(tmp_path) as (_api, server), http_client(server) as http:
        for name in sorted(known | {"\ud800", "nothing"}):
            for value in ODD:
                content = json.dumps({**usual, name: value})
                answer = await http.post(path, content=content)
                assert answer.status_code in (200, 400, 404, 422), (name, value, answer.text)
        assert_all_given_back(server)
