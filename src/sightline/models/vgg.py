"""VGG: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014), Table 1.

Columns A, B, D and E, which have 11, 13, 16 and 19 layers with weights, with torchvision's keys. Paper and torchvision
agree on them; the forms with batch norm came after the paper.
"""

from __future__ import annotations

from torch import nn

from sightline.models.layers import Hidden, initialise_for_relu, initialise_to_keep_signals

CHANNELS = (64, 128, 256, 512, 512)
# Table 1: 3x3 convolutions in each of the five stages, every stage ending in a 2x2 pool
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(Hidden):
    """Five stages of 3x3 convolutions, pooling to 7x7, and a classifier of three linear layers.

    The small stem, ours alone, keeps all five pools (32 pixels end at 1x1), averages the last map to 1x1 and classifies
    it through 512 hidden units, which start from He's initialisation instead of torchvision's normal of 0.01.
    """

    def __init__(self, layers: int, num_classes: int, in_channels: int, stem: str, style: str, *, norm: bool) -> None:
        super().__init__()
        self.features = nn.Sequential()
        channels_in = in_channels
        for channels, depth in zip(CHANNELS, DEPTHS[layers], strict=True):
            for _ in range(depth):
                self.features.append(nn.Conv2d(channels_in, channels, 3, padding=1))
                if norm:
                    self.features.append(nn.BatchNorm2d(channels))
                self.features.append(nn.ReLU(inplace=True))
                channels_in = channels
            self.features.append(nn.MaxPool2d(2, stride=2))
        small = stem == "small"
        places, hidden = (1, 512) if small else (7, 4096)
        self.avgpool = nn.AdaptiveAvgPool2d(places)
        self.classifier = nn.Sequential(
            nn.Linear(channels_in * places**2, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(hidden, num_classes),
        )
        initialise_for_relu(self)
        if small:
            initialise_to_keep_signals(self.classifier)
        else:
            _initialise_as_torchvision(self.classifier)


def _initialise_as_torchvision(classifier: nn.Sequential) -> None:
    for layer in classifier:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0, 0.01)
            nn.init.zeros_(layer.bias)
