"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions" (2014), Table 1, with torchvision's keys.

The default is what the public weights need: batch norm after each convolution, 3x3 kernels in the branch the paper
calls 5x5, a 2x2 pool before the last stage. style="paper" has biases and local response norm instead of batch norm,
real 5x5 kernels and 3x3 pools. Auxiliary heads (on inception 4a and 4d) speak while training only.
`naive=True` has the module of Figure 2(a), without the 1x1 reductions, to show what they save.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from sightline.models.layers import Network, concatenate, initialise_for_relu, scaled

# Table 1: in, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
INCEPTIONS = {
    "inception3a": (192, 64, 96, 128, 16, 32, 32),
    "inception3b": (256, 128, 128, 192, 32, 96, 64),
    "inception4a": (480, 192, 96, 208, 16, 48, 64),
    "inception4b": (512, 160, 112, 224, 24, 64, 64),
    "inception4c": (512, 128, 128, 256, 24, 64, 64),
    "inception4d": (512, 112, 144, 288, 32, 64, 64),
    "inception4e": (528, 256, 160, 320, 32, 128, 128),
    "inception5a": (832, 256, 160, 320, 32, 128, 128),
    "inception5b": (832, 384, 192, 384, 48, 128, 128),
}
AUXILIARY = {"inception4a": "aux1", "inception4d": "aux2"}


class Conv(nn.Module):
    """Convolution, batch norm (or a bias instead), ReLU."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int = 1, *, norm: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, padding=kernel // 2, bias=not norm)
        self.bn = nn.BatchNorm2d(channels, eps=0.001) if norm else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels_in, h, w] to [N, channels, h / stride, w / stride], rounded up."""
        return self.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """1x1, 3x3, 5x5 and pooling side by side, the last three behind or before 1x1 reductions, joined in depth."""

    def __init__(
        self, channels_in: int, one: int, three_in: int, three: int, five_in: int, five: int, pool: int, *, paper: bool
    ) -> None:
        super().__init__()
        norm = not paper
        # The public weights use 3x3 here (a known slip of their first port); the paper has 5x5.
        kernel = 5 if paper else 3
        self.branch1 = Conv(channels_in, one, 1, norm=norm)
        self.branch2 = nn.Sequential(Conv(channels_in, three_in, 1, norm=norm), Conv(three_in, three, 3, norm=norm))
        self.branch3 = nn.Sequential(Conv(channels_in, five_in, 1, norm=norm), Conv(five_in, five, kernel, norm=norm))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), Conv(channels_in, pool, 1, norm=norm))

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels_in, h, w] to [N, one + three + five + pool, h, w]."""
        return concatenate([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)])


class NaiveInception(nn.Module):
    """Figure 2(a): 1x1, 3x3, 5x5 and pooling on the whole depth side by side; the pool keeps every channel."""

    def __init__(self, channels_in: int, one: int, three: int, five: int, *, norm: bool) -> None:
        super().__init__()
        self.branch1 = Conv(channels_in, one, 1, norm=norm)
        self.branch2 = Conv(channels_in, three, 3, norm=norm)
        self.branch3 = Conv(channels_in, five, 5, norm=norm)
        self.branch4 = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels_in, h, w] to [N, one + three + five + channels_in, h, w]."""
        return concatenate([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)])


