"""What is asked and what is answered: every form of a request, every refusal, and what stands around an answer."""

from __future__ import annotations

import io
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.bundle import Bundle, softmax
from sightline.data.dataset import Dataset
from sightline.data.pixels import Pixels
from sightline.data.preprocess import Preprocess
from sightline.search.index import Index
from sightline.serve.limits import Limits
from sightline.serve.service import Service
from tests.explain.networks import CLASSES, COLOUR, pooled
from tests.serve.running import PNG, Answer, Running, b64, form, gated, png, threaded

KEY = "a-key-of-letters"
SAFE = {
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip
BAD = b"GIF89a is not enough"


def best(answer: Answer, place: int = 0) -> str:
    return str(answer.json["predictions"][place]["classes"][0]["name"])


def check_same(said: dict[str, Any], expected: Any) -> None:
    """The served classes are those of `Bundle.predict`, with its probabilities."""
    assert said["classes"][0]["name"] == expected.classes[0][0]
    own = dict(expected.classes)
    assert {one["name"]: one["probability"] for one in said["classes"]} == pytest.approx(own, abs=1e-5)


def test_every_test_picture_is_answered_as_the_bundle_answers(
    service: Running, bundle: Bundle, tests: list[bytes]
) -> None:
    expected = list(bundle.predict(tests, top=10))
    served: list[dict[str, Any]] = []
    sizes, at = itertools.cycle([17, 1, 33, 2, 64, 16, 7]), 0
    while at < len(tests):
        group = tests[at : at + next(sizes)]
        answer = service.form("/predict?top=10", *((f"{at + i}.png", data) for i, data in enumerate(group)))
        assert [one["name"] for one in answer.json["predictions"]] == [f"{at + i}.png" for i in range(len(group))]
        served += answer.json["predictions"]
        at += len(group)
    assert len(served) == len(expected) == len(tests) > 200
    for said, own in zip(served, expected, strict=True):
        check_same(said, own)


def test_the_pixels_are_those_that_were_measured(bundle: Bundle, digits: Dataset, tests: list[bytes]) -> None:
    rows = digits.rows("test")
    measured = Pixels(digits, bundle.preprocess).read(rows)
    assert np.array_equal(measured, np.stack([bundle.pixels(digits.name_of(row)) for row in rows]))
    service, gate = gated(bundle, batch=1)
    entered = []
    run = gate.run
    gate.run = lambda images, **only: (entered.append(images), run(images, **only))[1]  # type: ignore[method-assign]
    gate.opened.set()
    with threaded(service) as client:
        for data in tests[:40]:
            assert client.post("/predict", data).status == 200
    assert np.array_equal(np.concatenate(entered[-40:]), measured[:40])


def test_photos_are_answered_as_the_bundle_answers(
    tmp_path: Path, explained: Bundle, explainer: Running, shared: Any
) -> None:
    import zipfile

    with zipfile.ZipFile(shared("data/clothing/clothing_subset.zip")) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith((".jpg", ".png"))]
        photos = [archive.read(name) for name in names[:: len(names) // 40]]
    answer = explainer.form("/predict", *((f"{i}.jpg", data) for i, data in enumerate(photos)))
    expected = list(explained.predict(photos))
    for said, own in zip(answer.json["predictions"], expected, strict=True):
        check_same(said, own)


def test_a_picture_is_answered_alike_in_whatever_form_it_comes(
    service: Running, bundle: Bundle, tests: list[bytes]
) -> None:
    data, text = tests[5], b64(tests[5])
    (expected,) = bundle.predict([data])
    forms = [
        service.post("/predict", data),
        service.post("/predict", data, "application/octet-stream"),
        service.post("/predict", data, "image/x-unheard-of; q=1"),
        service.ask("POST", "/predict", data),
        service.ask("POST", "/predict", iter([data[:10], data[10:]])),
        service.form("/predict", ("one.png", data)),
        service.json("/predict", {"image": text}),
        service.json("/predict", {"images": [text]}),
        service.json("/predict", {"images": [{"name": "mine", "data": text}]}),
        service.json("/predict", {"images": [f"data:image/png;base64,{text}"]}),
        service.json("/predict", {"images": [re.sub("(.{76})", r"\1\n", text)]}),
        service.post("/invocations", data, "application/x-image"),
        service.json("/invocations", {"images": [text]}),
    ]
    for answer in forms:
        assert answer.status == 200, answer.body
        (said,) = answer.json["predictions"]
        check_same(said, expected)
    assert forms[0].json["model"] == {"name": "prototype", "version": bundle.model_hash[:12]}
    names = [answer.json["predictions"][0]["name"] for answer in forms]
    assert names == [
        *["picture"] * 5,
        "one.png",
        *["picture 1"] * 2,
        "mine",
        *["picture 1"] * 2,
        "picture",
        "picture 1",
    ]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"images": ["http://127.0.0.1:1/cat.jpg"]}, "picture 1 is not base64"),
        ({"images": [{"url": "http://127.0.0.1:1/cat.jpg"}]}, "picture 1 is not base64"),
        ({"url": "http://127.0.0.1:1/cat.jpg"}, "no picture in the request"),
        ({"image": "file:///etc/passwd"}, "picture 1 is not base64"),
        ({"images": []}, "no picture in the request"),
        ({"images": "aGVsbG8="}, "JSON of another shape"),
        ({"images": [None]}, "picture 1 is not base64"),
        ({"images": [["aGVsbG8="]]}, "picture 1 is not base64"),
        ([], "JSON of another shape"),
        ("aGVsbG8=", "JSON of another shape"),
        (None, "JSON of another shape"),
    ],
)
def test_json_that_holds_no_picture(service: Running, document: Any, says: str) -> None:
    answer = service.json("/predict", document)
    assert (answer.status, says in answer.error) == (400, True), answer.error


