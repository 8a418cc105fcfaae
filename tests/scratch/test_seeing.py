"""What is shown of a network, against independent ways to the same numbers."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sightline.core.errors import UserError
from sightline.models import create
from sightline.scratch import functional as F
from sightline.scratch.architectures import make
from sightline.scratch.functional import softmax
from sightline.scratch.layers import (
    AveragePool,
    BatchNorm,
    Convolution,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    MaxPool,
    Pad,
    Relu,
    SamePad,
)
from sightline.scratch.network import PICTURES, Network
from sightline.scratch.seeing import explore
from sightline.scratch.seeing.activations import CHANNELS, answers_of, maps_of, strongest
from sightline.scratch.seeing.fields import fields, seen_by
from sightline.scratch.seeing.flow import flow
from sightline.scratch.seeing.places import peak, windows_of
from sightline.scratch.seeing.products import arithmetic, product, steps
from sightline.scratch.seeing.removals import branches, described, removal, shortcuts
from sightline.scratch.seeing.stand_ins import Edge, in_use, without

SHAPES = {"lenet": (28, 28, 1), "resnet20": (32, 32, 3), "resnet20:shortcut=B": (32, 32, 3),
          "inception_small": (32, 32, 3)}  # fmt: skip


def drawn(name: str, seed: int = 0, classes: int = 10) -> Network:
    """A network whose batch norms have kept something, too; convolutions without the FFT's rounding."""
    height, _, channels = SHAPES[name]
    network = make(name, classes=classes, channels=channels, size=height)
    network.initialise(seed)
    random = np.random.default_rng(seed)
    for node in network.nodes.values():
        if isinstance(node.layer, BatchNorm):
            node.layer.kept["running_mean"][:] = random.normal(0, 0.1, node.layer.kept["running_mean"].shape)
            node.layer.kept["running_var"][:] = random.uniform(0.5, 1.5, node.layer.kept["running_var"].shape)
            node.layer.parameters["weight"][:] = random.uniform(0.5, 1.5, node.layer.parameters["weight"].shape)
        if isinstance(node.layer, Convolution):
            node.layer.method = "im2col"
    return network


def picture_of(name: str, count: int = 1) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, *SHAPES[name])).astype(np.float32)


class Everywhere(MaxPool):
    """Gradients as if any pixel of a window could be the largest: by drawn pictures in the place of the input."""

    def __init__(self, pool: MaxPool) -> None:
        super().__init__(1)
        self.kernel, self.geometry, self.ceil = pool.kernel, pool.geometry, pool.ceil

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> tuple[np.ndarray | None, ...]:
        x, _ = self.take()
        random, dx = np.random.default_rng(0), np.zeros_like(x)
        for _ in range(5):
            drawn = random.standard_normal(x.shape)
            largest = F.max_pool(drawn, self.kernel, self.geometry, ceil=self.ceil)
            dx += F.max_pool_gradient(dy, drawn, largest, self.kernel, self.geometry, ceil=self.ceil)
        return (dx,)


def until(network: Network, last: str) -> Network:
    """What `last` is made of, and nothing else."""
    needed = {last}
    for name in reversed(network.nodes):
        if name in needed:
            needed.update(network.nodes[name].inputs)
    made = Network()
    for name, node in network.nodes.items():
        if name in needed:
            layer = Everywhere(node.layer) if isinstance(node.layer, MaxPool) else node.layer
            made.add(name, layer, *node.inputs)
    return made


def by_gradient(network: Network, node: str, place: tuple[int, int], pictures: np.ndarray) -> np.ndarray:
    """Pixels for which the gradient of the numbers at `place` is not zero, in any of many pictures."""
    part = in_use(until(network, node))
    answer = part.forward(pictures, training=True)
    dy = np.zeros_like(answer)
    dy[:, place[0], place[1]] = np.random.default_rng(2).standard_normal(answer.shape[3])
    dx = part.backward(dy, input_too=True)
    assert dx is not None
    return np.asarray((dx != 0).any((0, 3)))


def sizes_of(network: Network, picture: np.ndarray) -> dict[str, tuple[int, ...]]:
    return {PICTURES: picture.shape[1:3]} | {name: a.shape[1:3] for name, a in answers_of(network, picture).items()}


