"""The usual image app: FastAPI around a PyTorch network, one picture at a time.

python bench/peers/eager.py BUNDLE PORT
"""

from __future__ import annotations

import io
import sys

import torch
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

from sightline.bundle import Bundle
from sightline.models import create
from sightline.models.weights import load_weights

bundle = Bundle.open(sys.argv[1])
network = create(
    bundle.arch, num_classes=len(bundle.classes), in_channels=3, style=bundle.card["style"], stem=bundle.card["stem"]
).eval()
load_weights(network, bundle.path / "model.safetensors")
mean, std = (torch.tensor(values)[:, None, None] for values in (bundle.preprocess.mean, bundle.preprocess.std))
app = FastAPI()


@app.post("/predict")
def predict(request: UploadFile) -> dict[str, object]:
    """The likeliest classes of one picture."""
    pixels = bundle.preprocess(Image.open(io.BytesIO(request.file.read())).convert("RGB")).copy()
    image = (torch.from_numpy(pixels).permute(2, 0, 1).float() / 255 - mean) / std
    with torch.inference_mode():
        best = torch.softmax(network(image[None])[0], 0).topk(5)
    pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    return {"classes": [{"name": bundle.classes[i], "probability": share} for share, i in pairs]}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