@pytest.mark.parametrize(
    "body", [b"{", b"", b"\xff\xfe", b"[" * 100_000, b'{"images": ' + b"1" * 5000 + b"}", b"NaN", b'"\\ud800"']
)
def test_json_that_is_none(service: Running, body: bytes) -> None:
    assert service.post("/predict", body, "application/json").status == 400


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=limit", b"nothing of the kind"),
        ("multipart/form-data; boundary=limit", b"--limit\r\nbroken\r\n\r\n--limit--\r\n"),
        ("multipart/form-data; boundary=limit", b"--limit\r\n" + b"A: " + b"x" * 200_000),
        ("multipart/form-data; boundary=limit; charset=nonsense", b"--limit"),
        ("multipart/form-data; boundary=limit", b'--limit\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'),
        ("multipart/form-data; boundary=" + "x" * 5000, b"--x"),
        ("image/png", b""),
    ],
)  # fmt: skip
def test_forms_that_hold_no_picture(service: Running, kind: str, body: bytes) -> None:
    assert service.post("/predict", body, kind).status == 400


def test_a_form_that_ends_early_is_no_whole_form(service: Running, tests: list[bytes]) -> None:
    body, kind = form(("a.png", tests[0]))
    assert service.post("/predict", body[:-30], kind).status == 400


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        (BAD, 422, "truncated or corrupt"),
        (b"hello", 415, "not an image"),
        (b"\0\0\0\x18ftypheic" + bytes(50), 415, "HEIC"),
        (png(Image.new("1", (8000, 8000))), 413, "too many pixels"),
    ],
)
def test_a_picture_that_cannot_be_read_is_named(service: Running, data: bytes, status: int, says: str) -> None:
    for answer in (service.form("/predict", ("mine.jpg", data)), service.form("/similar", ("mine.jpg", data))):
        assert answer.status == status
        assert answer.error.startswith("mine.jpg: ")
        assert says in answer.error


