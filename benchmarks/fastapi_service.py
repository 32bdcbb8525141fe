"""The peer of `nacre serve`: the same network in PyTorch behind FastAPI, as their documents show it. Run by a Python that has both.

python benchmarks/fastapi_service.py WEIGHTS.npz PORT
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
weights = {name: torch.from_numpy(array) for name, array in np.load(sys.argv[1]).items()}
model = torch.nn.Sequential(
    torch.nn.Linear(*weights["kernel_0"].shape),
    torch.nn.ReLU(),
    torch.nn.Linear(*weights["kernel_1"].shape),
    torch.nn.Softmax(dim=-1),
)
with torch.no_grad():
    for layer, number in ((model[0], 0), (model[2], 1)):
        layer.weight.copy_(weights[f"kernel_{number}"].T)
        layer.bias.copy_(weights[f"bias_{number}"])
model.eval()


class Rows(BaseModel):  # type: ignore[misc]
    instances: list[list[float]]


class Predictions(BaseModel):  # type: ignore[misc]
    predictions: list[list[float]]


@app.post("/predict")  # type: ignore[untyped-decorator]
async def predict(rows: Rows) -> Predictions:
    with torch.inference_mode():
        return Predictions(predictions=model(torch.tensor(rows.instances)).tolist())


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), workers=1, log_level="warning")
