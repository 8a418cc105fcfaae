"""`sightline serve`: a network behind an address, with a page."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.output import print_line
from sightline.core.errors import UserError, named

MB = 1_000_000


def command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", envvar="SIGHTLINE_RUN", help="A run's directory, its name under runs/, or a bundle."
        ),
    ],
    index: Annotated[
        Path | None,
        typer.Option(
            envvar="SIGHTLINE_INDEX", help="An index made with this network: look-alikes too.", show_default=False
        ),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="The bundle that `sightline export RUN --int8` made.")] = False,
    host: Annotated[str, typer.Option(envvar="SIGHTLINE_HOST", help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar=["PORT", "AIP_HTTP_PORT"], min=0, max=65535, help="0 takes a free one.")
    ] = 8000,
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="A file with the key that requests must bring; or SIGHTLINE_API_KEY.", show_default="none"),
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, max=1024, help="Pictures that run together.")] = 16,
    max_delay: Annotated[
        float, typer.Option(min=0, max=1000, help="Milliseconds that a batch waits for pictures on their way.")
    ] = 0,
    max_waiting: Annotated[int, typer.Option(min=1, help="Pictures decoded, queued or run at a time; then 503.")] = 128,
    max_files: Annotated[int, typer.Option(min=1, help="Pictures in a request.")] = 64,
    max_megabytes: Annotated[int, typer.Option(min=1, max=1000, help="Of a request.")] = 32,
    max_megapixels: Annotated[int, typer.Option(min=1, max=120, help="Of a picture.")] = 50,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds in which a request is answered, or 504.")
    ] = 30,
) -> None:
    """Serve a page and an HTTP API for RUN: classes, where they are seen, vectors, look-alikes.

    Options may come from the environment, as clouds give them: PORT, SIGHTLINE_RUN, SIGHTLINE_INDEX, SIGHTLINE_API_KEY.
    """
    from sightline import api
    from sightline.search.index import Index
    from sightline.serve.app import make_app
    from sightline.serve.limits import Limits
    from sightline.serve.server import address, is_local, reserve
    from sightline.serve.server import run as answer
    from sightline.serve.service import Service

    limits = replace(
        Limits(), batch=max_batch, delay_s=max_delay / 1000, files=max_files, body_bytes=max_megabytes * MB,
        pixels=max_megapixels * MB, timeout_s=timeout,
        waiting=max(max_waiting, max_batch, max_files), held_bytes=max(Limits().held_bytes, 2 * max_megabytes * MB),
    )  # fmt: skip
    key = key_of(api_key_file)
    health, predict = (_route(name) for name in ("AIP_HEALTH_ROUTE", "AIP_PREDICT_ROUTE"))
    with reserve(host, port) as reserved:
        service = Service(api.load(run, int8=int8), Index.open(index) if index else None, limits)
        local = is_local(reserved)
        app = make_app(service, key, health=health, predict=predict, local=local)

        def ready() -> None:
            bundle = service.bundle
            print_line(f"serving {bundle.arch} of {len(bundle.classes):,} classes at {address(reserved)}")
            if key is None and not local:
                print_line("without a key: whoever reaches this address may ask")

        answer(app, service, reserved, ready)


def _route(name: str) -> str | None:
    """The address that the environment calls `name`; UserError when it cannot be one."""
    route = os.environ.get(name)
    if route and (not route.startswith("/") or set(route) & set("{}")):
        raise UserError(f"{name} is {named(route)}: an address begins with a slash and has no braces")
    return route or None


def key_of(file: Path | None) -> str | None:
    """The key in `file`, or in SIGHTLINE_API_KEY; UserError when the file cannot be read, or the key is empty."""
    if file is None:
        key = os.environ.get("SIGHTLINE_API_KEY")
        where = "SIGHTLINE_API_KEY"
    else:
        where = named(file)
        try:
            key = file.read_text().strip()
        except (OSError, UnicodeDecodeError):
            raise UserError(f"--api-key-file {where} cannot be read: name a file with one line of text") from None
    from sightline.serve.front import checked_key

    return None if key is None else checked_key(key, where)