@pytest.mark.parametrize("path", ["/predict", "/embed", "/similar"])
def test_one_broken_picture_of_many_is_an_error_beside_the_others(
    service: Running, tests: list[bytes], path: str
) -> None:
    answer = service.form(path, ("a.png", tests[0]), ("b.png", BAD), ("c.png", tests[1]))
    assert answer.status == 200
    (said,) = (value for value in answer.json.values() if isinstance(value, list))
    assert [sorted(one) for one in said] == [sorted(said[0]), ["error", "name"], sorted(said[0])]
    assert said[1] == {"name": "b.png", "error": "truncated or corrupt"}
    assert service.form(path, ("a.png", BAD), ("b.png", b"x")).error == "a.png: truncated or corrupt"


def test_names_that_are_sent_are_said_again_on_one_line(service: Running, tests: list[bytes]) -> None:
    named = [{"name": name, "data": b64(tests[0])} for name in ("a\r\nX-Evil: 1", "\ud800", "é漢", "n" * 500, "")]
    answer = service.json("/predict", {"images": named})
    names = [one["name"] for one in answer.json["predictions"]]
    assert names == ["a\\r\\nX-Evil: 1", "\\ud800", "é漢", "n" * 100, ""]
    assert answer.headers["X-Evil"] is None


def test_too_many_pictures(service: Running, tests: list[bytes]) -> None:
    many = [(f"{i}.png", tests[0]) for i in range(65)]
    for answer in (service.form("/predict", *many), service.json("/predict", {"images": [b64(tests[0])] * 65})):
        assert answer.status == 413


def test_a_body_that_is_too_large(bundle: Bundle, tests: list[bytes]) -> None:
    with threaded(Service(bundle, limits=Limits(body_bytes=100_000))) as client:
        for body in (bytes(100_001), iter([bytes(60_000)] * 2), iter([bytes(60_000)] * 2000)):
            answer = client.ask("POST", "/predict", body)
            assert (answer.status, "100,000 bytes" in answer.error) == (413, True)
        connection = client.connect()
        assert client.ask("POST", "/predict", bytes(200_000), connection=connection).status == 413
        assert client.ask("POST", "/predict", tests[0], connection=connection).status == 200
        connection.close()
        with client.socket() as raw:  # by its header alone, before a byte of it is sent
            raw.sendall(b"POST /predict HTTP/1.1\r\nHost: 0\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "video/mp4", "nonsense", "a" * 500]
)
def test_types_that_are_not_taken(service: Running, kind: str) -> None:
    answer = service.post("/predict", b"x", kind)
    assert answer.status == 415
    assert len(answer.error) < 400


@pytest.mark.parametrize(
    "path",
    ["/predict?top=0", "/predict?top=1001", "/predict?top=a", "/similar?k=0", "/similar?k=101", "/similar?k=1.5"],
)
def test_parameters_out_of_range(service: Running, tests: list[bytes], path: str) -> None:
    answer = service.post(path, tests[0])
    assert answer.status == 422
    assert answer.error.startswith(path.partition("?")[2].partition("=")[0])


def test_as_many_classes_as_asked_for(service: Running, tests: list[bytes]) -> None:
    for top, count in ((1, 1), (3, 3), (1000, 10)):
        classes = service.post(f"/predict?top={top}", tests[0]).json["predictions"][0]["classes"]
        shares = [one["probability"] for one in classes]
        assert len(shares) == count
        assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)


def test_vectors_are_the_networks_at_length_one(service: Running, bundle: Bundle, tests: list[bytes]) -> None:
    said = service.form("/embed", ("a", tests[0]), ("b", tests[1])).json["embeddings"]
    for one, answer in zip(said, bundle.stream(tests[:2], only=("embedding",)), strict=True):
        assert answer.embedding is not None
        assert one["embedding"] == pytest.approx(
            (answer.embedding / np.linalg.norm(answer.embedding)).tolist(), abs=1e-6
        )
    black = service.post("/embed", png(np.zeros((8, 8), np.uint8))).json["embeddings"][0]["embedding"]
    assert black == [0] * 64


