"""Anatomy documents put together by hand: an inception stage, residual stages, and both with hostile names."""

from __future__ import annotations

from math import prod
from typing import Any


class Network:
    """Layers one after another, as a trace of a network would list them."""

    def __init__(self, channels: int = 3, size: int = 224) -> None:
        self.layers: list[dict[str, Any]] = []
        self.shapes: dict[str, list[int]] = {"input": [channels, size, size]}
        self.place = ("", "")

    def within(self, stage: str, block: str = "") -> None:
        """What follows belongs to this stage and block."""
        self.place = (stage, block)

    def layer(self, name: str, kind: str, output: list[int], inputs: list[str], **own: Any) -> str:
        """Add a layer; returns its name."""
        self.shapes[name] = output
        stage, block = self.place
        window = dict.fromkeys(("kernel", "stride", "padding", "dilation", "groups"))
        figures = {"parameters": 0, "macs": 0, "activations": prod(output), "receptive_field": len(self.layers) + 1}
        self.layers.append(
            {"name": name, "kind": kind, "stage": stage, "block": block, "output": output, **window, **figures,
             "inputs": inputs, **own}
        )  # fmt: skip
        return name

    def conv(
        self, name: str, source: str, channels: int, kernel: int = 1, stride: int = 1, *, groups: int = 1,
        norm: bool = True, relu: bool = True,
    ) -> str:  # fmt: skip
        """A padded convolution with batch norm and ReLU; returns the name of the last of them."""
        channels_in, height, width = self.shapes[source]
        output = [channels, -(-height // stride), -(-width // stride)]
        weights = channels * channels_in // groups * kernel * kernel
        top = self.layer(
            name, "Conv2d", output, [source], kernel=[kernel] * 2, stride=[stride] * 2, padding=[kernel // 2] * 2,
            dilation=[1, 1], groups=groups, parameters=weights, macs=weights * prod(output[1:]),
        )  # fmt: skip
        if norm:
            top = self.layer(f"{name}.bn", "BatchNorm2d", output, [top], parameters=2 * channels)
        return self.layer(f"{name}.relu", "ReLU", output, [top]) if relu else top

    def pool(self, name: str, source: str, stride: int = 1) -> str:
        """A 3x3 maximum."""
        channels, height, width = self.shapes[source]
        output = [channels, -(-height // stride), -(-width // stride)]
        window = {"kernel": [3, 3], "stride": [stride] * 2, "padding": [1, 1], "dilation": [1, 1]}
        return self.layer(name, "MaxPool2d", output, [source], **window)

    def inception(self, name: str, source: str, counts: tuple[int, ...]) -> str:
        """Four branches, joined in depth."""
        one, three_in, three, five_in, five, pool = counts
        self.within(name, name)
        ends = [
            self.conv(f"{name}.branch1.conv", source, one),
            self.conv(f"{name}.branch2.1.conv", self.conv(f"{name}.branch2.0.conv", source, three_in), three, 3),
            self.conv(f"{name}.branch3.1.conv", self.conv(f"{name}.branch3.0.conv", source, five_in), five, 5),
            self.conv(f"{name}.branch4.1.conv", self.pool(f"{name}.branch4.0", source), pool),
        ]
        joined = [one + three + five + pool, *self.shapes[source][1:]]
        return self.layer(f"{name}.concatenate", "Concatenate", joined, ends)

    def residual(
        self, stage: str, block: str, source: str, channels: int, stride: int = 1, shortcut: bool = True
    ) -> str:
        """Two 3x3 convolutions, and a shortcut that is projected where the size changes; false: none."""
        self.within(stage, block)
        y = self.conv(f"{block}.conv1", source, channels, 3, stride)
        y = self.conv(f"{block}.conv2", y, channels, 3, relu=False)
        if shortcut:
            same = self.shapes[source] == self.shapes[y]
            beside = source if same else self.conv(f"{block}.downsample", source, channels, 1, stride, relu=False)
            y = self.layer(f"{block}.add", "Add", self.shapes[y], [y, beside])
        return self.layer(f"{block}.relu", "ReLU", self.shapes[y], [y])

    def squeezed(self, stage: str, block: str, source: str, channels: int) -> str:
        """An expanded depthwise block with squeeze and excitation and an identity shortcut."""
        self.within(stage, block)
        y = self.conv(f"{block}.expand", source, 6 * channels)
        y = self.conv(f"{block}.depthwise", y, 6 * channels, 3, groups=6 * channels)
        gate = self.layer(f"{block}.se.avgpool", "AvgPool", [6 * channels, 1, 1], [y], kernel=[56, 56])
        gate = self.conv(f"{block}.se.fc1", gate, channels // 4, norm=False)
        gate = self.conv(f"{block}.se.fc2", gate, 6 * channels, norm=False, relu=False)
        gate = self.layer(f"{block}.se.sigmoid", "Sigmoid", self.shapes[gate], [gate])
        y = self.layer(f"{block}.se.multiply", "Multiply", self.shapes[y], [gate, y])
        y = self.conv(f"{block}.project", y, channels, relu=False)
        return self.layer(f"{block}.add", "Add", self.shapes[y], [y, source])

    def head(self, source: str, classes: int) -> None:
        """Global average pooling and a linear layer."""
        channels, *places = self.shapes[source]
        self.within("avgpool")
        mean = self.layer("avgpool", "AvgPool", [channels], [source], kernel=places, receptive_field=None)
        self.within("fc")
        weights = channels * classes
        self.layer("fc", "Linear", [classes], [mean], parameters=weights + classes, macs=weights, receptive_field=None)

    def document(self, name: str) -> dict[str, Any]:
        """The whole document, its totals summed from the layers."""
        stages: dict[str, list[dict[str, Any]]] = {}
        for layer in self.layers:
            stages.setdefault(layer["stage"], []).append(layer)
        parameters, macs = (sum(layer[key] for layer in self.layers) for key in ("parameters", "macs"))
        return {
            "kind": "anatomy",
            "name": name,
            "style": "torchvision",
            "stem": "imagenet",
            "input": self.shapes["input"],
            "classes": self.layers[-1]["output"][0],
            "layers": self.layers,
            "stages": [
                {"name": stage, "layers": len(layers), "output": layers[-1]["output"]}
                | {key: sum(layer[key] for layer in layers) for key in ("parameters", "macs", "activations")}
                for stage, layers in stages.items()
            ],
            "total": {
                "layers": sum(layer["kind"] in ("Conv2d", "Linear") for layer in self.layers),
                "parameters": parameters,
                "macs": macs,
                "flops": 2 * macs,
                "float32_bytes": 4 * parameters,
                "int8_bytes": parameters,
                "peak_activation_bytes": 4 * max(layer["activations"] for layer in self.layers),
                "receptive_field": 267,
            },
        }  # fmt: skip


def inception(name: str = "little googlenet") -> dict[str, Any]:
    """A stem, inception 3a and 3b of GoogLeNet, a head."""
    network = Network()
    network.within("conv1")
    y = network.conv("conv1.conv", "input", 64, 7, 2)
    network.within("maxpool1")
    y = network.pool("maxpool1", y, 2)
    network.within("conv3")
    y = network.conv("conv3.conv", y, 192, 3)
    network.within("maxpool2")
    y = network.pool("maxpool2", y, 2)
    y = network.inception("inception3a", y, (64, 96, 128, 16, 32, 32))
    y = network.inception("inception3b", y, (128, 128, 192, 32, 96, 64))
    network.head(y, 1000)
    return network.document(name)


def residual(name: str = "little resnet", shortcut: bool = True) -> dict[str, Any]:
    """A stem, two residual stages of three blocks, a head; without shortcuts a plain network."""
    network = Network()
    network.within("conv1")
    y = network.conv("conv1", "input", 64, 7, 2)
    network.within("maxpool")
    y = network.pool("maxpool", y, 2)
    for stage, channels, stride in (("layer1", 64, 1), ("layer2", 128, 2)):
        for i in range(3):
            y = network.residual(stage, f"{stage}.{i}", y, channels, stride if i == 0 else 1, shortcut)
    network.head(y, 1000)
    return network.document(name)


def squeezed(name: str = "little efficientnet") -> dict[str, Any]:
    """A stem, a stage of two equal expanded depthwise blocks, a head."""
    network = Network()
    network.within("features.0")
    y = network.conv("features.0.0", "input", 24, 3, 4)
    for i in range(2):
        y = network.squeezed("features.1", f"features.1.{i}", y, 24)
    network.head(y, 10)
    return network.document(name)
