"""Writes torch.json and the files in torch/: networks of PyTorch, as it saves them, and what it answers, for `tests/exchange`.

Run by hand, with a Python that has PyTorch:

    python tests/golden/make_torch.py

nacre itself is not needed and not imported. The file records the version it came from.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent


class Named(nn.Module):
    """A network whose activations are functions, which no file names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second, self.last = (
            nn.Linear(4, 5),
            nn.LayerNorm(5),
            nn.Linear(5, 5),
            nn.Linear(5, 2, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.norm(self.first(x)))
        return self.last(torch.tanh(self.second(x)))


class Inner(nn.Module):
    """A network that is a part of another."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 3), nn.Linear(3, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


# What modules of activations answer, called as they are written down here.
ACTIVATIONS = """CELU() ELU() GELU() Hardshrink() Hardsigmoid() Hardswish() Hardtanh() LeakyReLU(0.2) LogSigmoid()
LogSoftmax(dim=-1) Mish() ReLU() ReLU6() SELU() Sigmoid() SiLU() Softplus() Softmax(dim=-1) Softshrink() Softsign()
Tanh() Tanhshrink()"""


def main() -> None:
    torch.manual_seed(20261122)
    networks = {
        "sequential": nn.Sequential(
            nn.Linear(4, 6),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(6, 3),
            nn.ReLU(),
            nn.Linear(3, 2),
            nn.Softmax(dim=-1),
        ),
        "named": Named(),
        "inner": Inner(),
    }
    x = torch.randn(5, 4)
    said = {"torch": torch.__version__, "x": x.tolist(), "y": {}}
    line = torch.linspace(-7, 7, 24).reshape(4, 6)
    said["line"] = line.tolist()
    said["activations"] = {text: eval(f"nn.{text}")(line).tolist() for text in ACTIVATIONS.split()}
    for name, net in networks.items():
        for module in net.modules():  # a network that was trained: nothing is as it began
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.5, 2)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.uniform_(-1, 1)
            said["y"][name] = net.eval()(x).tolist()
        torch.save(net.state_dict(), HERE / "torch" / f"{name}.pt")
    # Opcode for opcode what a writer must say of three tensors, one of them larger than a byte counts.
    plain = {"0.weight": torch.arange(600.0).reshape(2, 300), "0.bias": torch.zeros(2), "deep": torch.ones(1, 2, 1, 3)}
    torch.save(plain, HERE / "torch" / "plain.pt")
    kinds = [torch.float64, torch.float16, torch.bfloat16, torch.int64]
    torch.save(
        {str(kind)[6:]: torch.tensor([[1.5, -2.0], [3.0, 0.25]]).to(kind).t() for kind in kinds},
        HERE / "torch" / "kinds.pt",
    )
    # What is no dictionary of tensors: a checkpoint, and a whole network.
    torch.save(
        {"epoch": 3, "state_dict": OrderedDict(networks["inner"].state_dict())}, HERE / "torch" / "checkpoint.pt"
    )
    torch.save(nn.Linear(2, 2), HERE / "torch" / "network.pt")
    (HERE / "torch.json").write_text(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
