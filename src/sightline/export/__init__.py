"""From a trained network to a Bundle."""

from sightline.export.onnx import export as export

__all__ = ["export"]
