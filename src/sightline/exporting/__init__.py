"""From a trained network to a Bundle."""

from sightline.exporting.onnx import export as export

__all__ = ["export"]
