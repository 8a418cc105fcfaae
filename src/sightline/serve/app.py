"""The addresses of the service: its own, the ones SageMaker and Vertex AI prescribe, and the page."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from sightline.core.errors import named
from sightline.core.machine import versions
from sightline.data.pictures import open_picture
from sightline.explain.heat import over
from sightline.serve import answers, intake
from sightline.serve.described import BINARY, BODY, POSTS, PROBLEMS
from sightline.serve.front import Front, error_response
from sightline.serve.intake import Sent
from sightline.serve.limits import Refused
from sightline.serve.metrics import CONTENT_TYPE
from sightline.serve.service import Seen, Service

STATIC = Path(__file__).parent / "static"
SIDE = 1024  # pixels of an explained picture's longer side
MOST = 100  # look-alikes at a time

Top = Annotated[int, Query(ge=1, le=1000, description="How many classes to name.")]
Nearest = Annotated[int, Query(ge=1, le=MOST, description="How many look-alikes to name.")]


def make_app(
    service: Service, key: str | None = None, *, health: str | None = None, predict: str | None = None,
    local: bool = False,
) -> FastAPI:  # fmt: skip
    """The application around `service`, closed to who has not the `key`, where there is one.

    `health` and `predict` are further addresses for the two, as Vertex AI names them; `local` is as for `Front`.
    Middleware for other sites' pages goes around what this gives: `CORSMiddleware(make_app(...), ...)`.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = _Application(
        title=f"Sightline: {service.bundle.arch}", version=versions()["sightline"], lifespan=lifespan, docs_url=None,
        redoc_url=None, description="What a trained network says of pictures, where it sees it, and what looks alike.",
    )  # fmt: skip
    _clouds(app, service, health, predict)  # first, as their addresses may be ours
    _asked(app, service)
    if service.heat:
        _explains(app, service)
    if service.index:
        _compares(app, service)
    _about(app, service)
    _page(app)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _none_there)
    app.add_exception_handler(RequestValidationError, _out_of_range)
    app.add_exception_handler(Exception, _failed)
    paths = {getattr(route, "path", "") for route in app.routes}
    probes = (health,) if health else ()
    app.front = Front(app.behind, service, key=key, paths=paths, probes=probes, local=local)
    return app


