"""What OpenAI's clients do beside asking: delete models, ask for what is not here, run out of time
or room.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import openai
import pytest

from engine.port import Generate, Result, Step
from engine.testing.fake_engine import FakeEngine
from server.auth.key_file import create_key
from tests.server.build import http_client, publish, registry_of, running, until
from tests.server.test_fine_tuning import upload
from tests.server.test_openai import HEAD, assert_all_given_back, client

LONG = "a text that takes a while, one letter after another"


class SlowWriter(FakeEngine):
    """Writes a token in a twentieth of a second."""

    def submit(self, step: Step) -> Future[Result]:
        if not isinstance(step, Generate):
            return super().submit(step)
        later: Future[Result] = Future()
        later.set_running_or_notify_cancel()
        done = super().submit(step)
        threading.Timer(0.05, lambda: later.set_result(done.result())).start()
        return later


# ------------------------------------------------------------------ models


async def test_a_version_is_deleted_as_a_model(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, server):
        publish(registry_of(server), "draft", seed=1, head=HEAD)
        gone = await api.models.delete("draft@2")
        assert (gone.id, gone.object, gone.deleted) == ("draft@2", "model", True)
        names = [model.id for model in (await api.models.list()).data]
        assert "draft@2" not in names
        assert "draft@1" in names


async def test_a_version_of_another_base_is_not_listed_and_names_its_base(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, server):
        other = {"fingerprint": "0" * 64, "name": "another-base"}
        publish(registry_of(server), "draft", seed=1, head=HEAD, base=other)
        names = [model.id for model in (await api.models.list()).data]
        assert "draft@2" not in names
        assert "draft@1" in names
        assert (await api.models.retrieve("draft@2")).parent == "another-base"  # type: ignore[attr-defined]


async def test_a_task_is_deleted_as_a_model_with_all_its_versions(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _):
        assert (await api.models.delete("draft")).deleted
        with pytest.raises(openai.NotFoundError):
            await api.models.retrieve("draft")


async def test_what_is_no_model_of_its_own_is_not_deleted(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _):
        with pytest.raises(openai.BadRequestError, match="is the base"):
            await api.models.delete("fake")
        with pytest.raises(openai.BadRequestError, match="is an alias"):
            await api.models.delete("draft@production")
        with pytest.raises(openai.ConflictError):  # an alias names it
            await api.models.delete("draft@1")
        with pytest.raises(openai.NotFoundError):
            await api.models.delete("nothing")


async def test_only_who_may_administer_deletes_models(tmp_path: Path) -> None:
    keys_file = tmp_path / "keys.jsonl"
    key = create_key(keys_file, "acme", "use")[1]
    async with running(tmp_path / "data", keys_file=keys_file) as server:
        publish(registry_of(server), "mood", tenant="acme")
        async with http_client(server, key) as http:
            assert (await http.delete("/v1/models/mood")).status_code == 403


# ------------------------------------------------------------------ what is not here


async def test_what_openai_has_and_this_server_has_not_is_told_in_its_shape(
    tmp_path: Path,
) -> None:
    async with client(tmp_path) as (api, _):
        for call in (
            api.responses.create(model="fake", input="hi"),
            api.batches.list(),
            api.moderations.create(input="hi"),
            api.images.generate(model="fake", prompt="a cat"),
            api.vector_stores.list(),
        ):
            with pytest.raises(openai.NotFoundError, match="There is no /v1/") as refused:
                await call
            assert refused.value.code == "no_such_route"


# ------------------------------------------------------------------ the end of time and room


@pytest.mark.parametrize("stop", [None, ["never written"]])
async def test_a_text_that_runs_out_of_time_ends_with_what_was_written(
    tmp_path: Path, stop: list[str] | None
) -> None:
    async with client(tmp_path, SlowWriter(), predict_timeout_s=0.6) as (api, server):
        given: dict[str, Any] = {"model": "fake", "prompt": LONG, "max_tokens": 60, "stop": stop}
        whole = await api.completions.create(**given)
        assert whole.choices[0].finish_reason == "length"
        assert whole.choices[0].text
        assert LONG.startswith(whole.choices[0].text)
        assert whole.usage is not None
        assert 0 < whole.usage.completion_tokens < len(LONG)
        chunks = [c async for c in await api.completions.create(**given, stream=True)]
        text = "".join(c.choices[0].text for c in chunks)
        assert text
        assert LONG.startswith(text)
        assert chunks[-1].choices[0].finish_reason == "length"
        await until(lambda: not server.parts.dispatch.generation_loop.sequences)
        assert_all_given_back(server)


async def test_a_prompt_that_is_too_long_is_known_by_its_words(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _):
        for call in (
            api.completions.create(model="fake", prompt="a" * 5000),
            api.embeddings.create(model="near", input="a " * 5000),
        ):
            with pytest.raises(openai.BadRequestError, match="maximum context length is") as caught:
                await call
            assert caught.value.code == "context_length_exceeded"


# ------------------------------------------------------------------ training and files


async def test_a_training_without_a_name_gets_one(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _):
        job = await api.fine_tuning.jobs.create(model="fake", training_file=await upload(api))
        assert job.method is not None
        assert job.to_dict()["method"]["adapter"]["task"].startswith("ft-")  # type: ignore[index]


@pytest.mark.parametrize("purpose", ["assistants", "batch", "evals", "user_data", "vision"])
async def test_files_of_every_purpose_are_taken(tmp_path: Path, purpose: Any) -> None:
    async with client(tmp_path) as (api, _):
        file = await api.files.create(file=("x.jsonl", b"{}\n"), purpose=purpose)
        assert file.purpose == purpose
        assert [each.id for each in (await api.files.list(limit=10_000)).data] == [file.id]


async def test_a_file_that_should_expire_is_refused(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, _):
        with pytest.raises(openai.BadRequestError, match="do not expire") as refused:
            await api.files.create(
                file=("x.jsonl", b"{}\n"),
                purpose="user_data",
                expires_after={"anchor": "created_at", "seconds": 3600},
            )
        assert refused.value.param == "expires_after"
