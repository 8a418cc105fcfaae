"""The same ONNX session behind LitServe, with its batching.

python bench/peers/lit.py BUNDLE PORT BATCH
"""

import sys

import litserve
import numpy as np
from fastapi import Request

from sightline.bundle import Bundle, softmax


class Api(litserve.LitAPI):
    """Decodes, batches and answers as LitServe's documentation has it."""

    def setup(self, device: str) -> None:
        """Open the network in the worker."""
        self.bundle = Bundle.open(sys.argv[1])

    def decode_request(self, request: Request) -> np.ndarray:
        """The pixels of the file in a form, which is what comes as `request`."""
        return self.bundle.pixels(request["request"].file.read())

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        """Pictures together."""
        return np.stack(inputs)

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Their logits."""
        return self.bundle.session.run(batch, only=("logits",)).logits

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        """One by one."""
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, object]:
        """The likeliest classes."""
        probabilities = softmax(output)
        best = np.argsort(-probabilities)[:5]
        return {"classes": [{"name": self.bundle.classes[i], "probability": float(probabilities[i])} for i in best]}


if __name__ == "__main__":
    batch = int(sys.argv[3])
    api = Api(max_batch_size=batch, batch_timeout=0.005, enable_async=False) if batch > 1 else Api()
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1).run(
        port=int(sys.argv[2]), generate_client_file=False, log_level="warning"
    )
