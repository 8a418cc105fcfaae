"""The files that a container engine and a cloud read, from the templates beside this module."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core import wording
from sightline.core.machine import describe
from sightline.deploy.measure import Measured
from sightline.deploy.sizing import Size, choose, choose_lambda

if TYPE_CHECKING:
    from jinja2 import Environment

    from sightline.bundle import Bundle

TEMPLATES = Path(__file__).parent / "templates"
ALWAYS = ("Dockerfile", ".dockerignore", "README.md")
MANIFESTS = {
    "docker": ("compose.yaml",),
    "aws": ("lambda.yaml", "ecs.yaml", "apprunner.yaml"),
    "azure": ("containerapp.json",),
    "gcp": ("service.yaml",),
    "kubernetes": ("kubernetes.yaml",),
}
PORT = 8080  # where SageMaker, Cloud Run and Vertex AI call


def sizes(target: str, measured: Measured) -> dict[str, Size]:
    """The size of a container for each way a target has to run one; UserError when none is large enough."""
    if target == "aws":
        return {"lambda": choose_lambda(measured), **{way: choose(measured, way) for way in ("ecs", "apprunner")}}
    return {target: choose(measured, target)}


def render(target: str, bundle: Bundle, measured: Measured, *, pictures: int | None) -> dict[str, str]:
    """The texts of the files of a target by their names; `pictures` is what the Index holds, where there is one.

    UserError when the target has no container that is large enough.
    """
    env = environment()
    chosen = sizes(target, measured)
    known: dict[str, Any] = {
        "target": target,
        "name": name_of(bundle.arch),
        "tag": bundle.model_hash[:12],
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "port": PORT,
        "measured": measured,
        "pictures": pictures,
        "sizes": chosen,
        "size": next(iter(chosen.values())),
        "side": bundle.preprocess.size,
        "machine": describe()["processor"],
        "start_tries": max(30, round(10 * measured.start_s)),  # of a second each
        "ending_s": round(measured.patience_s) + 10,
    }
    return {name: env.get_template(f"{name.lstrip('.')}.j2").render(known) for name in (*ALWAYS, *MANIFESTS[target])}


def name_of(arch: str) -> str:
    """What a network's service is called in a cloud: letters, digits and hyphens, at most 32."""
    return f"sightline-{re.sub('[^a-z0-9]+', '-', arch.lower())}"[:32].strip("-")


def environment() -> Environment:
    """The templates: plain text, in which every name has a value."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    words = (wording.size, wording.duration, wording.rate, wording.whole)
    made.filters.update({word.__name__: lambda value, word=word: word(value).replace("\xa0", " ") for word in words})
    made.filters["short"] = lambda number: f"{round(number, 2):g}"
    return made