def test_look_alikes_are_the_indexes(service: Running, index: Index, tests: list[bytes]) -> None:
    said = service.post("/similar?k=5", tests[3]).json["similar"][0]["neighbours"]
    found = index.search(tests[3], 5)
    assert [(one["row"], one["class"], one["split"]) for one in said] == [(n.row, n.label, n.split) for n in found]
    assert [one["distance"] for one in said] == pytest.approx([n.distance for n in found], abs=1e-6)
    small = service.get("/" + said[0]["picture"])
    assert small.headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(small.body)).size == (8, 8)


def test_a_picture_without_direction_has_no_look_alikes(service: Running, tests: list[bytes]) -> None:
    black = png(np.zeros((8, 8), np.uint8))
    answer = service.post("/similar", black)
    assert answer.status == 422
    assert answer.error.startswith("picture: nothing looks alike: its embedding is zero")
    both = service.form("/similar", ("black", black), ("a", tests[0]))
    assert both.status == 200
    assert [("error" in one, "neighbours" in one) for one in both.json["similar"]] == [(True, False), (False, True)]


@pytest.mark.parametrize("row", ["1797", "-1", "9" * 40])
def test_rows_that_are_not_in_the_index(service: Running, row: str) -> None:
    answer = service.get(f"/pictures/{row}")
    assert (answer.status, "rows are 0 to 1796" in answer.error) == (404, True)
    assert service.get("/pictures/one").status == 422


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/docs/..%2f..%2f__init__.py", "/static//etc/passwd", "/docs/%00",
     "/pictures/../../etc/passwd", "/static/%2e%2e%2f%2e%2e%2fserve/app.py", "/static/" + "a" * 5000, "/nowhere"],
)  # fmt: skip
def test_no_file_beside_the_pages_own_is_given(service: Running, path: str) -> None:
    answer = service.get(path)
    assert answer.status in (404, 422)
    assert answer.json["error"]


def test_the_heat_in_numbers_and_drawn(explainer: Running, explained: Bundle) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    said = explainer.post("/explain", png(picture)).json
    (own,) = explained.stream([png(picture)], only=("logits", "feature_map"))
    assert own.logits is not None
    assert said["class"] == CLASSES[own.logits.argmax()]
    assert said["probability"] == pytest.approx(softmax(own.logits).max(), abs=1e-5)
    service = Service(explained)
    assert service.heat
    bias = service.heat.bias[own.logits.argmax()]
    assert np.mean(said["heat"]) + bias == pytest.approx(own.logits.max(), abs=1e-4)
    assert said["box"] == pytest.approx([0.2, 0, 0.8, 1])
    drawings = [
        explainer.post("/explain?picture=true", png(picture)),
        explainer.post("/explain", png(picture), Accept=PNG),
    ]
    for drawn in drawings:
        assert drawn.headers["Content-Type"] == PNG
        changed = np.abs(np.asarray(Image.open(io.BytesIO(drawn.body))).astype(int) - picture).sum(-1)
        assert changed.shape == (30, 50)
        assert not changed[:, :10].any()
        assert not changed[:, 40:].any()
        inside = Image.fromarray(changed[:, 10:40].astype(np.float32)).resize((8, 8), Image.Resampling.BOX)
        assert np.corrcoef(np.asarray(inside).ravel(), np.maximum(said["heat"], 0).ravel())[0, 1] > 0.5


