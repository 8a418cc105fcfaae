"""A thousand files that are no good pictures: each is answered or refused, and the service lives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sightline.bundle import Bundle
from sightline.data.pictures import PictureError
from tests.serve import damaged
from tests.serve.running import Running, running

MEMORY = 600e6  # bytes, of a service of a tiny network


def peak(service: Running) -> int:
    """The most memory that the process ever took, bytes."""
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what Pillow has to say of them
def test_a_thousand_damaged_files(explained: Bundle, tmp_path: Path, tests: list[bytes]) -> None:
    files = damaged.files()
    assert len(files) == 1000
    came: Counter[int] = Counter()
    with running(tmp_path, explained.path, "--max-megapixels", "20") as service:
        connection = service.connect()
        for number, (name, data) in enumerate(files):
            kind = {"Content-Type": ("image/png", "application/octet-stream", "image/jpeg")[number % 3]}
            path = "/explain" if number % 10 == 3 else "/predict"
            answer = service.ask("POST", path, data, kind, connection)
            came[answer.status] += 1
            assert answer.status in (200, 400, 413, 415, 422), (name, answer.body)
            assert (answer.status == 200) == opens(explained, data), (name, answer.body)
        connection.close()
        for start in range(0, len(files), 40):  # many at a time: those that open, and errors beside them
            group = files[start : start + 40]
            answer = service.form("/predict", *group)
            said = answer.json.get("predictions") or [{"name": name, "error": ""} for name, _ in group]
            assert [one["name"] for one in said] == [name for name, _ in group]
            assert ["classes" in one for one in said] == [opens(explained, data) for _, data in group]
        assert service.post("/predict", tests[0]).status == 200
        assert service.get("/readyz").status == 200
        assert peak(service) < MEMORY
        assert service.stop() == 0
        assert sum(line["event"] == "request" for line in service.log) == 1026  # and every line is JSON
    assert min(came[200], came[415], came[422]) > 50, came
    assert came[413] > 5


def opens(bundle: Bundle, data: bytes) -> bool:
    try:
        bundle.pixels(data, 20_000_000)
    except PictureError:
        return False
    return True
