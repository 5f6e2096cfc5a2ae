"""The log: one line an event, whatever it holds; who did what; no flood, no key, no payload."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.logs.formatters import MAX_FIELD, MAX_TRACEBACK, JsonLines, TextLines
from engine.logs.repeat_filter import RepeatFilter
from engine.logs.setup import log_to_stderr
from engine.testing.fake_engine import write_fake_adapter
from tests.server.build import grpc_client, http_client, publish, registry_of
from tests.server.test_auth import guarded

pytestmark = pytest.mark.survival("H12")

HOSTILE = "\x1b[31mFORGED\x1b[0m\n2026-01-01 INFO \r\x85\u2028\u2029\x00\x7f\ud800 tenant=globex"


def record(message: str, *args: object, error: Exception | None = None, **extra: Any) -> Any:
    found = logging.LogRecord("server", logging.INFO, "f.py", 1, message, args, None)
    if error is not None:
        found.exc_info = (type(error), error, error.__traceback__)
    vars(found).update(extra)
    return found


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize("lines", [JsonLines(), TextLines()], ids=["json", "text"])
def test_an_event_is_one_line_whatever_it_holds(lines: logging.Formatter) -> None:
    line = lines.format(record(f"a call of {HOSTILE}", ref=HOSTILE, odd=object()))
    assert len(line.splitlines()) == 1
    assert all(letter.isprintable() for letter in line)
    assert "FORGED" in line
    line.encode()


def test_a_json_line_holds_the_event_and_gives_back_what_it_held() -> None:
    facts = {"action": "a.b", "tenant": "acme", "n": 3, "share": 0.5, "none": None, "yes": True}
    line = json.loads(JsonLines().format(record("say %s", "é\n", ref=HOSTILE, **facts)))
    assert line["message"] == "say é\n"
    assert line["ref"] == HOSTILE
    assert {name: line[name] for name in facts} == facts
    assert (line["level"], line["logger"]) == ("INFO", "server")
    assert line["time"].endswith("+00:00")


def test_a_number_that_is_not_finite_is_still_json() -> None:
    line = JsonLines().format(record("x", share=float("nan")))
    assert json.loads(line, parse_constant=pytest.fail)["share"] == "nan"


def test_a_traceback_is_a_field_of_its_line() -> None:
    line = JsonLines().format(record("it failed", error=raised(KeyError(HOSTILE))))
    assert len(line.splitlines()) == 1
    assert "Traceback" in json.loads(line)["traceback"]
    text = TextLines().format(record("it failed", error=raised(KeyError(HOSTILE))))
    assert all(line.startswith("    ") for line in text.splitlines()[1:])
    assert all(letter.isprintable() or letter == "\n" for letter in text)


@pytest.mark.parametrize("lines", [JsonLines(), TextLines()], ids=["json", "text"])
def test_no_field_is_longer_than_its_cap(lines: logging.Formatter) -> None:
    huge = "x" * 10**6
    line = lines.format(record(huge, error=raised(ValueError(huge)), ref=huge, action="a.b"))
    assert len(line) < 2 * MAX_FIELD + MAX_TRACEBACK + 1000
    assert "a.b" in line
    assert "ValueError" in line


def test_facts_cannot_take_the_place_of_what_every_line_has() -> None:
    line = json.loads(JsonLines().format(record("x", level="none", time=0, logger="forged")))
    assert (line["level"], line["logger"]) == ("INFO", "server")


def test_a_message_whose_arguments_do_not_fit_is_told_as_it_is() -> None:
    assert json.loads(JsonLines().format(record("%d of %s", "x")))["message"] == "%d of %s"


def test_what_repeats_is_held_back_and_counted() -> None:
    now = [0.0]
    repeats = RepeatFilter(most=3, window_s=10.0, clock=lambda: now[0])

    def told(message: str, level: int = logging.ERROR, *args: object) -> Any:
        found = record(message, *args)
        found.levelno = level
        return found if repeats.filter(found) else None

    assert (
        sum(told("a connection of %s failed", logging.ERROR, n) is not None for n in range(1000))
        == 3
    )
    assert told("another failure") is not None
    assert all(told("a file was uploaded", logging.INFO) is not None for _ in range(100))
    now[0] = 11.0
    assert told("a connection of %s failed").repeated == 997
    assert not hasattr(told("a connection of %s failed"), "repeated")


def test_a_flood_of_different_sentences_takes_no_memory() -> None:
    repeats = RepeatFilter()
    for number in range(5000):
        found = record(f"a failure {number}")
        found.levelno = logging.ERROR
        assert repeats.filter(found)
    assert len(repeats._seen) <= 1000


@pytest.fixture
def restored() -> Iterator[None]:
    """What `log_to_stderr` changes of the process."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook, sys.unraisablehook)
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(capture=False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("chosen", "stream", "is_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("json", Terminal, True),
        ("text", io.StringIO, False),
    ],
)
def test_a_terminal_gets_text_and_everything_else_json(
    chosen: Any, stream: type[io.StringIO], is_json: bool
) -> None:
    out = stream()
    log_to_stderr(chosen, out)
    logging.getLogger("uvicorn.error").warning("an event of a library")
    assert out.getvalue().startswith("{") == is_json


@pytest.mark.usefixtures("restored")
def test_a_library_that_narrates_is_heard_only_if_it_warns() -> None:
    for name in ("accelerate.checkpointing", "httpx"):
        out = io.StringIO()
        log_to_stderr("text", out)
        logging.getLogger(name).info("weights saved")
        logging.getLogger(name).warning("a file is missing")
        assert "weights saved" not in out.getvalue()
        assert "a file is missing" in out.getvalue()


