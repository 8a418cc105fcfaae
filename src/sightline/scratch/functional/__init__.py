"""What layers do, forward and backward, as pure functions of NumPy arrays; pictures are [N, H, W, C].

`f` gives the answer, `f_gradient(s)` what a gradient of the answer means for everything it was made of. No function
changes what it is given.
"""

from sightline.scratch.functional.by_columns import col2im, im2col
from sightline.scratch.functional.convolution import (
    Gradients,
    Method,
    convolution,
    convolution_gradients,
)
from sightline.scratch.functional.geometry import Geometry, Pair, padded, windows
from sightline.scratch.functional.loss import cross_entropy, softmax
from sightline.scratch.functional.normalisation import (
    Normed,
    batch_norm,
    batch_norm_gradients,
    fixed_norm,
    fixed_norm_gradients,
    local_response_norm,
    local_response_norm_gradient,
)
from sightline.scratch.functional.pointwise import (
    add,
    clipped_relu,
    clipped_relu_gradient,
    concatenate,
    concatenate_gradient,
    dropout,
    linear,
    linear_gradients,
    relu,
    relu_gradient,
)
from sightline.scratch.functional.pooling import (
    average_pool,
    average_pool_gradient,
    global_pool,
    global_pool_gradient,
    max_pool,
    max_pool_gradient,
)
from sightline.scratch.functional.slices import one_thread_a_product

__all__ = [
    "Geometry", "Gradients", "Method", "Normed", "Pair", "add", "average_pool", "average_pool_gradient", "batch_norm",
    "batch_norm_gradients", "clipped_relu", "clipped_relu_gradient", "col2im", "concatenate", "concatenate_gradient",
    "convolution", "convolution_gradients", "cross_entropy", "dropout", "fixed_norm", "fixed_norm_gradients",
    "global_pool", "global_pool_gradient", "im2col", "linear", "linear_gradients", "local_response_norm",
    "local_response_norm_gradient", "max_pool", "max_pool_gradient", "one_thread_a_product", "padded", "relu",
    "relu_gradient", "softmax",
    "windows",
]  # fmt: skip
