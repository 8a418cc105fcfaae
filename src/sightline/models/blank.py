"""Networks without content: shapes, keys and counts at once, no memory, nothing computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

FILLING = {Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_, nn.init.normal_, nn.init.uniform_}


class _Unfilled(TorchFunctionMode):
    """Leaves filling out: on the meta device there is nothing to fill, and torch would load its compiler for it."""

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        if func in FILLING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


@contextmanager
def blank() -> Iterator[None]:
    """Networks made inside have shapes and no content: they are on the meta device."""
    with torch.device("meta"), _Unfilled():
        yield