class Auxiliary(nn.Module):
    """A classifier on a middle layer: pool to 4x4, 1x1 convolution, two linear layers, dropout 0.7 between."""

    def __init__(self, channels_in: int, num_classes: int, width: float, *, paper: bool) -> None:
        super().__init__()
        channels, hidden = scaled(128, width), scaled(1024, width)
        self.conv = Conv(channels_in, channels, 1, norm=not paper)
        self.fc1 = nn.Linear(channels * 16, hidden)
        self.fc2 = nn.Linear(hidden, num_classes)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.7)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, C] of [N, channels_in, h, w]."""
        # The paper pools 5x5 with stride 3 (14 -> 4); adaptive pooling, as torchvision's, takes pictures of any size.
        x = self.conv(F.adaptive_avg_pool2d(x, (4, 4)))
        return self.fc2(self.dropout(self.relu(self.fc1(x.flatten(1)))))


class GoogLeNet(Network):
    """A stem, nine inception modules, global average pooling, dropout, one linear layer."""

    inception3a: Inception | NaiveInception
    inception3b: Inception | NaiveInception
    inception4a: Inception | NaiveInception
    inception4b: Inception | NaiveInception
    inception4c: Inception | NaiveInception
    inception4d: Inception | NaiveInception
    inception4e: Inception | NaiveInception
    inception5a: Inception | NaiveInception
    inception5b: Inception | NaiveInception
    aux1: Auxiliary
    aux2: Auxiliary

    def __init__(
        self, num_classes: int, in_channels: int, stem: str, style: str, *, width: float = 1.0, aux: bool = True,
        naive: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        paper, small = style == "paper", stem == "small"
        norm = not paper
        first, second = scaled(64, width), scaled(192, width)
        self.conv1 = Conv(in_channels, first, 3, norm=norm) if small else Conv(in_channels, first, 7, 2, norm=norm)
        self.maxpool1 = nn.Identity() if small else nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm1 = nn.LocalResponseNorm(5) if paper else nn.Identity()
        self.conv2 = Conv(first, first, 1, norm=norm)
        self.conv3 = Conv(first, second, 3, norm=norm)
        self.norm2 = nn.LocalResponseNorm(5) if paper else nn.Identity()
        self.maxpool2 = nn.Identity() if small else nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.maxpool4 = nn.MaxPool2d(3 if paper else 2, stride=2, ceil_mode=True)
        channels, heads = second, {}
        for name, (_, *counts) in INCEPTIONS.items():
            one, three_in, three, five_in, five, pool = (scaled(count, width) for count in counts)
            if naive:
                self.add_module(name, NaiveInception(channels, one, three, five, norm=norm))
            else:
                self.add_module(name, Inception(channels, one, three_in, three, five_in, five, pool, paper=paper))
            channels = one + three + five + (channels if naive else pool)
            if aux and name in AUXILIARY:
                heads[AUXILIARY[name]] = Auxiliary(channels, num_classes, width, paper=paper)
        for head, module in heads.items():
            self.add_module(head, module)
        self.has_aux = aux
        self.dropout = nn.Dropout(0.4 if paper else 0.2)  # Table 1; torchvision's constructor
        self.fc = nn.Linear(channels, num_classes)
        initialise_for_relu(self) if paper else _initialise_small(self)

    @property
    def head(self) -> nn.Linear:
        """The last linear layer."""
        return self.fc

    @property
    def trunk(self) -> Sequence[nn.Module]:
        """[N, channels, H, W] becomes [N, K, h, w]; h is H / 32 (H / 4 with the small stem), or about that."""
        return (
            self.conv1, self.maxpool1, self.norm1, self.conv2, self.conv3, self.norm2, self.maxpool2,
            self.inception3a, self.inception3b, self.maxpool3,
            self.inception4a, self.inception4b, self.inception4c, self.inception4d, self.inception4e, self.maxpool4,
            self.inception5a, self.inception5b,
        )  # fmt: skip

    @property
    def auxiliary(self) -> Sequence[nn.Module]:
        """The heads after inception 4a and 4d, if it has them."""
        return (self.aux1, self.aux2) if self.has_aux else ()

    def embed(self, feature_map: Tensor) -> Tensor:
        """The mean over all places, [N, K]; in training after dropout."""
        return self.dropout(feature_map.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits [N, C]; while training (logits, those of inception 4a, those of inception 4d) if it has the heads."""
        if not (self.training and self.has_aux):
            return super().forward(x)
        taken = {}
        for module in self.trunk:
            taken[module] = x = module(x)
        return self.forward_head(x), self.aux1(taken[self.inception4a]), self.aux2(taken[self.inception4d])


def _initialise_small(network: nn.Module) -> None:
    """Normal with deviation 0.01, cut at +-2, as torchvision's; batch norm makes up for the scale."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, mean=0.0, std=0.01, a=-2, b=2)
