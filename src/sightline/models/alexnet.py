"""AlexNet: five convolutions, two hidden linear layers of 4,096 units with dropout.

The default has the layout and keys of torchvision's public weights: Krizhevsky, "One weird trick for parallelizing
convolutional neural networks" (2014), 64 to 384 filters on one device. style="paper" is Krizhevsky, Sutskever, Hinton,
"ImageNet Classification with Deep Convolutional Neural Networks" (2012), section 3: 96, 256, 384, 384 and 256 filters,
the second, fourth and fifth convolution in two groups (the two devices), local response norm after the first two.
Both pool overlapping (3x3, stride 2).

The paper says 224 x 224 pixels and 55 x 55 places after the first convolution, which takes 227 pixels without padding;
as torchvision we pad by 2 and so have both figures.
"""

from __future__ import annotations

from torch import nn

from sightline.models.layers import Hidden, initialise_to_keep_signals


class AlexNet(Hidden):
    """Features, pooling to 6x6, and a classifier of three linear layers.

    The small stem, ours alone: the first convolution is 3x3 with stride 1, and the last map is averaged to 1x1 and
    classified through 512 hidden units, so that 32 pixels end at 3x3. It starts from He's initialisation, with which it
    learns from few pictures; the other form starts as torchvision's.
    """

    def __init__(self, num_classes: int, in_channels: int, stem: str, style: str) -> None:
        super().__init__()
        paper, small = style == "paper", stem == "small"
        groups = 2 if paper else 1
        one, two, three, four, five = (96, 256, 384, 384, 256) if paper else (64, 192, 384, 256, 256)
        first = nn.Conv2d(in_channels, one, 3, padding=1) if small else nn.Conv2d(in_channels, one, 11, 4, padding=2)
        self.features = nn.Sequential(
            *_layer(first, norm=paper, pool=True),
            *_layer(nn.Conv2d(one, two, 5, padding=2, groups=groups), norm=paper, pool=True),
            *_layer(nn.Conv2d(two, three, 3, padding=1)),
            *_layer(nn.Conv2d(three, four, 3, padding=1, groups=groups)),
            *_layer(nn.Conv2d(four, five, 3, padding=1, groups=groups), pool=True),
        )
        places, hidden = (1, 512) if small else (6, 4096)
        self.avgpool = nn.AdaptiveAvgPool2d(places)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(five * places**2, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, num_classes),
        )
        if small:
            initialise_to_keep_signals(self)


def _layer(convolution: nn.Conv2d, *, norm: bool = False, pool: bool = False) -> list[nn.Module]:
    """A convolution, ReLU, then local response norm (section 3.3) and overlapping pooling (section 3.4) where asked."""
    layers: list[nn.Module] = [convolution, nn.ReLU(inplace=True)]
    if norm:
        # The paper's alpha of 1e-4 multiplies the sum over 5 channels; torch's multiplies their mean.
        layers.append(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0))
    if pool:
        layers.append(nn.MaxPool2d(3, stride=2))
    return layers
