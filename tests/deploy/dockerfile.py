"""A Dockerfile carried out without Docker: its steps, in order, in a virtual environment below a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

VERSIONS = re.compile(r"python:(\d+\.\d+)-slim-\w+")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """(instruction, its arguments), continued lines joined, comments left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in lines.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, arguments = line.strip().partition(" ")
            yield name, arguments.strip()


@dataclass
class Image:
    """What a Dockerfile says: `root` stands for "/", and `context` is the folder it lies in."""

    context: Path
    root: Path
    place: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    user: str = ""

    @property
    def python(self) -> Path:
        """The interpreter that the base image brings."""
        return self.root / "venv" / "bin" / "python"

    def build(self) -> Image:
        """Carry out every step; one that this reader does not know is an AssertionError."""
        for name, arguments in instructions((self.context / "Dockerfile").read_text()):
            getattr(self, f"_{name.lower()}")(arguments)
        return self

    def environment(self, **more: str) -> dict[str, str]:
        """What a process in the image finds in its environment, paths below `root`."""
        inside = {name: self.inside(value) for name, value in self.env.items()}
        return {"PATH": f"{self.python.parent}:/usr/bin:/bin", **inside, **more}

    def inside(self, text: str) -> str:
        """`text` with /srv below `root`."""
        return text.replace("/srv", f"{self.root}/srv")

    def _from(self, arguments: str) -> None:
        found = VERSIONS.fullmatch(arguments)
        assert found
        assert found[1] == f"{sys.version_info.major}.{sys.version_info.minor}"
        subprocess.run([sys.executable, "-m", "venv", str(self.root / "venv")], check=True)

    def _workdir(self, arguments: str) -> None:
        self.place = arguments
        Path(self.inside(arguments)).mkdir(parents=True)

    def _copy(self, arguments: str) -> None:
        source, target = arguments.split()
        allowed = (self.context / ".dockerignore").read_text().splitlines()
        assert f"!{source}" in allowed
        to = Path(self.inside(self.place)) / target
        if (self.context / source).is_dir():
            shutil.copytree(self.context / source, to)
        else:
            shutil.copy(self.context / source, to)

    def _run(self, arguments: str) -> None:
        outside = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "HOME", "SSL"))}
        outside["PIP_NO_COMPILE"] = "1"  # of all the libraries a few modules are imported
        done = subprocess.run(
            arguments, shell=True, cwd=self.inside(self.place), env=self.environment(**outside),
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def _env(self, arguments: str) -> None:
        self.env |= dict(part.split("=", 1) for part in shlex.split(arguments))

    def _expose(self, arguments: str) -> None:
        assert arguments == self.env["PORT"]

    def _user(self, arguments: str) -> None:
        self.user = arguments

    def _healthcheck(self, arguments: str) -> None:
        self.health = json.loads(arguments[arguments.index("[") :])

    def _entrypoint(self, arguments: str) -> None:
        self.entrypoint = json.loads(arguments)

    def _cmd(self, arguments: str) -> None:
        self.command = json.loads(arguments)
