"""`sightline deploy`: a folder that becomes the service on a container engine or in a cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sightline.cli.output import Bars, note, print_json, print_line, print_table
from sightline.cli.parameters import Json, RunName
from sightline.core.wording import duration, rate, size

Target = Annotated[
    Literal["docker", "aws", "azure", "gcp", "kubernetes"],
    typer.Argument(metavar="TARGET", help="docker, aws, azure, gcp or kubernetes.", show_default=False),
]
WAYS = {
    "docker": "container", "azure": "Container Apps", "gcp": "Cloud Run", "kubernetes": "pod",
    "apprunner": "App Runner", "ecs": "ECS Express Mode", "lambda": "Lambda",
}  # fmt: skip


def command(
    target: Target,
    run: RunName,
    out: Annotated[Path, typer.Option(help="The folder to write, a new directory.")],
    index: Annotated[
        Path | None, typer.Option(help="An index made with this network: look-alikes too.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Write a folder to build the service of RUN from, with manifests for TARGET sized by what is measured.

    Nothing is sent anywhere: README.md in the folder has the commands to run.
    """
    from sightline.deploy.build import deploy

    said = deploy(target, run, out, index=index, progress=Bars())
    if json:
        print_json(said)
        return
    show(said)


def show(said: dict[str, Any]) -> None:
    """What was measured, what was chosen, and where to read on."""
    measured = said["measured"]
    rows = [
        ["ready after", duration(measured["start_s"])],
        ["pictures/s of a processor", rate(1 / measured["request_cpu_s"])],
        ["memory", size(measured["peak_bytes"])],
        ["more for the largest picture", size(measured["picture_bytes"])],
    ]
    print_table(f"{said['model']['arch']}, measured here", ["figure", "value"], rows, left=2)
    chosen = [
        [WAYS[way], f"{of['processors']:.3g}", f"{of['memory_gib']:.3g} GiB", f"{of['at_once']}"]
        for way, of in said["sizes"].items()
    ]
    print_table("chosen", ["where", "processors", "memory", "requests at a time"], chosen)
    missing = (said["index"] or {}).get("missing")
    if missing:
        note(f"{missing:,} pictures of the index are not here: their small pictures will be missing")
    print_line(f"folder  {said['path']}")
    print_line(f"next    {Path(said['path']) / 'README.md'}")