def test_the_heat_of_a_class_by_its_name(explainer: Running, tmp_path: Path) -> None:
    data = png(np.random.default_rng(3).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    said = {name: explainer.post(f"/explain?class={name}", data).json for name in CLASSES}
    assert {one["class"] for one in said.values()} == set(CLASSES)
    assert sum(one["probability"] for one in said.values()) == pytest.approx(1)
    assert said["hat"]["heat"] != said["cup"]["heat"]
    for unknown in ("cat", "", "%0d%0aX-Evil:1", "HAT"):
        answer = explainer.post(f"/explain?class={unknown}", data)
        assert (answer.status, answer.error.startswith("no class")) == (422, True)
    assert explainer.form("/explain", ("a", data), ("b", data)).status == 400
    assert explainer.post("/explain", BAD).status == 422


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG"])
@pytest.mark.parametrize(
    ("preprocess", "box"),
    [
        (COLOUR, [0, 0.25, 1, 0.75]),
        (replace(COLOUR, crop_frac=0.5), [0.25, 0.375, 0.75, 0.625]),
        (replace(COLOUR, resize="squash"), [0, 0, 1, 1]),
    ],
)
def test_the_box_is_that_of_the_upright_picture(
    tmp_path: Path, kind: str, preprocess: Preprocess, box: list[float]
) -> None:
    service = Service(pooled(tmp_path / "bundle", preprocess))
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # turned by a quarter: 40 x 20 lies, 20 x 40 stands
    Image.new("RGB", (40, 20)).save(file, kind, exif=exif)
    assert service.box(file.getvalue()) == pytest.approx(box)


def test_what_cannot_be_explained_or_compared_has_no_address(service: Running, explainer: Running) -> None:
    assert service.post("/explain", b"x").status == 404
    assert explainer.post("/similar", b"x").status == 404
    assert explainer.get("/pictures/1").status == 404
    for client, has in ((service, {"/similar", "/pictures/{row}"}), (explainer, {"/explain"})):
        paths = set(client.get("/openapi.json").json["paths"])
        assert paths == {"/predict", "/embed", "/model", "/healthz", "/readyz", "/metrics"} | has


def test_the_card(service: Running, explainer: Running, bundle: Bundle) -> None:
    card = service.get("/model").json
    assert card["classes"] == list(bundle.classes)
    assert (card["explains"], card["index"]) == (False, {"name": "digits", "pictures": 1797})
    assert card["preprocess"] == bundle.preprocess.to_dict()
    assert card["limits"]["body_bytes"] == 32_000_000
    assert (explainer.get("/model").json["explains"], explainer.get("/model").json["index"]) == (True, None)


def test_probes(service: Running) -> None:
    assert service.get("/healthz").json == {"status": "alive"}
    assert service.get("/readyz").json == service.get("/ping").json == {"status": "ready"}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/model"), ("GET", "/healthz"), ("GET", "/nowhere"), ("PUT", "/predict"),
     ("POST", "/predict"), ("GET", "/static/page.js"), ("GET", "/docs"), ("GET", "/metrics"), ("OPTIONS", "/predict"),
     ("HEAD", "/static/page.js")],
)  # fmt: skip
def test_every_answer_keeps_a_browser_safe_and_no_other_site_in(service: Running, method: str, path: str) -> None:
    answer = service.ask(method, path, headers={"Origin": "https://elsewhere.example"})
    assert {name: answer.headers[name] for name in SAFE} == SAFE
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert ("unsafe" in policy) == (path == "/docs")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers["Server"] is None
    assert answer.status < 500


def test_what_is_no_request_is_refused_like_any(service: Running) -> None:
    for sent in (b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000):
        with service.socket() as raw:
            raw.sendall(sent)
            head, _, body = b"".join(iter(lambda raw=raw: raw.recv(65536), b"")).partition(b"\r\n\r\n")  # type: ignore[misc]
        assert head.startswith(b"HTTP/1.1 400 Bad Request")
        assert b"x-content-type-options: nosniff" in head
        assert list(json.loads(body)) == ["error"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-1.2_3", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("é", False), ("", False)],
)
def test_a_plain_request_id_is_said_again(service: Running, given: str, kept: bool) -> None:
    answer = service.ask("GET", "/model", headers={"X-Request-ID": given})
    said = answer.headers["X-Request-ID"]
    assert (said == given) == kept
    assert kept or re.fullmatch("[0-9a-f]{16}", said)