class _Application(FastAPI):
    """FastAPI's with our front before all else, so that what is refused costs next to nothing."""

    front: Front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self.front(scope, receive, send)

    async def behind(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what the front let through."""
        await super().__call__(scope, receive, send)


def _asked(app: FastAPI, service: Service) -> None:
    """What is asked of pictures."""

    @app.post("/predict", response_model=answers.Predictions, tags=["pictures"], **POSTS)
    async def predict(request: Request, top: Top = intake.TOP) -> Response:
        """Classes with their probabilities, best first. A picture that cannot be read is an error beside the others."""
        seen = await _seen(service, request, ("logits",))
        said = [{"name": one.name, **(_error(one) or {"classes": service.classes(one, top)})} for one in seen]
        return _answer(service, request, predictions=said)

    app.add_api_route("/invocations", predict, methods=["POST"], include_in_schema=False)  # as SageMaker calls it

    @app.post("/embed", response_model=answers.Embeddings, tags=["pictures"], **POSTS)
    async def embed(request: Request) -> Response:
        """The network's vector of each picture, of unit length."""
        seen = await _seen(service, request, ("embedding",))
        said = [
            {"name": one.name, **(_error(one) or {"embedding": _unit(one.output("embedding")).tolist()})}
            for one in seen
        ]
        return _answer(service, request, embeddings=said)


def _explains(app: FastAPI, service: Service) -> None:
    """Where a class was seen."""
    png: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": BINARY}}}

    @app.post(
        "/explain",
        response_model=answers.Explanation,
        tags=["pictures"],
        responses={**PROBLEMS, **png},
        openapi_extra=BODY,
    )
    async def explain(
        request: Request,
        label: Annotated[str | None, Query(alias="class", description="The class to look for; the likeliest.")] = None,
        picture: Annotated[bool, Query(description="Answer with a PNG: the heat over the picture.")] = False,
    ) -> Response:
        """Where in one picture the network saw a class. With `picture`, or `Accept: image/png`, a picture of it."""
        return await _explained(service, request, label, picture or "image/png" in request.headers.get("accept", ""))


def _compares(app: FastAPI, service: Service) -> None:
    """What looks alike."""

    @app.post("/similar", response_model=answers.LookAlikes, tags=["pictures"], **POSTS)
    async def similar(request: Request, k: Nearest = 12) -> Response:
        """The pictures of the index that look most like each picture sent."""
        seen = await _seen(service, request, ("embedding",))
        said = await service.aside(_deadline(service, request), service.look_alikes, seen, k)
        return _answer(service, request, similar=said)

    @app.get(
        "/pictures/{row}",
        tags=["pictures"],
        response_class=Response,
        responses={
            200: {"content": {"image/jpeg": BINARY}},
            **{status: PROBLEMS[status] for status in (401, 422)},
            404: {"model": answers.Problem, "description": "There is no such picture."},
        },
    )
    async def picture(request: Request, row: int) -> Response:
        """A small picture of the index, by its row."""
        data = await service.aside(_deadline(service, request), service.thumbnail, row)
        return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


def _about(app: FastAPI, service: Service) -> None:
    """What there is to know of the service."""

    @app.get("/model", response_model=answers.Card, tags=["service"], responses={401: PROBLEMS[401]})
    async def model() -> Response:
        """The model card."""
        return JSONResponse(service.card())

    @app.get("/healthz", response_model=answers.Status, tags=["service"])
    async def healthz() -> Response:
        """Whether the process is alive."""
        return JSONResponse({"status": "alive"})

    @app.get(
        "/readyz",
        response_model=answers.Status,
        tags=["service"],
        responses={503: {"model": answers.Status, "description": "Not ready, or about to end."}},
    )
    async def readyz() -> Response:
        """Whether to send requests here: the golden pictures were answered as they should be, and it is warm."""
        return _readiness(service)

    @app.get(
        "/metrics",
        response_class=Response,
        tags=["service"],
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, 401: PROBLEMS[401]},
    )
    async def metrics() -> Response:
        """What was counted, as Prometheus reads it."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def _clouds(app: FastAPI, service: Service, health: str | None, predict: str | None) -> None:
    """The addresses that SageMaker and Vertex AI call."""

    async def ready() -> Response:
        return _readiness(service)

    async def instances(request: Request) -> Response:
        """As Vertex AI asks: {"instances": [{"b64": ...}], "parameters": {"top": 5}}."""
        sent, top = intake.of_instances(intake.parsed(await _body(service, request)), service.limits)
        seen = await _looked(service, request, sent, ("logits",))
        return JSONResponse({"predictions": [_error(one) or {"classes": service.classes(one, top)} for one in seen]})

    app.add_api_route("/ping", ready, methods=["GET"], include_in_schema=False)
    if health:
        app.add_api_route(health, ready, methods=["GET"], include_in_schema=False)
    if predict:
        app.add_api_route(predict, instances, methods=["POST"], include_in_schema=False)


def _page(app: FastAPI) -> None:
    """The page, and the description of the addresses that one can try, without a word to any other host."""
    import fastapi_offline

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json", title=app.title, swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css", swagger_favicon_url="static/icon.svg",
        )  # fmt: skip

    app.mount("/docs", StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static"), name="docs")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")


async def _body(service: Service, request: Request) -> bytes:
    return await intake.received(request, service.limits, request.state.take)


async def _sent(service: Service, request: Request) -> list[Sent]:
    return await intake.pictures(request, await _body(service, request), service.limits)


async def _looked(service: Service, request: Request, sent: list[Sent], only: Sequence[str]) -> list[Seen]:
    """What the graph says of the pictures in a request, as long as its time lasts and its client is there."""
    return await intake.while_there(request, service.see(sent, only, _deadline(service, request)))


def _deadline(service: Service, request: Request) -> float:
    """Until when the request is to be answered."""
    return float(request.state.arrived) + service.limits.timeout_s


async def _seen(service: Service, request: Request, only: Sequence[str]) -> list[Seen]:
    return await _looked(service, request, await _sent(service, request), only)


async def _explained(service: Service, request: Request, label: str | None, drawn: bool) -> Response:
    """Where one picture's class was seen, in numbers or `drawn`."""
    sent = await _sent(service, request)
    if len(sent) > 1:
        raise Refused(400, f"{len(sent)} pictures: send one at a time to explain")
    (seen,) = await _looked(service, request, sent, ("logits", "feature_map"))
    number = service.label(label, seen)
    heat = service.explain(seen, number)
    if drawn:
        data = await service.aside(_deadline(service, request), _drawn, service, sent[0].data, heat)
        return Response(data, media_type="image/png")
    said = {"class": service.bundle.classes[number], "probability": service.probability(seen, number)}
    box = await service.aside(_deadline(service, request), service.box, sent[0].data)
    return _answer(service, request, name=seen.name, **said, heat=heat.round(6).tolist(), box=box)


def _drawn(service: Service, data: bytes, heat: np.ndarray) -> bytes:
    """The picture in `data` with `heat` over it, a PNG."""
    picture = open_picture(data, service.limits.pixels)
    file = io.BytesIO()
    over(picture, heat, service.bundle.preprocess.kept(*picture.size), SIDE).save(file, "PNG")
    return file.getvalue()


def _answer(service: Service, request: Request, **said: Any) -> Response:
    """An answer with who gave it, and how long it took."""
    ms = 1000 * (time.monotonic() - request.state.arrived)
    return JSONResponse({"model": service.called, **said, "ms": round(ms, 2)})


def _error(seen: Seen) -> dict[str, str] | None:
    return {"error": seen.error} if seen.error else None


def _unit(vector: np.ndarray) -> np.ndarray:
    """`vector` at length 1; of none at all, as it is."""
    return vector / (np.linalg.norm(vector) or 1)


def _readiness(service: Service) -> Response:
    return JSONResponse({"status": "ready"}) if service.ready else JSONResponse({"status": "not ready"}, 503)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error_response(error)


async def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the service failed: its log says why"}, 500)  # the front writes it there


async def _none_there(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail).lower()}, error.status_code, headers=error.headers)


async def _out_of_range(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return JSONResponse({"error": f"{named(where)}: {first['msg'].lower()}"}, 422)
