"""Every function against its definition by hand, against PyTorch on drawn shapes, and its gradient against itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits
from torch.nn import functional as T

from sightline.core.errors import UserError
from sightline.scratch import functional as F
from sightline.scratch.functional import Geometry

METHODS = ("loops", "im2col", "fft")
RANDOM = np.random.default_rng(0)


def drawn(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape)


def theirs(x: np.ndarray, kernels: bool = False) -> torch.Tensor:
    """[N, H, W, C] (or kernels [K, R, S, C]) as PyTorch has them, with a gradient to come."""
    return torch.tensor(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x, requires_grad=True)


def ours(x: torch.Tensor | None) -> np.ndarray:
    assert x is not None
    found = x.detach().numpy()
    return found.transpose(0, 2, 3, 1) if found.ndim == 4 else found


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Geometry]:
    """Small pictures, kernels and how they move."""
    groups = draw(st.integers(1, 3))
    c, k = (draw(st.integers(1, 2)) for _ in range(2))
    (r, s), stride, dilation, padding = (
        (draw(st.integers(low, high)), draw(st.integers(low, high))) for low, high in ((1, 3), (1, 3), (1, 2), (0, 2))
    )
    h, w = (
        draw(st.integers(max(1, d * (n - 1) + 1 - 2 * p), 8)) for n, d, p in zip((r, s), dilation, padding, strict=True)
    )
    n = draw(st.integers(1, 2))
    return drawn(n, h, w, c * groups), drawn(k * groups, r, s, c), Geometry(stride, padding, dilation, groups)


def torch_convolution(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    return T.conv2d(x, weight, bias, geometry.stride, geometry.padding, geometry.dilation, geometry.groups)


@settings(max_examples=150, deadline=None)
@given(convolutions())
def test_all_convolutions_are_pytorch_s(drawn_one: tuple[np.ndarray, np.ndarray, Geometry]) -> None:
    x, weight, geometry = drawn_one
    bias = drawn(len(weight))
    before = [x.copy(), weight.copy(), bias.copy()]
    tx, tw, tb = theirs(x), theirs(weight), theirs(bias)
    expected = torch_convolution(tx, tw, tb, geometry)
    dy = drawn(*ours(expected).shape)
    expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    for method in METHODS:
        found = F.convolution(x, weight, bias, geometry, method=method)
        np.testing.assert_allclose(found, ours(expected), atol=1e-10, err_msg=method)
        gradients = F.convolution_gradients(dy, x, weight, geometry, method=method)
        for name, one, other in (("x", gradients.x, tx), ("w", gradients.weight, tw), ("b", gradients.bias, tb)):
            np.testing.assert_allclose(one, ours(other.grad), atol=1e-10, err_msg=f"{method} {name}")
        assert F.convolution_gradients(dy, x, weight, geometry, method=method, input_too=False).x is None
    for kept, one in zip(before, (x, weight, bias), strict=True):
        np.testing.assert_array_equal(kept, one)


def test_a_convolution_by_hand() -> None:
    x = np.arange(9.0).reshape(1, 3, 3, 1)
    edge = np.array([[1.0, -1.0], [0.0, 2.0]]).reshape(1, 2, 2, 1)
    for method in METHODS:
        found = F.convolution(x, edge, np.array([10.0]), method=method)[0, :, :, 0]
        np.testing.assert_allclose(found, [[10 + 0 - 1 + 8, 10 + 1 - 2 + 10], [10 + 3 - 4 + 14, 10 + 4 - 5 + 16]])


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_many_pictures_are_each_answered_alone(groups: int) -> None:
    """Slices and threads change nothing: a batch is its pictures."""
    x, weight = drawn(70, 30, 30, 8).astype(np.float32), drawn(8, 3, 3, 8 // groups).astype(np.float32)
    geometry = Geometry(padding=(1, 1), groups=groups)
    whole = F.convolution(x, weight, geometry=geometry, method="im2col")
    for row in (0, 33, 69):
        np.testing.assert_allclose(
            whole[row], F.convolution(x[row : row + 1], weight, geometry=geometry, method="im2col")[0], atol=1e-5
        )
    dy = drawn(*whole.shape).astype(np.float32)
    all_of = F.convolution_gradients(dy, x, weight, geometry, method="im2col")
    halves = [F.convolution_gradients(dy[i], x[i], weight, geometry, method="im2col") for i in (slice(9), slice(9, 70))]
    np.testing.assert_allclose(all_of.weight, halves[0].weight + halves[1].weight, rtol=1e-3, atol=1e-2)
    again = F.convolution_gradients(dy, x, weight, geometry, method="im2col")
    np.testing.assert_array_equal(all_of.weight, again.weight)  # threads add up in one order


@settings(max_examples=50, deadline=None)
@given(convolutions())
def test_laying_back_is_the_transpose_of_taking_windows(drawn_one: tuple[np.ndarray, np.ndarray, Geometry]) -> None:
    """<im2col(x), y> = <x, col2im(y)>, which makes it the gradient."""
    x, weight, geometry = drawn_one
    kernel = (weight.shape[1], weight.shape[2])
    columns = F.im2col(x, kernel, geometry)
    y = drawn(*columns.shape)
    assert (columns * y).sum() == pytest.approx((x * F.col2im(y, x.shape, kernel, geometry)).sum())


def test_windows_are_a_view() -> None:
    x = drawn(2, 5, 6, 3)
    view = F.windows(x, (3, 2), Geometry(stride=(2, 1)))
    assert view.shape == (1, 2, 2, 5, 3, 2, 3)
    assert np.shares_memory(view, x)
    np.testing.assert_array_equal(view[0, 1, 1, 4], x[1, 2:5, 4:6])


def test_auto_is_one_of_the_others() -> None:
    x, weight = drawn(2, 12, 12, 3), drawn(4, 5, 5, 3)
    np.testing.assert_allclose(F.convolution(x, weight), F.convolution(x, weight, method="loops"), atol=1e-10)


@pytest.mark.parametrize(
    ("x", "weight", "geometry", "says"),
    [((1, 4, 4, 3), (2, 3, 3, 2), Geometry(), r"\[1, 4, 4, 3\] and kernels \[2, 3, 3, 2\].*over 3 channels"),
     ((1, 4, 4, 4), (3, 3, 3, 2), Geometry(groups=2), "their number a multiple of 2"),
     ((1, 2, 9, 1), (1, 3, 3, 1), Geometry(), "3 x 3 does not fit a picture of 2 x 9"),
     ((4, 4, 3), (2, 3, 3, 3), Geometry(), r"not \[4, 4, 3\] and \[2, 3, 3, 3\]")],
)  # fmt: skip
def test_shapes_that_do_not_meet(x: Any, weight: Any, geometry: Geometry, says: str) -> None:
    with pytest.raises(UserError, match=says):
        F.convolution(np.zeros(x), np.zeros(weight), geometry=geometry)


def test_loops_say_that_they_are_slow() -> None:
    with pytest.raises(UserError, match=r"\[10, 32, 32, 3\] under kernels \[16, 5, 5, 3\] are too many .* for loops"):
        F.convolution(np.zeros((10, 32, 32, 3)), np.zeros((16, 5, 5, 3)), method="loops")
    with pytest.raises(UserError, match='no convolution by "winograd"'):
        F.convolution(np.zeros((1, 4, 4, 1)), np.zeros((1, 3, 3, 1)), method="winograd")  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)), kernel=st.integers(1, 3), stride=st.integers(1, 3),
    pad=st.booleans(), ceil=st.booleans(), ties=st.booleans(),
)  # fmt: skip
def test_pooling_is_pytorch_s(
    size: tuple[int, int], kernel: int, stride: int, pad: bool, ceil: bool, ties: bool
) -> None:
    padding = kernel // 2 if pad else 0
    x = drawn(2, *size, 3).round(0 if ties else 8)
    geometry, window = Geometry((stride, stride), (padding, padding)), (kernel, kernel)
    tx = theirs(x)
    expected = T.max_pool2d(tx, kernel, stride, padding, ceil_mode=ceil)
    y = F.max_pool(x, window, geometry, ceil=ceil)
    np.testing.assert_array_equal(y, ours(expected))
    dy = drawn(*y.shape)
    expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(F.max_pool_gradient(dy, x, y, window, geometry, ceil=ceil), ours(tx.grad), atol=1e-12)
    tx = theirs(x)
    expected = T.avg_pool2d(tx, kernel, stride, padding)
    y = F.average_pool(x, window, geometry)
    np.testing.assert_allclose(y, ours(expected), atol=1e-12)
    dy = drawn(*y.shape)
    expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(F.average_pool_gradient(dy, x, window, geometry), ours(tx.grad), atol=1e-12)


def test_pooling_by_hand() -> None:
    x = np.array([[1.0, 2, 5, 0], [4, 3, 5, 1]]).reshape(1, 2, 4, 1)
    halves = Geometry(stride=(2, 2))
    y = F.max_pool(x, (2, 2), halves)
    np.testing.assert_array_equal(y.ravel(), [4, 5])
    back = F.max_pool_gradient(np.array([10.0, 20]).reshape(y.shape), x, y, (2, 2), halves)
    np.testing.assert_array_equal(back[0, :, :, 0], [[0, 0, 20, 0], [10, 0, 0, 0]])  # the first of two fives
    np.testing.assert_array_equal(F.average_pool(x, (2, 2), halves).ravel(), [2.5, 2.75])
    np.testing.assert_array_equal(F.global_pool(x), [[21 / 8]])
    np.testing.assert_array_equal(F.global_pool_gradient(np.array([[8.0]]), x), np.ones_like(x))


def test_batch_norm_is_pytorch_s() -> None:
    x, scale, shift = drawn(4, 3, 5, 6), drawn(6), drawn(6)
    tx, ts, tb = theirs(x), theirs(scale), theirs(shift)
    expected = T.batch_norm(tx, None, None, ts, tb, training=True, eps=1e-3)
    normed = F.batch_norm(x, scale, shift, 1e-3)
    np.testing.assert_allclose(normed.y, ours(expected), atol=1e-12)
    np.testing.assert_allclose(normed.variance, x.var((0, 1, 2)))
    dy = drawn(*x.shape)
    expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    for found, other in zip(F.batch_norm_gradients(dy, normed, scale), (tx, ts, tb), strict=True):
        np.testing.assert_allclose(found, ours(other.grad), atol=1e-11)
    mean, variance = drawn(6), drawn(6) ** 2
    tx, ts, tb = theirs(x), theirs(scale), theirs(shift)
    expected = T.batch_norm(tx, torch.tensor(mean), torch.tensor(variance), ts, tb, training=False, eps=1e-3)
    np.testing.assert_allclose(F.fixed_norm(x, scale, shift, mean, variance, 1e-3), ours(expected), atol=1e-11)
    expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    found = F.fixed_norm_gradients(dy, x, scale, mean, variance, 1e-3)
    for one, other in zip(found, (tx, ts, tb), strict=True):
        np.testing.assert_allclose(one, ours(other.grad), atol=1e-10)


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_local_response_norm_is_pytorch_s(size: int) -> None:
    x = drawn(2, 3, 3, 7)
    tx = theirs(x)
    expected = T.local_response_norm(tx, size, alpha=0.3, beta=0.7, k=1.5)
    np.testing.assert_allclose(F.local_response_norm(x, size, 0.3, 0.7, 1.5), ours(expected), atol=1e-12)
    dy = drawn(*x.shape)
    expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    found = F.local_response_norm_gradient(dy, x, size, 0.3, 0.7, 1.5)
    np.testing.assert_allclose(found, ours(tx.grad), atol=1e-12)


@pytest.mark.parametrize(
    ("function", "gradient", "other"),
    [(F.relu, F.relu_gradient, T.relu),
     (lambda x: F.relu(x, 0.1), lambda dy, y: F.relu_gradient(dy, y, 0.1), lambda x: T.leaky_relu(x, 0.1)),
     (lambda x: F.clipped_relu(x, 0.8), lambda dy, y: F.clipped_relu_gradient(dy, y, 0.8),
      lambda x: T.hardtanh(x, 0, 0.8))],
)  # fmt: skip
def test_rectifiers_are_pytorch_s(
    function: Callable[..., Any], gradient: Callable[..., Any], other: Callable[..., Any]
) -> None:
    x, dy = drawn(50, 4), drawn(50, 4)
    tx = theirs(x)
    expected = other(tx)
    y = function(x)
    np.testing.assert_array_equal(y, ours(expected))
    expected.backward(torch.tensor(dy))
    np.testing.assert_array_equal(gradient(dy, y), ours(tx.grad))


def test_linear_and_cross_entropy_are_pytorch_s() -> None:
    x, weight, bias, labels = drawn(5, 4), drawn(3, 4), drawn(3), np.array([0, 2, 1, 1, 0])
    tx, tw, tb = theirs(x), theirs(weight), theirs(bias)
    expected = T.cross_entropy(T.linear(tx, tw, tb), torch.tensor(labels))
    loss, dy = F.cross_entropy(F.linear(x, weight, bias), labels)
    assert loss == pytest.approx(expected.item())
    expected.backward()
    for found, other in zip(F.linear_gradients(dy, x, weight), (tx, tw, tb), strict=True):
        np.testing.assert_allclose(found, ours(other.grad), atol=1e-12)


def test_cross_entropy_of_huge_logits_is_finite() -> None:
    loss, gradient = F.cross_entropy(np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([1, 1]))
    assert loss == pytest.approx(1e4)
    np.testing.assert_allclose(gradient, [[0.5, -0.5], [0, 0]])
    np.testing.assert_allclose(F.softmax(np.array([[1e4, 0.0]])), [[1, 0]])


def test_dropout_keeps_the_mean_and_drops_as_many_as_told() -> None:
    x = np.ones((400, 400))
    y, factors = F.dropout(x, 0.3, np.random.default_rng(0))
    np.testing.assert_array_equal(y, factors)
    assert (y == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert set(np.unique(y)) == {0, 1 / 0.7}
    assert y.mean() == pytest.approx(1, abs=0.01)


def test_what_joins_and_what_cannot() -> None:
    a, b = drawn(2, 3, 3, 4), drawn(2, 3, 3, 4)
    np.testing.assert_array_equal(F.add(a, b), a + b)
    joined = F.concatenate(a, b[..., :1])
    assert joined.shape == (2, 3, 3, 5)
    parts = F.concatenate_gradient(joined, [4, 1])
    np.testing.assert_array_equal(parts[0], a)
    np.testing.assert_array_equal(parts[1], b[..., :1])
    with pytest.raises(UserError, match=r"not \[2, 3, 3, 4\] and \[2, 3, 3, 2\]: let the shortcut"):
        F.add(a, b[..., :2])
    with pytest.raises(UserError, match=r"\[2, 3, 3, 4\] and \[2, 2, 3, 4\] cannot lie one after another"):
        F.concatenate(a, b[:, :2])
    with pytest.raises(UserError, match=r"vectors \[2, 3\] and weights \[4, 5\] do not meet"):
        F.linear(drawn(2, 3), drawn(4, 5))
    with pytest.raises(UserError, match="labels from 0 to 3 do not fit 3 classes"):
        F.cross_entropy(drawn(2, 3), np.array([0, 3]))


def test_windows_with_gaps_share_pixels() -> None:
    """Stride 2 and 2 x 2 pixels two apart: each pixel of the middle is in several windows."""
    x, geometry = RANDOM.standard_normal((2, 7, 7, 3)), Geometry((2, 2), (0, 0), (2, 2))
    y = F.max_pool(x, (2, 2), geometry)
    given_to = theirs(x)
    pooled = torch.nn.functional.max_pool2d(given_to, 2, 2, dilation=2)
    pooled.sum().backward()  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(y, pooled.detach().numpy().transpose(0, 2, 3, 1))
    assert given_to.grad is not None
    found = F.max_pool_gradient(np.ones_like(y), x, y, (2, 2), geometry)
    np.testing.assert_allclose(found, given_to.grad.numpy().transpose(0, 2, 3, 1))


def test_blas_has_its_threads_again_when_the_last_has_left() -> None:
    def threads() -> list[int]:
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    with threadpool_limits(2, "blas"):
        before = threads()
        first, second = F.one_thread_a_product(), F.one_thread_a_product()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert threads() == [1] * len(before)
        second.__exit__(None, None, None)
        assert threads() == before


def test_a_copy_of_the_process_has_threads_of_its_own() -> None:
    code = """
import os, signal
from sightline.scratch.functional import slices
slices.cpu_quota = lambda: 2
work = lambda: slices.in_slices(lambda part: part.stop - part.start, 8, slices.SLICE)
assert sum(work()) == 8
child = os.fork()
if child == 0:
    signal.alarm(20)
    os._exit(0 if sum(work()) == 8 else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0
