"""The service as an AWS Lambda function behind API Gateway: `sightline.serve.aws_lambda.handler`.

One container answers one event at a time, for many events. Mangum would begin and end the application around each of
them; here the Bundle is opened and the service warmed once, on one event loop that stays, and in Lambda already while
the container starts. SIGHTLINE_RUN, SIGHTLINE_INDEX and SIGHTLINE_API_KEY say what is served, as for `sightline serve`.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from sightline import api
from sightline.core.errors import UserError
from sightline.search.index import Index
from sightline.serve.app import make_app
from sightline.serve.front import LOG, checked_key, log_to_stderr
from sightline.serve.limits import Limits
from sightline.serve.service import Service

if TYPE_CHECKING:
    from mangum import Mangum

TIMEOUT_S = 25  # API Gateway waits for 30
BODY_BYTES = 4_500_000  # of an event's 6 MB, which carry a picture as base64


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """What the service answers to an event of API Gateway (HTTP API, REST API), or of a function's own address."""
    answer, _ = _opened()
    return dict(answer(event, context))


@cache
def _opened() -> tuple[Mangum, AbstractAsyncContextManager[None]]:
    """What answers events, and the service's running, which ends when nothing holds it any more.

    UserError when SIGHTLINE_RUN names nothing that can be served, or the key is too short.
    """
    from mangum import Mangum

    run, index, key = (os.environ.get(f"SIGHTLINE_{name}") for name in ("RUN", "INDEX", "API_KEY"))
    if not run:
        raise UserError("nothing to serve: let SIGHTLINE_RUN name a run or a bundle")
    key = None if key is None else checked_key(key, "SIGHTLINE_API_KEY")
    log_to_stderr(LOG)  # which Lambda keeps; its own handler would write each line a second time
    LOG.propagate = False
    bundle, limits = api.load(run), replace(Limits(), timeout_s=TIMEOUT_S, body_bytes=BODY_BYTES)
    service = Service(bundle, Index.open(index) if index else None, limits)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # where Mangum runs each request
    running = service.running()
    loop.run_until_complete(running.__aenter__())
    return Mangum(make_app(service, key), lifespan="off"), running


if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # a container of Lambda starts: before, not in, the first event's time
    _opened()
