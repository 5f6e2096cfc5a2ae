"""Every error of a route, and of a path that no route answers, has the shape of its API: a problem
document, OpenAI's error, or both in one where files are.
"""

from __future__ import annotations

from pathlib import Path

import httpx

from server.health import Health
from server.http_api.app import build_routes
from server.http_api.route import GuardedRoute
from tests.server.build import http_client
from tests.server.test_auth import concrete, guarded

PROBLEM, OPENAI, BOTH = ({"code"}, {"error"}, {"code", "error"})
#: by the tag of the router
SHAPES = {"openai": OPENAI, "files": BOTH}
#: paths without a route; what OpenAI's API has beside them decides, then what this server has
UNMATCHED = {
    "/": PROBLEM,
    "/v1/secret": PROBLEM,
    "/v1/chat": PROBLEM,
    "/v1/chats/x": PROBLEM,
    "/v1/tasks/a/b": PROBLEM,
    "/v1/jobs/a/b/c": PROBLEM,
    "/x/v1/models": PROBLEM,
    "/v1/responsesX": PROBLEM,
    "/v1/chat/x": OPENAI,
    "/v1/completions/x": OPENAI,
    "/v1/embeddingsX": OPENAI,
    "/v1/fine_tuning": OPENAI,
    "/v1/fine_tuning/alpha/graders/run": OPENAI,
    "/v1/responses": OPENAI,
    "/v1/audio/speech": OPENAI,
    "/v1/chatkit/sessions": OPENAI,
    "/v1/files/a/b": BOTH,
    "/v1/filesX": BOTH,
}


def shape_of(answer: httpx.Response) -> set[str]:
    body = answer.json()
    shape = body.keys() & {"code", "error"}
    media_type = "application/problem+json" if "code" in shape else "application/json"
    assert answer.headers["content-type"] == media_type
    assert ("x-should-retry" in answer.headers) == ("error" in shape)
    if "error" in shape:
        assert set(body["error"]) == {"message", "type", "param", "code"}
    return set(shape)


async def test_every_route_refuses_in_the_shape_of_its_api(tmp_path: Path) -> None:
    routes = [
        (method, concrete(route.path), SHAPES.get(str((*route.tags, "")[0]), PROBLEM))
        for route in build_routes(None, Health(), "0").routes
        if isinstance(route, GuardedRoute) and route.role is not None
        for method in route.methods or ()
    ]
    assert len(routes) > 40
    async with guarded(tmp_path) as (server, keys), http_client(server) as http:
        admin = {"authorization": f"Bearer {keys['admin']}"}
        json = admin | {"content-type": "application/json"}
        for method, path, shape in routes:
            assert shape_of(await http.request(method, path)) == shape, (method, path)
            for headers in (
                json,
                admin | {"content-encoding": "gzip"},
            ):  # the route, then before it
                answer = await http.request(method, path, headers=headers, content=b"{")
                if answer.status_code >= 400:
                    assert shape_of(answer) == shape, (method, path)
            answer = await http.request("TRACE", path, headers=admin)
            assert (answer.status_code, shape_of(answer)) == (405, shape), path


async def test_an_unmatched_path_is_refused_in_the_shape_of_its_neighbours(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (server, keys), http_client(server) as http:
        admin = {"authorization": f"Bearer {keys['admin']}"}
        for path, shape in UNMATCHED.items():
            for headers, status in ((admin, 404), ({}, 401)):
                answer = await http.get(path, headers=headers)
                assert (answer.status_code, shape_of(answer)) == (status, shape), path
