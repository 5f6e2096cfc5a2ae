"""Tasks that write, end to end over both transports, with the fake engine: a row gets its own
prompt back, turned round by as many tokens as its version says.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from adapterd.v1 import predictor_pb2
from engine.port import FreeSequences, Generate, Predict
from engine.testing.fake_engine import FakeEngine
from server.main import Server
from tests.server.build import (
    HeldEngine,
    grpc_client,
    http_client,
    publish,
    registry_of,
    running,
    until,
)

PLAIN = {"kind": "generate", "format": "plain", "max_tokens": 200}
CHAT = {"kind": "generate", "max_tokens": 200}


async def post(server: Server, ref: str, *inputs: Any, **parameters: Any) -> dict[str, Any]:
    async with http_client(server) as http:
        body = {"inputs": list(inputs), "parameters": parameters}
        answer = await http.post(f"/v1/tasks/{ref}/predict", json=body)
        return dict(answer.json())


def assert_all_given_back(server: Server) -> None:
    dispatch = server.parts.dispatch
    assert dispatch.slots.num_leases == 0
    assert dispatch.residency.num_leases == 0
    assert dispatch.generation_loop.running_labels == set()


async def test_both_transports_give_the_same_text(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        version = publish(registry_of(server), "draft", head=PLAIN)
        ours = await rpc.predict("draft", "hello there", "naïve café")
        theirs = await post(server, "draft", "hello there", "naïve café")
        assert ours.digest == theirs["digest"] == version.digest
        for mine, output in zip(ours.outputs, theirs["outputs"], strict=True):
            assert sorted(output["text"]) == sorted(mine.text.text)
            assert mine.text.text == output["text"]
            assert mine.text.finish_reason == output["finish_reason"] == "stop"
            assert output["usage"] == {
                "prompt_tokens": mine.text.usage.prompt_tokens,
                "completion_tokens": mine.text.usage.completion_tokens,
                "cached_tokens": 0,
            }
        assert sorted(theirs["outputs"][0]["text"]) == sorted("hello there")
        assert_all_given_back(server)


async def test_versions_write_differently_and_side_by_side(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        for seed in range(4):
            publish(registry_of(server), f"task{seed}", seed=seed, head=PLAIN)
        alone = [(await post(server, f"task{n}", "abcdefgh"))["outputs"] for n in range(4)]
        calls = [post(server, f"task{n}", "abcdefgh") for n in range(4)]
        together = [answer["outputs"] for answer in await asyncio.gather(*calls)]
        assert together == alone
        assert len({outputs[0]["text"] for outputs in alone}) > 1
        assert_all_given_back(server)


async def test_a_call_may_ask_for_less_but_not_for_more_than_the_version_writes(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "draft", head=PLAIN | {"max_tokens": 5})
        for asked, given in ((2, 2), (9, 5)):
            output = (await post(server, "draft", "hello there", max_tokens=asked))["outputs"][0]
            assert output["finish_reason"] == "length"
            assert output["usage"]["completion_tokens"] == given


@pytest.mark.parametrize(
    ("parameters", "words"),
    [({"max_tokens": 0}, "1 or more"), ({"max_tokens": "9"}, "whole number")],
)
async def test_a_senseless_max_tokens_is_refused(
    tmp_path: Path, parameters: dict[str, Any], words: str
) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "draft", head=PLAIN)
        assert words in (await post(server, "draft", "hello", **parameters))["detail"]


async def test_max_tokens_without_effect_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "mood")
        assert "max_tokens" in (await post(server, "mood", "hello", max_tokens=3))["detail"]


async def test_messages_come_through_the_chat_template_over_both_transports(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "chat", head=CHAT)
        turns = [{"role": "user", "content": "hi"}]
        output = (await post(server, "chat", {"messages": turns}))["outputs"][0]
        assert sorted(output["text"]) == sorted("user: hi\nassistant: ")
        assert (await post(server, "chat", "hi"))["outputs"][0] == output
        request = predictor_pb2.PredictRequest(
            task_id="chat",
            inputs=[
                predictor_pb2.Input(
                    messages=predictor_pb2.Messages(
                        messages=[predictor_pb2.Message(role="user", content="hi")]
                    )
                )
            ],
        )
        assert (await rpc.predictor.Predict(request)).outputs[0].text.text == output["text"]


async def test_a_version_may_bring_instruction_and_examples(tmp_path: Path) -> None:
    prompt = {"instruction": "Say it.", "examples": [{"input": "a", "output": "b"}]}
    async with running(tmp_path) as server:
        publish(registry_of(server), "chat", head=CHAT | {"prompt": prompt})
        publish(registry_of(server), "plain", head=PLAIN | {"prompt": prompt})
        chat = (await post(server, "chat", "hi"))["outputs"][0]["text"]
        plain = (await post(server, "plain", "hi"))["outputs"][0]["text"]
        asked = "system: Say it.\nuser: a\nassistant: b\nuser: hi\nassistant: "
        assert sorted(chat) == sorted(asked)
        assert sorted(plain) == sorted("Say it.\n\na\nb\n\nhi\n")


async def test_a_number_is_read_out_of_the_text_and_other_text_has_none(tmp_path: Path) -> None:
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        publish(registry_of(server), "score", head=PLAIN | {"parse": "number"})
        outputs = (await post(server, "score", "77", "seven"))["outputs"]
        assert [output["value"] for output in outputs] == [77.0, None]
        first, second = (await rpc.predict("score", "77", "seven")).outputs
        assert first.text.value == 77.0
        assert not second.text.HasField("value")


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"messages": []}, "not_messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "not_messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "not_messages"),
        ({"messages": [{"role": "user", "content": "a", "mood": "x"}]}, "not_messages"),
        ({"messages": [{"role": "user", "content": "a"}] * 200}, "input_too_long"),
        ({"text": "a", "text_pair": "b"}, "not_messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "empty_input"),
        ("x" * 500, "input_too_long"),
    ],
)
async def test_an_input_no_prompt_can_be_made_of_fails_alone(
    tmp_path: Path, item: object, code: str
) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "chat", head=CHAT)
        outputs = (await post(server, "chat", item, "hello"))["outputs"]
        assert outputs[0]["error"]["code"] == code
        assert "text" in outputs[1]


async def test_a_plain_version_takes_no_conversation(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "draft", head=PLAIN)
        turns = [{"role": "user", "content": "hi"}]
        output = (await post(server, "draft", {"messages": turns}))["outputs"][0]
        assert output["error"]["code"] == "bad_row"


async def test_other_rows_are_answered_between_two_tokens(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as server:
        publish(registry_of(server), "draft", head=PLAIN)
        publish(registry_of(server), "mood")
        writing = asyncio.create_task(post(server, "draft", "x" * 120))
        await until(lambda: any(isinstance(step, Generate) for step in engine.steps))
        await post(server, "mood", "a good day")
        kinds = [type(s) for s in engine.steps if isinstance(s, Generate | Predict)]
        assert (await writing)["outputs"][0]["usage"]["completion_tokens"] == 122
        first = kinds.index(Predict)
        assert kinds[:first].count(Generate) > 0
        after = [type(s) for s in engine.steps if isinstance(s, Generate | Predict)]
        assert after.count(Generate) > kinds[:first].count(Generate)
        assert_all_given_back(server)


async def test_a_caller_who_hangs_up_takes_its_rows_along(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as server:
        publish(registry_of(server), "draft", head=PLAIN)
        writing = asyncio.create_task(post(server, "draft", "x" * 120))
        await until(lambda: any(isinstance(step, Generate) for step in engine.steps))
        writing.cancel()
        await until(lambda: any(isinstance(step, FreeSequences) for step in engine.steps))
        await until(lambda: not engine.writing.rows)
        assert_all_given_back(server)


async def test_an_engine_that_dies_gives_a_retryable_error_and_writes_again_after(
    tmp_path: Path,
) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as server:
        publish(registry_of(server), "draft", head=PLAIN)
        writing = asyncio.create_task(post(server, "draft", "x" * 120))
        await until(lambda: any(isinstance(step, Generate) for step in engine.steps))
        engine.die()
        assert (await writing).get("code") == "engine_gone" or "outputs" in await writing
        assert (await post(server, "draft", "hello"))["outputs"][0]["finish_reason"] == "stop"
        assert_all_given_back(server)


async def test_one_text_may_be_sorted_and_answered_in_one_call(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as server, http_client(server) as http:
        publish(registry_of(server), "draft", head=PLAIN)
        publish(registry_of(server), "mood")
        body = {"input": "a good day", "tasks": ["draft", "mood"]}
        answer = (await http.post("/v1/predict", json=body)).json()
        draft, mood = answer["results"]
        assert draft["outputs"] == (await post(server, "draft", "a good day"))["outputs"]
        assert mood["outputs"] == (await post(server, "mood", "a good day"))["outputs"]
        kinds = [type(s) for s in engine.steps if isinstance(s, Generate | Predict)]
        assert kinds.index(Predict) < len(kinds) - 1 - kinds[::-1].index(Generate)
        assert_all_given_back(server)


async def test_a_full_room_keeps_only_its_own_rows_out(tmp_path: Path) -> None:
    engine = HeldEngine(holds=(Generate, Predict))
    limits = {"max_queue_rows": 1, "max_batch_rows": 1, "ahead_tokens": 10_000}
    async with running(tmp_path, engine, **limits) as server:
        publish(registry_of(server), "mood")
        publish(registry_of(server), "draft", head=PLAIN)
        dispatch, calls = server.parts.dispatch, []
        for task, queue in (("mood", dispatch.queue), ("draft", dispatch.generation_queue)):
            num_held = len(engine.held)
            calls.append(asyncio.create_task(post(server, task, "x")))
            await until(lambda num_held=num_held: len(engine.held) > num_held)
            calls.append(asyncio.create_task(post(server, task, "x")))
            await until(lambda queue=queue: queue.num_rows)
            assert (await post(server, task, "x"))["code"] == "overloaded"
        engine.release_all()
        assert all("outputs" in answer for answer in await asyncio.gather(*calls))


async def test_a_call_of_many_tasks_is_kept_out_by_the_rooms_it_would_wait_in(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        publish(registry_of(server), "draft", head=PLAIN)
        server.parts.dispatch.generation_queue.close()
        answers = [
            await http.post("/v1/predict", json={"tasks": tasks, "inputs": ["x"]})
            for tasks in (["mood", "draft"], ["mood", "nothing"])
        ]
        assert [answer.status_code for answer in answers] == [503, 200]


# ---------------------------------------------------------------- pieces


async def test_pieces_put_together_are_the_whole_text_whatever_ends_it(tmp_path: Path) -> None:
    random = Random(7)
    async with running(tmp_path) as server, grpc_client(server) as rpc:
        for seed in range(3):
            publish(registry_of(server), f"draft{seed}", seed=seed, head=PLAIN)
        for number in range(40):
            texts = ["".join(random.choices("aé€😀 ", k=random.randint(1, 20))) for _ in "ab"]
            stop = ["".join(random.choices("aé€😀 ", k=random.randint(1, 3))) for _ in range(2)]
            request = predictor_pb2.PredictRequest(
                task_id=f"draft{number % 3}",
                inputs=[predictor_pb2.Input(text=f"x{text}") for text in texts],
            )
            request.parameters.update({"stop": stop, "max_tokens": random.randint(1, 80)})
            whole = (await rpc.predictor.Predict(request)).outputs
            told = ["", ""]
            async for piece in rpc.predictor.PredictStream(request):
                told[piece.input] += piece.text
                if piece.finish_reason:
                    assert piece.finish_reason == whole[piece.input].text.finish_reason
                    assert piece.usage == whole[piece.input].text.usage
            assert told == [output.text.text for output in whole]
        assert_all_given_back(server)


async def test_a_stop_string_ends_the_row_in_the_engine_within_a_step(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with running(tmp_path, engine) as server:
        publish(registry_of(server), "draft", head=PLAIN)
        whole = (await post(server, "draft", "abcdefgh"))["outputs"][0]["text"]
        engine.steps.clear()
        output = (await post(server, "draft", "abcdefgh", stop=whole[2]))["outputs"][0]
        assert output["text"] == whole[:2]
        assert output["finish_reason"] == "stop"
        kinds = [type(step) for step in engine.steps if isinstance(step, Generate | FreeSequences)]
        assert kinds[-1] is FreeSequences
        assert kinds.count(Generate) == output["usage"]["completion_tokens"]
        assert_all_given_back(server)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"temperature": "hot"}, "temperature must be a number"),
        ({"top_p": 1.5}, "top_p"),
        ({"stop": [3]}, "stop must be"),
        ({"stop": "x" * 500}, "from 1 to 128"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"logit_bias": {"9" * 5000: 1}}, "logit_bias"),
        ({"stop_token_ids": ["a"]}, "stop_token_ids"),
        ({"response_format": "json"}, "response_format"),
        ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "one of"),
        ({"structured_outputs": {"regex": "("}}, "grammar"),
        ({"n": 2}, "no parameter 'n'"),
    ],
)
async def test_a_wrong_sampling_parameter_is_refused_with_a_sentence(
    tmp_path: Path, parameters: dict[str, Any], words: str
) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "draft", head=PLAIN)
        answer = await post(server, "draft", "hello", **parameters)
        assert (answer["status"], answer["code"]) == (400, "bad_request")
        assert words in answer["detail"]


async def test_logprobs_come_with_the_tokens_they_are_of(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        publish(registry_of(server), "draft", head=PLAIN)
        output = (await post(server, "draft", "hello", logprobs=1))["outputs"][0]
        said = "".join(token["token"] for token in output["logprobs"])
        assert said.replace("[CLS]", "").replace("[SEP]", "") == output["text"]
        assert output["logprobs"][0]["top"][0]["logprob"] == 0.0
