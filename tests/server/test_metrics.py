"""What a scrape shows, that its size is bounded, and that the documentation names all of it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from adapters_registry.audit.audit_log import AuditLog
from engine.port import Generate
from server.config import Settings
from server.main import Server
from server.metrics.metrics import Metrics
from tests.server.build import (
    HeldEngine,
    grpc_client,
    http_client,
    publish,
    registry_of,
    running,
    until,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
ROW = re.compile(r"^\| `([^`]+)` \| (\w+) \| (?:([^|]+) )?\|", re.MULTILINE)


async def scrape(server: Server) -> str:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://127.0.0.1:{server.ports.metrics}/metrics")
        assert answer.status_code == 200
        return answer.text


async def busy(server: Server) -> None:
    publish(registry_of(server), "mood")
    async with grpc_client(server) as rpc, http_client(server) as http:
        await rpc.predict("mood", "x", "")
        await http.post("/v1/tasks/mood/predict", json={"inputs": ["x"]})
        await http.get("/no/such/path")
        await http.post("/v1/completions", json={"model": "fake", "prompt": "x"})


@pytest.mark.survival("G4")
async def test_a_file_that_rotted_is_counted_and_in_the_audit_log(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        registry = registry_of(server)
        _, path, sha256 = registry.files(publish(registry, "mood"))[0]
        path.write_bytes(b"rot")
        assert "adapterd_blobs_quarantined_total 0.0" in await scrape(server)
        data = server.parts.data
        data.state.blobs.examination.examine(sha256)
        assert "adapterd_blobs_quarantined_total 1.0" in await scrape(server)
        (event,) = AuditLog(data.state.database).list("")
    assert event.change.action == "blob.quarantine"


async def test_the_documentation_names_every_metric_and_no_other(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await busy(server)
        shown = {}
        for family in text_string_to_metric_families(await scrape(server)):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            shown[name] = (family.type, labels)
    documented = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in ROW.findall(DOCUMENT.read_text())
    }
    assert documented == shown


async def test_calls_are_counted_by_method_and_code(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        await busy(server)
        text = await scrape(server)
    assert 'adapterd_requests_total{code="ok",method="Predict",transport="grpc"} 1.0' in text
    route = "POST /v1/tasks/{ref}/predict"
    assert f'adapterd_requests_total{{code="200",method="{route}",transport="http"}} 1.0' in text
    assert 'adapterd_requests_total{code="404",method="unmatched",transport="http"} 1.0' in text
    ok = '{code="ok",task="mood",tenant="default"}'
    assert f"adapterd_task_requests_total{ok} 2.0" in text
    mood = '{task="mood",tenant="default"}'
    assert f"adapterd_task_request_duration_seconds_count{mood} 2.0" in text
    assert f"adapterd_task_tokens_total{mood} 6.0" in text
    assert 'adapterd_row_errors_total{code="empty_input"} 1.0' in text
    assert 'adapterd_adapter_loads_total{tier="host"} 1.0' in text
    assert 'max_lora="7",running_lora_adapters=""' in text


async def test_who_waits_to_write_is_shown_as_waiting(tmp_path: Path) -> None:
    head = {"kind": "generate", "format": "plain", "max_tokens": 200}
    engine = HeldEngine(holds=(Generate,))
    async with running(tmp_path, engine, max_batch_rows=1) as server, http_client(server) as http:
        publish(registry_of(server), "draft", head=head)
        url, body = "/v1/tasks/draft/predict", {"inputs": ["hello"]}
        running_call = asyncio.create_task(http.post(url, json=body))
        await until(lambda: engine.held)
        waiting_call = asyncio.create_task(http.post(url, json=body))
        await until(lambda: server.parts.dispatch.generation_queue.num_rows)
        text = await scrape(server)
        engine.release_all()
        for call in (running_call, waiting_call):
            assert (await call).status_code == 200
    assert "adapterd_queue_rows 1.0" in text
    assert "adapterd_queue_tokens 0.0" not in text
    assert 'waiting_lora_adapters="draft"' in text
    assert re.search(r'adapterd_tenant_queue_tokens\{tenant="default"\} [1-9]', text)


async def test_texts_are_counted_by_tokens_and_ends(tmp_path: Path) -> None:
    head = {"kind": "generate", "format": "plain", "max_tokens": 200}
    async with running(tmp_path) as server:
        publish(registry_of(server), "draft", head=head)
        async with http_client(server) as http:
            for most in (200, 2):
                body = {"inputs": ["hello"], "parameters": {"max_tokens": most}}
                await http.post("/v1/tasks/draft/predict", json=body)
        text = await scrape(server)
    assert "adapterd_prompt_tokens_total 14.0" in text
    assert "adapterd_prefix_cache_queries_total 14.0" in text
    assert "adapterd_generation_tokens_total 9.0" in text
    assert 'adapterd_request_success_total{finished_reason="stop"} 1.0' in text
    assert 'adapterd_request_success_total{finished_reason="length"} 1.0' in text
    assert "adapterd_time_to_first_token_seconds_count 2.0" in text
    assert "adapterd_inter_token_latency_seconds_count 7.0" in text
    assert "adapterd_num_requests_running 0.0" in text
    assert "adapterd_kv_cache_usage_perc 0.0" in text


async def test_the_metrics_port_serves_metrics_only(tmp_path: Path) -> None:
    async with running(tmp_path) as server, httpx.AsyncClient(trust_env=False) as http:
        for path in ("/", "/v1/tasks", "/debug"):
            answer = await http.get(f"http://127.0.0.1:{server.ports.metrics}{path}")
            assert answer.status_code == 404


async def test_metrics_listen_where_they_were_told_to_and_nowhere_else(tmp_path: Path) -> None:
    assert Settings().metrics_host == "127.0.0.1"
    async with (
        running(tmp_path, metrics_host="127.0.0.2") as server,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        answer = await http.get(f"http://127.0.0.2:{server.ports.metrics}/metrics")
        assert answer.status_code == 200
        with pytest.raises(httpx.ConnectError):
            await http.get(f"http://127.0.0.1:{server.ports.metrics}/metrics")


@pytest.mark.survival("C7", "H10")
def test_tasks_beyond_the_cap_share_one_label() -> None:
    metrics = Metrics(CollectorRegistry(), max_task_labels=10)
    for number in range(1000):
        metrics.observe_predict(tenant="default", task=f"t{number}", num_inputs=1, num_tokens=1)
        metrics.observe_task_call(tenant="default", task=f"t{number}", code="ok", seconds=0.1)
    text = generate_latest(metrics.registry).decode()
    for name in ("requests_total", "request_duration_seconds_count", "tokens_total"):
        series = [n for n in text.splitlines() if n.startswith(f"adapterd_task_{name}{{")]
        assert len(series) == 11
    other = '{code="ok",task="other",tenant="other"}'
    assert f"adapterd_task_requests_total{other} 990.0" in text


@pytest.mark.survival("E4")
def test_a_deleted_tasks_series_go_and_make_room() -> None:
    metrics = Metrics(CollectorRegistry(), max_task_labels=1)
    for code in ("ok", "overloaded"):
        metrics.observe_task_call(tenant="a", task="old", code=code, seconds=0.1)
    metrics.observe_predict(tenant="a", task="old", num_inputs=1, num_tokens=1)
    metrics.forget_task("a", "old")
    metrics.forget_task("a", "never seen")
    metrics.observe_task_call(tenant="a", task="new", code="ok", seconds=0.1)
    text = generate_latest(metrics.registry).decode()
    assert "old" not in text
    assert 'adapterd_task_requests_total{code="ok",task="new",tenant="a"} 1.0' in text


@pytest.mark.survival("H10")
def test_the_series_of_a_tenant_that_is_gone_go_and_make_room() -> None:
    metrics = Metrics(CollectorRegistry(), max_task_labels=1)
    metrics.observe_refusal("old")
    metrics.forget_tenant("old")
    metrics.forget_tenant("never seen")
    metrics.observe_refusal("new")
    text = generate_latest(metrics.registry).decode()
    assert "old" not in text
    assert 'adapterd_tenant_refusals_total{tenant="new"} 1.0' in text


@pytest.mark.survival("E4")
async def test_deleting_a_task_ends_its_series(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        await busy(server)
        assert 'task="mood"' in await scrape(server)
        assert (await http.delete("/v1/tasks/mood")).status_code < 300
        assert 'task="mood"' not in await scrape(server)


async def test_failed_and_streamed_calls_are_counted_by_task(tmp_path: Path) -> None:
    head = {"kind": "generate", "format": "plain", "max_tokens": 20}
    async with running(tmp_path) as server, http_client(server) as http:
        publish(registry_of(server), "mood")
        publish(registry_of(server), "draft", head=head)
        body = {"inputs": ["x"], "parameters": {"dimensions": 3}}
        assert (await http.post("/v1/tasks/mood/predict", json=body)).status_code == 400
        for stream in (True, False):
            body = {"model": "draft", "prompt": "x", "stream": stream}
            assert (await http.post("/v1/completions", json=body)).status_code == 200
        text = await scrape(server)
    bad, ok = (
        f'{{code="{code}",task="{task}",tenant="default"}}'
        for code, task in (("bad_request", "mood"), ("ok", "draft"))
    )
    assert f"adapterd_task_requests_total{bad} 1.0" in text
    assert f"adapterd_task_requests_total{ok} 2.0" in text


@pytest.mark.parametrize(
    ("accept", "kind"), [("", "text/plain"), (OPENMETRICS, "application/openmetrics-text")]
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_scrape_comes_in_the_format_that_was_asked_for(
    tmp_path: Path, accept: str, kind: str, encoding: str
) -> None:
    async with running(tmp_path) as server, httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(
            f"http://127.0.0.1:{server.ports.metrics}/metrics",
            headers={"accept": accept, "accept-encoding": encoding},
        )
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers.get("content-encoding", "identity") == encoding
    assert answer.text.endswith("# EOF\n") == bool(accept)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("gateway", [True, False])
async def test_promtool_accepts_every_metric_but_the_gateways_colon(
    tmp_path: Path, gateway: bool
) -> None:
    async with running(tmp_path, gateway_metrics=gateway) as server:
        await busy(server)
        text = await scrape(server)
    done = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=text, capture_output=True, text=True
    )
    complaints = (done.stdout + done.stderr).splitlines()
    assert len(complaints) == gateway, complaints
    assert all("lora_requests_info" in each for each in complaints)


def test_buckets_reach_as_far_as_calls_may_take() -> None:
    metrics = Metrics(CollectorRegistry(), timeout_s=200.0)
    metrics.observe_request(transport="http", method="GET /", code="200", seconds=150.0)
    text = generate_latest(metrics.registry).decode()
    assert 'request_duration_seconds_bucket{le="240.0",method="GET /",transport="http"} 1.0' in text


@pytest.mark.survival("C7", "H10")
async def test_invented_methods_share_one_series(tmp_path: Path) -> None:
    async with running(tmp_path) as server, http_client(server) as http:
        for number in range(20):
            answer = await http.request(f"M{number}", "/health/live")
            assert answer.status_code == 405
        assert (await http.request("DELETE", "/health/live")).status_code == 405
        text = await scrape(server)
    shown = [line for line in text.splitlines() if line.startswith("adapterd_requests_total{")]
    assert shown == ['adapterd_requests_total{code="405",method="unmatched",transport="http"} 21.0']
