"""Finding weights: public files from a server that behaves and one that does not, and files with a word beside them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from sightline.core import download
from sightline.core.errors import UserError
from sightline.data.preprocess import Preprocess
from sightline.models import ARCHITECTURES, create, pretrained
from sightline.models.pretrained import CENTRE, PUBLIC, find_weights
from tests.serving import Handler
from tests.weights import write_weights


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; the folder weights go to."""
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def served(server: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Weights of googlenet_small, published on the server as those of "googlenet_small"."""
    content = io.BytesIO()
    torch.save(create("googlenet_small", num_classes=1000).state_dict(), content)
    digits = hashlib.sha256(content.getvalue()).hexdigest()[:8]
    monkeypatch.setattr(Handler, "content", content.getvalue())
    monkeypatch.setattr(pretrained, "ADDRESS", f"{server}/models/")
    monkeypatch.setattr(download, "is_public", lambda address: True)
    monkeypatch.setitem(PUBLIC, "googlenet_small", (f"googlenet_small-{digits}.pth", CENTRE))
    return content.getvalue()


def refused(call: Callable[[], Any]) -> str:
    """The one line a call is refused with."""
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_table_names_networks_of_ours_and_files_with_a_hash() -> None:
    assert PUBLIC.keys() <= ARCHITECTURES.keys()
    for arch, (file, preprocess) in PUBLIC.items():
        assert file.startswith(arch)
        assert len(bytes.fromhex(file.removesuffix(".pth").rpartition("-")[2])) == 4
        assert Preprocess(**preprocess.fields()).size == ARCHITECTURES[arch].size
        assert preprocess.interpolation == ("bicubic" if arch.startswith("efficientnet") else "bilinear")
    assert {name for name in ARCHITECTURES if name.startswith(("resnet", "vgg", "alexnet"))} - PUBLIC.keys() == {
        f"resnet{layers}" for layers in (20, 32, 44, 56, 110, 1202)
    }


def test_googlenets_public_weights_want_pictures_from_minus_one_to_one() -> None:
    # torchvision's GoogLeNet takes ImageNet's normalisation and makes this of it inside (transform_input).
    pictures = torch.rand(2, 3, 4, 4)
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    inside = (pictures - mean) / std * (std / 0.5) + (mean - 0.5) / 0.5
    fields = PUBLIC["googlenet"][1].fields()
    ours = (pictures - torch.tensor(fields["mean"]).reshape(3, 1, 1)) / torch.tensor(fields["std"]).reshape(3, 1, 1)
    torch.testing.assert_close(ours, inside)


def test_a_download_shows_how_far_it_is(served: bytes) -> None:
    told: list[tuple[str, int | None, str]] = []
    done: list[int] = []

    class Watching:
        def task(self, title: str, total: int | None, unit: str = "images") -> AbstractContextManager[Any]:
            told.append((title, total, unit))
            return nullcontext(lambda n=1, **_: done.append(n))

        def note(self, text: str) -> None:
            """Nothing to say."""

    find_weights("imagenet", "googlenet_small", progress=Watching())
    assert [(total, unit) for _, total, unit in told] == [(len(served), "bytes")]
    assert sum(done) == len(served)


def test_options_that_no_public_file_can_fit_are_told_before_the_download(
    served: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "do not fit googlenet_small:naive=yes" in refused(
        lambda: find_weights("imagenet", "googlenet_small:naive=yes")
    )
    assert Handler.ranges == []
    assert find_weights("imagenet", "googlenet_small:aux=no").arch == "googlenet_small:aux=no"


def test_public_weights_are_fetched_once_and_verified(served: bytes, cache: Path) -> None:
    for _ in range(2):
        found = find_weights("imagenet", "googlenet_small")
        assert found.path.read_bytes() == served
    assert Handler.ranges == [None]
    assert found.path.parent == cache
    assert found.sha256 == hashlib.sha256(served).hexdigest()
    assert (found.source, found.arch) == ("imagenet", "googlenet_small")
    assert Preprocess(**found.preprocess) == Preprocess(224, crop_frac=0.875)
    assert found.choose(None, "imagenet") == ("torchvision", "imagenet")
    how = {"in_channels": 3, "style": "torchvision", "stem": "small"}
    assert found.check(num_classes=5, **how).classes == 1000  # type: ignore[arg-type]


def test_a_download_that_breaks_off_goes_on(served: bytes, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "ADDRESS", f"{server}/broken/")
    monkeypatch.setattr(Handler, "stop", len(served) // 2 + 1)
    assert find_weights("imagenet", "googlenet_small").path.read_bytes() == served
    assert Handler.ranges == [None, f"bytes={len(served) // 2 + 1}-"]


def test_a_download_that_stays_broken_is_kept_for_the_next_try(
    served: bytes, server: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = cache / (PUBLIC["googlenet_small"][0] + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(served[:1000])
    part.with_suffix(".tag").write_text(Handler.etag)
    with monkeypatch.context() as broken:
        broken.setattr(pretrained, "ADDRESS", f"{server}/broken/")
        broken.setattr(Handler, "stop", 0)
        assert "1,000 bytes are kept" in refused(lambda: find_weights("imagenet", "googlenet_small"))
    monkeypatch.setattr(Handler, "ranges", [])
    assert find_weights("imagenet", "googlenet_small").path.read_bytes() == served
    assert Handler.ranges == ["bytes=1000-"]


def test_wrong_bytes_are_refused_and_not_kept(served: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "content", served[:-1] + b"?")
    said = refused(lambda: find_weights("imagenet", "googlenet_small"))
    assert "does not have the SHA-256" in said
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("place", ["http://127.0.0.1:9/", "http://sightline.invalid/"])
def test_offline_the_error_says_which_file_to_put_where(
    place: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(pretrained, "ADDRESS", place)
    monkeypatch.setattr(download, "is_public", lambda address: True)
    said = refused(lambda: find_weights("imagenet", "resnet50"))
    assert "offline" in said
    assert f"put resnet50-0676ba61.pth from {place} into {cache}" in said
    assert "--weights" in said


def test_a_file_that_is_not_on_the_server_is_told(served: bytes, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "ADDRESS", f"{server}/none/")
    assert "answers 404" in refused(lambda: find_weights("imagenet", "googlenet_small"))


def test_a_file_put_there_by_hand_serves_and_is_verified(served: bytes, cache: Path, tmp_path: Path) -> None:
    path = cache / PUBLIC["googlenet_small"][0]
    path.parent.mkdir(parents=True)
    path.write_bytes(served)
    assert find_weights("imagenet", "googlenet_small").path == path
    elsewhere = tmp_path / path.name
    elsewhere.write_bytes(served)
    found = find_weights(elsewhere)  # its name says what it is
    assert (found.arch, found.description.preprocess, found.source) == ("googlenet_small", CENTRE, str(elsewhere))
    for damaged, source in ((path, "imagenet"), (elsewhere, elsewhere)):
        damaged.write_bytes(served[:-1])
        assert "not the published file" in refused(lambda source=source: find_weights(source, "googlenet_small"))
    assert Handler.ranges == []


@pytest.mark.parametrize(
    ("arch", "words"),
    [("plain18", "plain18 has no public"), ("resnet20:shortcut=B", "resnet20 has no public"), (None, "--arch"),
     ("resnett50", 'did you mean "resnet50"')],
)  # fmt: skip
def test_networks_without_public_weights_are_told(arch: str | None, words: str, cache: Path) -> None:
    said = refused(lambda: find_weights("imagenet", arch))
    assert words in said
    assert "resnet50" in said


def test_a_file_says_beside_it_what_it_is(tmp_path: Path) -> None:
    said = {"arch": "resnet20", "style": "paper", "stem": "small", "preprocess": {"resize": [48, 48]}}
    path = write_weights(tmp_path / "mine.pth", "resnet20", said)
    found = find_weights(path)
    assert (found.arch, *found.choose(None, None)) == ("resnet20", "paper", "small")
    assert Preprocess(**found.preprocess) == Preprocess(48, resize="squash")
    assert find_weights(path, "resnet20:shortcut=B").arch == "resnet20:shortcut=B"
    assert found.choose("torchvision", None) == ("torchvision", "small")


def test_the_shortcut_beside_a_file_joins_whatever_network_is_asked_for(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "mine.pth", "resnet20:shortcut=B", {"shortcut": "B", "preprocess": {"resize": 32}})
    assert find_weights(path, "resnet20").arch == "resnet20:shortcut=B"
    assert find_weights(path, "resnet20:activation=leaky_relu").arch == "resnet20:activation=leaky_relu,shortcut=B"
    assert find_weights(path, "resnet20:shortcut=C").arch == "resnet20:shortcut=C"  # what is asked for goes before
    assert find_weights(path, "plain20").arch == "plain20"
    assert find_weights(path, "vgg11").arch == "vgg11"


def test_name_and_shortcut_beside_a_file_must_agree(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "mine.pth", "resnet20", {"arch": "resnet20:shortcut=B", "shortcut": "A"})
    assert "arch says shortcut B and shortcut says A" in refused(lambda: find_weights(path))


def test_a_file_without_a_word_needs_a_network_and_gets_its_size(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "mine.pth", "resnet20")
    said = refused(lambda: find_weights(path))
    assert "--arch" in said
    assert "mine.json" in said
    found = find_weights(path, "resnet20")
    assert Preprocess(**found.preprocess) == Preprocess(32)
    assert found.choose(None, None) == ("torchvision", "small")


def test_a_damaged_word_beside_a_file_is_told(tmp_path: Path) -> None:
    write_weights(tmp_path / "mine.pth", "resnet20", {"arch": "resnet20", "style": "odd"})
    assert "mine.json" in refused(lambda: find_weights(tmp_path / "mine.pth", "resnet20"))


@pytest.mark.parametrize(
    ("source", "words"), [("absent.pth", "no weights file"), ("imagnet", 'did you mean "imagenet"')]
)
def test_a_file_that_is_not_there(source: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refused(lambda: find_weights(source, "resnet20"))
    (tmp_path / "folder").mkdir()
    assert "no weights file" in refused(lambda: find_weights(tmp_path / "folder", "resnet20"))


def test_a_misfit_names_key_and_shapes_and_the_style_that_fits(tmp_path: Path) -> None:
    """The 5x5 kernels of GoogLeNet's paper against the 3x3 ones of the public weights, all else alike."""
    path = write_weights(tmp_path / "mine.pth", "googlenet_small", style="paper")
    found = find_weights(path, "googlenet_small")
    how: dict[str, Any] = {"num_classes": 10, "in_channels": 3, "stem": "small"}
    assert found.check(style="paper", **how).complete
    said = refused(lambda: found.check(style="torchvision", **how))
    assert "inception3a.branch3.1.conv.weight" in said
    assert "missing conv1.bn.weight" in said
    assert said.endswith("they fit with --style paper")


def test_a_misfit_of_the_stem_and_one_of_everything(tmp_path: Path) -> None:
    found = find_weights(write_weights(tmp_path / "mine.pth", "resnet18", stem="small"), "resnet18")
    how: dict[str, Any] = {"num_classes": 10, "in_channels": 3, "style": "torchvision"}
    said = refused(lambda: found.check(stem="imagenet", **how))
    assert "conv1.weight is (64, 3, 3, 3) there and (64, 3, 7, 7) here" in said
    assert said.endswith("they fit with --stem small")
    other = find_weights(tmp_path / "mine.pth", "googlenet_small")
    assert "choose the network" in refused(lambda: other.check(stem="small", **how))


def test_a_word_of_another_class_count_is_told(tmp_path: Path) -> None:
    found = find_weights(write_weights(tmp_path / "mine.pth", "resnet20", {"arch": "resnet20", "classes": 100}))
    how: dict[str, Any] = {"num_classes": 3, "in_channels": 3, "style": "torchvision", "stem": "small"}
    said = refused(lambda: found.check(**how))
    assert "has 10 classes" in said
    assert "mine.json beside it says 100" in said


def test_foreign_weights_are_refused_by_key(shared: Callable[[str], Path]) -> None:
    found = find_weights(shared("data/mtcnn/rnet.pt"), "resnet18")
    how: dict[str, Any] = {"num_classes": 2, "in_channels": 3, "style": "torchvision", "stem": "imagenet"}
    said = refused(lambda: found.check(**how))
    assert "conv1.weight is (28, 3, 3, 3) there and (64, 3, 7, 7) here" in said
    assert "unexpected" in said