def test_only_who_has_the_key_comes_in(bundle: Bundle, index: Index, tests: list[bytes]) -> None:
    with threaded(Service(bundle, index), KEY) as client:
        for path in (
            "/",
            "/healthz",
            "/readyz",
            "/ping",
            "/static/page.js",
            "/docs",
            "/docs/swagger-ui.css",
            "/openapi.json",
        ):
            assert client.get(path).status == 200, path
        right: list[dict[str, str]] = [
            {"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer  {KEY} "}, {"X-API-Key": KEY},
        ]  # fmt: skip
        wrong: list[dict[str, str]] = [
            {}, {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {KEY}"}, {"Authorization": f"Bearer {KEY}x"},
            {"X-API-Key": ""}, {"Authorization": "Bearer"}, {"X-API-Key": "é"}, {"Authorization": KEY},
        ]  # fmt: skip
        for headers in right:
            assert client.ask("POST", "/predict", tests[0], headers).status == 200
            assert client.ask("GET", "/model", headers=headers).status == 200
        for headers in wrong:
            for method, path in (
                ("POST", "/predict"), ("POST", "/invocations"), ("POST", "/healthz"), ("GET", "/model"),
                ("GET", "/metrics"),
                ("GET", "/pictures/1"), ("GET", "/nowhere"), ("GET", "/static/../model"), ("GET", "//model"),
            ):  # fmt: skip
                answer = client.ask(method, path, b"x" if method == "POST" else None, headers)
                if path != "/static/../model":
                    assert answer.status == 401, (path, headers)
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
                    assert KEY not in answer.error
                assert answer.status in (401, 404)


def test_a_page_of_another_site_learns_nothing(bundle: Bundle, tests: list[bytes]) -> None:
    """Neither by asking from its own address, nor by letting its own name lead to this machine (DNS rebinding)."""
    named = {"Host": "photos.example:8000"}
    with threaded(Service(bundle), local=True) as client:
        crossing = {"Sec-Fetch-Site": "cross-site", "Content-Type": PNG}
        assert "another site" in client.ask("POST", "/predict", tests[0], crossing).error
        assert client.ask("POST", "/predict", tests[0], {**crossing, "Sec-Fetch-Site": "same-origin"}).status == 200
        own = {"Origin": "http://localhost:8000", "Content-Type": PNG}
        assert client.ask("POST", "/predict", tests[0], own).status == 200
        for origin in ("http://photos.example", "null", "http://photos.example:8000"):
            assert "another site" in client.ask("POST", "/predict", tests[0], {**own, "Origin": origin}).error
        assert client.ask("GET", "/healthz", headers=named).status == 200
        for host in ("localhost", "LOCALHOST:1", "app.localhost", "127.0.0.1:8000", "[::1]:8000", "192.168.1.7"):
            assert client.ask("GET", "/model", headers={"Host": host}).status == 200, host
        for host in ("photos.example", "localhost.example", "1.2.3.4.example", "127.0.0.1@example", "x[::1]"):
            answer = client.ask("GET", "/model", headers={"Host": host})
            assert (answer.status, answer.error[:12]) == (403, "this service"), host
    with threaded(Service(bundle)) as client:
        assert client.ask("GET", "/model", headers=named).status == 200
    with threaded(Service(bundle), KEY, local=True) as client:
        assert client.ask("GET", "/model", headers={**named, "X-API-Key": KEY}).status == 200
        assert client.ask("POST", "/predict", tests[0], {**crossing, "X-API-Key": KEY}).status == 200


def test_the_key_is_compared_in_constant_time(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or False)
    with threaded(Service(bundle), KEY) as client:
        assert client.get("/model", X_API_Key=KEY).status == 401
    assert compared == [(KEY.encode(), KEY.encode())]


def test_vertex_addresses(bundle: Bundle, tests: list[bytes]) -> None:
    expected = list(bundle.predict(tests[:2], top=3))
    instances = [{"b64": b64(tests[0])}, {"image_bytes": {"b64": b64(tests[1])}}]
    for route in ("/v1/endpoints/1:predict", "/predict"):
        with threaded(Service(bundle), health="/health", predict=route) as client:
            assert client.get("/health").json == {"status": "ready"}
            answer = client.json(route, {"instances": instances, "parameters": {"top": 3}})
            assert list(answer.json) == ["predictions"]
            for said, own in zip(answer.json["predictions"], expected, strict=True):
                check_same(said, own)
            answer = client.json(route, {"instances": [*instances, {"b64": b64(BAD)}]})
            assert [list(one) for one in answer.json["predictions"]] == [["classes"], ["classes"], ["error"]]
            for document in ({}, [], {"instances": []}, {"instances": ["http://x"]}, {"instances": [{"url": "x"}]}):
                assert client.json(route, document).status == 400
            for top in (0, -1, "a", True, 1.5):
                assert client.json(route, {"instances": instances, "parameters": {"top": top}}).status == 400
            for top in (10**4, 10**30):
                said = client.json(route, {"instances": instances, "parameters": {"top": top}}).json
                assert len(said["predictions"][0]["classes"]) == 10
            assert client.json(route, {"instances": [{"b64": b64(BAD)}]}).status == 422
            assert client.json(route, {"instances": instances * 33}).status == 413


def test_what_was_counted_is_what_was_sent(bundle: Bundle, index: Index, tests: list[bytes]) -> None:
    with threaded(Service(bundle, index)) as client:
        for data in tests[:3]:
            client.post("/predict", data)
        client.form("/predict", ("a", tests[0]), ("b", BAD))
        client.post("/predict", BAD)
        client.post("/predict", b"x", "text/plain")
        client.get("/static/page.js")
        client.get("/nowhere/at/all")
        client.get("/pictures/3")
        said = client.metrics()
    requests = {
        name.partition("{")[2]: value for name, value in said.items() if name.startswith("sightline_requests_total")
    }
    assert requests == {
        'route="/predict",status="200"}': 4, 'route="/predict",status="422"}': 1, 'route="/predict",status="415"}': 1,
        'route="/pictures/{row}",status="200"}': 1, 'route="other",status="404"}': 1,
        next(name for name in requests if "static" in name or name == 'route="other",status="200"}'): 1,
    }  # fmt: skip
    assert said['sightline_pictures_total{outcome="answered"}'] == 4
    assert said['sightline_pictures_total{outcome="unreadable"}'] == 2
    assert said["sightline_batch_size_sum"] == said['sightline_stage_seconds_count{stage="graph"}'] == 4
    assert said["sightline_batch_size_count"] == said["sightline_batch_seconds_count"] == 4
    assert said['sightline_request_seconds_count{route="/predict"}'] == 6
    assert said["sightline_pictures_waiting"] == 0


def test_the_addresses_page_asks_no_other_host(service: Running) -> None:
    page = service.get("/docs").body.decode()
    own = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert own
    for address in own:
        assert "//" not in address
        assert service.get(f"/{address}").status == 200
    assert "http" not in re.sub(r"<!--.*?-->", "", page.replace(service.url, ""))


def test_a_network_and_an_index_that_do_not_belong_together(explained: Bundle, index: Index) -> None:
    from sightline.core.errors import UserError

    with pytest.raises(UserError, match="make the index with this network"):
        Service(explained, index)


def test_pictures_of_the_index_that_are_gone(bundle: Bundle, index: Index, tmp_path: Path, tests: list[bytes]) -> None:
    import shutil

    moved = Index.open(shutil.copytree(index.path, tmp_path / "index"))
    moved.document["root"] = str(tmp_path / "nowhere")
    shutil.rmtree(tmp_path / "index" / "thumbnails", ignore_errors=True)
    with threaded(Service(bundle, moved)) as client:
        neighbours = client.post("/similar", tests[0]).json["similar"][0]["neighbours"]
        answer = client.get("/" + neighbours[0]["picture"])
    assert (answer.status, "is not here" in answer.error) == (404, True)