@pytest.mark.usefixtures("restored")
def test_a_thread_that_fails_and_a_warning_are_lines_like_any() -> None:
    out = io.StringIO()
    log_to_stderr("json", out)
    thread = threading.Thread(target=lambda: 1 / 0, name="doomed")
    thread.start()
    thread.join()
    warnings.showwarning(UserWarning("of a library"), UserWarning, "f.py", 1)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["action"], first["part"]) == ("thread.failed", "doomed")
    assert "ZeroDivisionError" in first["traceback"]
    assert "of a library" in second["message"]


async def test_every_change_and_every_download_is_told_with_who_did_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with (
        guarded(tmp_path) as (server, keys),
        http_client(server, keys["admin"]) as http,
    ):
        write_fake_adapter(tmp_path / "adapter")
        files = [("files", (x.name, x.read_bytes())) for x in (tmp_path / "adapter").iterdir()]
        rows = b"\n".join(
            json.dumps({"text": f"{'yay' if i % 2 else 'boo'} {i}", "label": i % 2}).encode()
            for i in range(60)
        )
        http.headers["x-request-id"] = "request-7"
        await http.post("/v1/tasks/mood/versions", files=files)
        await http.put("/v1/tasks/mood/aliases/canary", json={"version": 1})
        await http.get("/v1/tasks/mood/versions/1/export")
        sent = await http.post(
            "/v1/files", files={"file": ("a.jsonl", rows)}, data={"purpose": "fine-tune"}
        )
        file_id = sent.json()["id"]
        await http.get(f"/v1/files/{file_id}/content")
        made = await http.post("/v1/jobs", json={"task": "mood", "file_id": file_id})
        for verb in ("pause", "resume", "cancel"):
            assert (await http.post(f"/v1/jobs/{made.json()['id']}/{verb}")).status_code == 200
        await http.delete(f"/v1/files/{file_id}")
        await http.delete("/v1/tasks/mood")
    told = [vars(each) for each in caplog.records if each.name == "server.audit"]
    assert [each.name for each in caplog.records if "submitted" in each.getMessage()] == [
        "server.audit"
    ]
    assert [each["action"] for each in told] == [
        "adapter.registered", "alias.promoted", "adapter.exported", "file.created",
        "file.downloaded", "job.created", "job.pause", "job.resume", "job.cancel", "file.deleted",
        "task.deleted",
    ]  # fmt: skip
    who = ("acme", keys["admin"].split("_")[1], "request-7")
    assert {(each["tenant"], each["key"], each["request_id"]) for each in told} == {who}


@pytest.mark.survival("B4")
async def test_refused_callers_are_told_and_no_key_and_no_payload_ever_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for noisy in ("httpx", "httpcore"):
        caplog.set_level(logging.WARNING, noisy)
    wrong = "adk_0123456789ab_" + "f" * 64
    async with (
        guarded(tmp_path) as (server, keys),
        http_client(server) as nobody,
        http_client(server, keys["read"]) as reader,
        grpc_client(server) as rpc,
    ):
        publish(registry_of(server), "mood", tenant="acme")
        await nobody.get("/v1/tasks", headers={"authorization": f"Bearer {wrong}"})
        await nobody.get("/v1/tasks", params={"api_key": keys["use"]})
        await reader.delete("/v1/tasks/mood")
        await reader.post("/v1/tasks/mood/predict", json={"inputs": ["PAYLOAD"]})
        metadata = (("authorization", f"Bearer {keys['read']}"),)
        for key in (metadata, (("authorization", f"Bearer {wrong}"),)):
            with pytest.raises(Exception, match=r"PERMISSION_DENIED|UNAUTHENTICATED"):
                await rpc.predict("mood", "PAYLOAD", metadata=key)
    told = [vars(each) for each in caplog.records if getattr(each, "action", "") == "call.refused"]
    assert [each["code"] for each in told] == [
        "unauthenticated", "unauthenticated", "forbidden", "forbidden", "forbidden",
        "unauthenticated",
    ]  # fmt: skip
    assert all(each["levelno"] == logging.WARNING and not each["exc_info"] for each in told)
    assert [each["tenant"] for each in told if each["code"] == "forbidden"] == ["acme"] * 3
    lines = "\n".join(JsonLines().format(each) for each in caplog.records)
    for secret in (*keys.values(), wrong, "PAYLOAD"):
        assert secret not in lines
        assert secret.rpartition("_")[2] not in lines


async def test_a_failure_of_ours_has_its_traceback_and_who_met_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with guarded(tmp_path) as (server, keys), http_client(server, keys["read"]) as http:
        monkeypatch.setattr(server.parts.data.registry, "tasks", lambda *_: 1 / 0)
        assert (await http.get("/v1/tasks")).status_code == 500
        assert (await http.get("/v1/tasks/none")).status_code == 404
    [told] = [each for each in caplog.records if each.name == "server.audit"]
    assert told.exc_info
    assert vars(told)["tenant"] == "acme"
    assert vars(told)["method"] == "/v1/tasks"


@pytest.mark.slow
def test_a_whole_server_writes_json_lines_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import logging, os, signal, sys\n"
        "from pathlib import Path\n"
        "from engine.logs.setup import log_to_stderr\n"
        "from engine.testing.fake_engine import FakeEngine\n"
        "from server.main import run\n"
        "from tests.server.build import settings\n"
        "log_to_stderr()\n"
        # once it says that it is ready, and only then
        "def stop(record):\n"
        "    if getattr(record, 'action', '') == 'server.ready':\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return True\n"
        "logging.getLogger('server').addFilter(stop)\n"
        "run(settings(Path(sys.argv[1]), train=True), FakeEngine())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    actions = [json.loads(line)["action"] for line in done.stderr.splitlines()]
    assert actions == ["server.ready", "server.draining", "server.stopped"]