@pytest.mark.parametrize(
    ("name", "node"),
    [("lenet", "conv1"), ("lenet", "pool1"), ("lenet", "pool2"), ("resnet20", "layer1.1.conv2"),
     ("resnet20", "layer2.0.conv1"), ("resnet20", "layer2.0.add"), ("resnet20:shortcut=B", "layer2.0.downsample.0"),
     ("inception_small", "inception1a"), ("inception_small", "inception1b.branch4.0"), ("inception_small", "pool1")],
)  # fmt: skip
def test_a_field_is_where_the_gradient_is_not_zero(name: str, node: str) -> None:
    network, pictures = drawn(name), picture_of(name, 16)
    sizes = sizes_of(network, pictures[:1])
    high, wide = sizes[node][:2]
    for place in ((0, 0), (high // 2, wide // 3), (high - 1, wide - 1)):
        seen = seen_by(network, node, place, sizes)
        assert 0 < seen.sum() < seen.size
        np.testing.assert_array_equal(seen, by_gradient(network, node, place, pictures))


_windows = st.one_of(
    st.builds(
        lambda kernel, stride, padding, dilation, groups: Convolution(
            2, 2, kernel, stride, padding, dilation=dilation, groups=groups, method="im2col"
        ),
        st.tuples(st.integers(1, 3), st.integers(1, 3)), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2),
        st.sampled_from([1, 2]),
    ),
    st.builds(
        lambda kernel, stride, padding, ceil: MaxPool(kernel, stride, min(padding, kernel // 2), ceil=ceil),
        st.integers(2, 3), st.integers(1, 2), st.integers(0, 1), st.booleans(),
    ),
    st.builds(AveragePool, st.integers(2, 3), st.integers(1, 2)), st.builds(SamePad, st.integers(2, 4), st.just(2)),
    st.builds(lambda stride: Pad(2, 2, stride), st.integers(1, 2)),
)  # fmt: skip


@settings(max_examples=40)
@given(st.lists(_windows, min_size=1, max_size=3), st.integers(0, 10**6))
def test_fields_of_drawn_geometries(layers: list[Layer], seed: int) -> None:
    network, random = Network(), np.random.default_rng(seed)
    for number, layer in enumerate(layers):
        network.add(str(number), layer)
    network.initialise(seed)
    pictures = random.standard_normal((60, 10, 9, 2)).astype(np.float32)
    try:
        sizes = sizes_of(network, pictures[:1])
    except UserError:
        assume(False)
    place = (int(random.integers(sizes[network.last][0])), int(random.integers(sizes[network.last][1])))
    expected = by_gradient(network, network.last, place, pictures)
    np.testing.assert_array_equal(seen_by(network, network.last, place, sizes), expected)


@settings(max_examples=60)
@given(
    st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(1, 2), st.booleans(), st.integers(8, 11)
)  # fmt: skip
def test_windows_inside_read_no_zeros(
    kernel: int, stride: int, padding: int, dilation: int, same: bool, side: int
) -> None:
    network, picture = Network(), np.ones((1, side, 8, 1), np.float32)
    if same:
        network.add("zeros", SamePad(kernel, stride))
    network.add("conv", Convolution(1, 1, kernel, stride, padding, dilation=dilation))
    network.nodes["conv"].layer.parameters["weight"][:] = 1
    answers = answers_of(network, picture)
    whole = np.isclose(answers["conv"][0, :, :, 0], kernel**2)
    assume(whole.any())
    windows = windows_of(network, "conv", picture, answers)
    rows, columns = (windows.inside(whole.shape[axis], axis) for axis in (0, 1))
    expected = np.zeros_like(whole)
    expected[rows, columns] = True
    np.testing.assert_array_equal(whole, expected)
    row, column, _ = peak(answers["conv"][0], windows)
    assert expected[row, column]


def test_where_no_window_is_inside_all_places_count() -> None:
    network, picture = Network(), np.ones((1, 2, 2, 1), np.float32)
    network.add("conv", Convolution(1, 1, 3, 1, 1))
    windows = windows_of(network, "conv", picture, answers_of(network, picture))
    assert [windows.inside(2, axis) for axis in (0, 1)] == [slice(0, 2)] * 2


def test_the_fields_listed_are_boxes_of_each_layer_s_largest_number() -> None:
    network, picture = drawn("lenet"), picture_of("lenet")
    answers = answers_of(network, picture)
    found = fields(network, picture, answers)
    assert [(f.node, f.bottom - f.top, f.right - f.left) for f in found] == [
        ("conv1", 5, 5), ("pool1", 6, 6), ("conv2", 14, 14), ("pool2", 16, 16),
    ]  # fmt: skip
    for field in found:
        assert (
            field.value == answers[field.node].max() == answers[field.node][0, field.row, field.column, field.channel]
        )
    assert (found[0].top, found[0].left) == (found[0].row, found[0].column)


@pytest.mark.parametrize(
    "layer",
    [Convolution(4, 6, 3, 2, 1), Convolution(4, 6, (2, 3), 1, (0, 1), dilation=2, bias=False),
     Convolution(4, 6, 3, 1, 2, groups=2), Convolution(4, 4, 3, 2, 1, groups=4), Convolution(4, 5, 1)],
)  # fmt: skip
def test_patch_times_kernel_is_the_network_s_number(layer: Convolution) -> None:
    network, random = Network(), np.random.default_rng(0)
    network.add("conv", layer)
    network.initialise(0)
    if "bias" in layer.parameters:
        layer.parameters["bias"][:] = random.standard_normal(layer.parameters["bias"].shape)
    picture = random.standard_normal((1, 9, 8, 4)).astype(np.float32)
    answers = answers_of(network, picture)
    _, rows, columns, channels = answers["conv"].shape
    for place in np.ndindex(rows, columns, channels):
        found = product(network, "conv", place, picture, answers)
        assert found.answer == answers["conv"][0][place]
        assert found.total + found.bias == pytest.approx(found.answer, abs=1e-5)
        assert (found.patch.astype(float) * found.kernel).sum() == pytest.approx(found.total)
        assert found.by_channel.sum() == pytest.approx(found.total)
    inside = product(network, "conv", (1, 1, channels - 1), picture, answers)
    top, left = (s - p for s, p in zip(layer.geometry.stride, layer.geometry.padding, strict=True))
    if min(top, left) >= 0:
        assert inside.patch[0, 0, 0] == picture[0, top, left, inside.begins]


def test_a_deeper_product_reads_the_layer_before_it() -> None:
    network, picture = drawn("resnet20"), picture_of("resnet20")
    answers = answers_of(network, picture)
    found = product(network, "layer2.0.conv1", (5, 6, 7), picture, answers)
    np.testing.assert_array_equal(found.patch, answers["layer1.2.relu"][0, 9:12, 11:14].transpose(2, 0, 1))
    assert found.total == pytest.approx(found.answer, abs=1e-4)
    rest = np.delete(np.abs(found.by_channel), found.shown)
    assert len(found.shown) == 3
    assert np.abs(found.by_channel[list(found.shown)]).min() >= rest.max()


def test_the_arithmetic_of_lenet_s_first_convolution() -> None:
    network, picture = drawn("lenet"), picture_of("lenet")
    answers = answers_of(network, picture)
    found = arithmetic(network, "conv1", picture, answers)
    assert (found.before, found.after, found.begins) == ((28, 28, 1), (24, 24, 16), (0, 0))
    assert (found.multiplications, found.parameters) == (24 * 24 * 16 * 25, 16 * 25 + 16)
    walked = steps(found, (7, 9, 3), answers)
    assert [(s.row, s.column) for s in walked] == [(0, 0), (7, 7), (7, 8), (7, 9), (8, 9), (23, 23)]
    assert [s.answer for s in walked] == [float(answers["conv1"][0, s.row, s.column, 3]) for s in walked]


@pytest.mark.parametrize(("padding", "same", "begins"), [(1, False, -1), (0, True, -1), (0, False, 0)])
def test_the_window_begins_before_the_picture_where_zeros_lie_around(padding: int, same: bool, begins: int) -> None:
    network, picture = Network(), np.ones((1, 8, 8, 1), np.float32)
    if same:
        network.add("pad", SamePad(3, 1))
    network.add("conv", Convolution(1, 1, 3, 1, padding))
    found = arithmetic(network, "conv", picture, answers_of(network, picture))
    assert found.begins == (begins, begins)
    first = steps(found, (0, 0, 0), answers_of(network, picture))[0]
    assert (first.top, first.left) == (begins, begins)


@pytest.mark.parametrize(("name", "style"), [("resnet20", "paper"), ("resnet20:shortcut=B", "paper")])
def test_gradient_norms_are_those_of_pytorch_in_use(name: str, style: str) -> None:
    network, picture = drawn(name, classes=5), picture_of(name)
    theirs = create(name, num_classes=5, style=style).eval()
    theirs.load_state_dict({key: torch.tensor(value) for key, value in network.state().items()}, strict=False)
    loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(picture.transpose(0, 3, 1, 2))), torch.tensor([3]))
    loss.backward()
    found = flow(network, picture, 3)
    assert found.loss == pytest.approx(float(loss.detach()), rel=1e-4)
    expected = {name.removesuffix(".weight"): p.grad for name, p in theirs.named_parameters() if p.ndim > 1}
    assert [g.node for g in found.layers] == list(expected)
    for gradient in found.layers:
        norm = expected[gradient.node]
        assert norm is not None
        assert gradient.weight == pytest.approx(float(norm.norm()), rel=1e-3)


def test_gradients_without_shortcuts_by_small_steps() -> None:
    network = without(drawn("resnet20"), shortcuts(drawn("resnet20"))).to(np.float64)
    picture = picture_of("resnet20").astype(np.float64)
    weight = network.nodes["conv1"].layer.parameters["weight"]
    gradient = np.zeros_like(weight)
    for place in list(np.ndindex(weight.shape))[::40]:
        losses = []
        for step in (1e-6, -1e-6):
            weight[place] += step
            losses.append(-np.log(network.predict(picture)[0, 4]))
            weight[place] -= step
        gradient[place] = (losses[0] - losses[1]) / 2e-6
    still = in_use(network)
    probabilities = softmax(still.forward(picture, training=True))
    probabilities[0, 4] -= 1
    still.backward(probabilities)
    ours = still.nodes["conv1"].layer.gradients["weight"]
    np.testing.assert_allclose(ours[gradient != 0], gradient[gradient != 0], rtol=1e-3, atol=1e-8)
    assert flow(network, picture, 4).layers[0].weight == pytest.approx(float(np.linalg.norm(ours)))


def test_a_residual_network_without_shortcuts_is_its_plain_twin() -> None:
    network, picture = drawn("resnet20"), picture_of("resnet20")
    plain = make("plain20", classes=10)
    plain.load(network.state())
    expected = plain.predict(picture)[0]
    cut = shortcuts(network)
    assert [edge.node for edge in cut] == [name for name in network.nodes if name.endswith(".add")]
    found = removal(network, cut, picture, 2)
    assert found.probability == pytest.approx(expected[2], rel=1e-4)
    assert (found.label, found.what) == (int(expected.argmax()), "")
    assert abs(found.probability - network.predict(picture)[0, 2]) > 1e-4


def test_the_shortcut_is_what_has_fewer_layers_even_with_a_projection() -> None:
    network = drawn("resnet20:shortcut=B")
    heard = {network.nodes[edge.node].inputs[edge.number] for edge in shortcuts(network)}
    assert {"relu", "layer1.0.relu", "layer2.0.downsample.1", "layer3.0.downsample.1"} <= heard
    assert not [name for name in heard if ".bn" in name]
    assert described(network, Edge("layer2.0.add", 1)) == "1×1 convolution, stride 2"
    assert described(network, Edge("layer1.0.add", 1)) == "identity"


@pytest.mark.parametrize("number", range(4))
def test_a_branch_removed_is_one_whose_last_norm_gives_zeros(number: int) -> None:
    network, picture = drawn("inception_small"), picture_of("inception_small")
    edge = Edge("inception1b", number)
    assert edge in branches(network)
    found = removal(network, [edge], picture, 1)
    norm = [name for name in network.nodes if name.startswith(f"inception1b.branch{number + 1}.")][-2]
    layer = network.nodes[norm].layer
    assert isinstance(layer, BatchNorm)
    layer.parameters["weight"][:], layer.parameters["bias"][:] = 0, 0
    expected = network.predict(picture)[0]
    assert found.probability == pytest.approx(expected[1], rel=1e-4)
    assert found.label_probability == pytest.approx(expected.max(), rel=1e-4)


def test_branches_are_told_by_their_windows() -> None:
    network = drawn("inception_small")
    words = [described(network, edge) for edge in branches(network)[:4]]
    assert words == [
        "1×1 convolution", "1×1 convolution, 3×3 convolution", "1×1 convolution, 5×5 convolution",
        "3×3 max pooling, 1×1 convolution",
    ]  # fmt: skip


def test_maps_are_the_strongest_channels_on_one_scale() -> None:
    answer = np.random.default_rng(0).standard_normal((6, 5, 20)) * np.arange(20)
    chosen = strongest(answer)
    assert len(chosen) == CHANNELS
    sizes = np.abs(answer).mean((0, 1))
    assert list(chosen) == sorted(range(20), key=lambda channel: -sizes[channel])[:CHANNELS]
    maps = maps_of(answer, chosen)
    back = maps.low + (maps.high - maps.low) * maps.levels / 255
    np.testing.assert_allclose(back, answer[..., list(chosen)].transpose(2, 0, 1), atol=(maps.high - maps.low) / 500)


def test_a_large_map_is_shown_by_means_of_squares_and_zero_stays_on_the_scale() -> None:
    answer = np.repeat(np.repeat(np.arange(1.0, 1 + 40 * 30).reshape(40, 30, 1), 2, 0), 2, 1)[:79]
    maps = maps_of(answer, (0,))
    assert maps.levels.shape == (1, 40, 30)
    assert (maps.low, maps.high) == (0.0, 1200.0)
    np.testing.assert_allclose(maps.levels[0] / 255 * 1200, np.arange(1.0, 1201).reshape(40, 30), atol=3)


@pytest.mark.parametrize("name", SHAPES)
def test_looking_changes_nothing(name: str) -> None:
    network, picture = drawn(name), picture_of(name)
    before = {key: value.copy() for key, value in network.state().items()}
    nodes, seen = list(network.nodes.items()), picture.copy()
    explore(network, picture)
    assert list(network.nodes.items()) == nodes
    assert network.gradients == {}
    np.testing.assert_array_equal(picture, seen)
    for key, value in network.state().items():
        np.testing.assert_array_equal(value, before[key])


def test_an_exploration_is_json_and_agrees_with_the_network() -> None:
    network, picture = drawn("resnet20"), picture_of("resnet20")
    found = explore(network, picture, target=4)
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    np.testing.assert_allclose(document["probabilities"], network.predict(picture)[0], atol=1e-5)
    assert document["target"] == 4
    assert [layer["name"] for layer in document["layers"]] == list(network.nodes)
    assert document["flow"]["loss"] == pytest.approx(-np.log(document["probabilities"][4]), rel=1e-5)
    assert len(document["shortcuts"]) == 9
    assert document["branches"] == []
    relu = next(layer for layer in document["layers"] if layer["name"] == "relu")
    assert relu["zeros"] == pytest.approx(float((answers_of(network, picture)["relu"] == 0).mean()))
    assert relu["maps"]["low"] == 0


def _linear() -> Network:
    network = Network()
    network.add("flatten", Flatten())
    network.add("fc", Linear(48, 2))
    return network


def _pooled_first() -> Network:
    network = Network()
    network.add("pool", MaxPool(2))
    network.add("conv", Convolution(3, 4, 1))
    network.add("all", GlobalPool())
    return network


def _broken() -> Network:
    network = Network()
    network.add("conv", Convolution(3, 2, 1))
    network.add("relu", Relu())
    network.add("all", GlobalPool())
    network.nodes["conv"].layer.parameters["bias"][0] = np.inf
    return network


@pytest.mark.parametrize(
    ("build", "said"),
    [(_linear, "does not begin with a convolution"), (_pooled_first, "does not begin with a convolution"),
     (_broken, "conv answers with numbers that are none")],
)  # fmt: skip
def test_what_cannot_be_shown_is_said(build: Callable[[], Network], said: str) -> None:
    with pytest.raises(UserError, match=said):
        explore(build(), np.zeros((1, 4, 4, 3), np.float32))
