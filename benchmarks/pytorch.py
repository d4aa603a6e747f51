"""The same nets in PyTorch, for the rates of `benchmarks.training`, where PyTorch is installed.

A plain loop: images in memory, a shuffled index, forward, backward, Adam; without DataLoader, which would be slower.
"""

import importlib.util
import time
from typing import Any

from benchmarks.official import Images


def installed() -> bool:
    """Whether there is a PyTorch to compare with."""
    return importlib.util.find_spec("torch") is not None


def net(model: Any) -> Any:
    """Return the layers of a sequential Keras model as PyTorch's, with weights of their own.

    Raises:
        KeyError: a layer that is not known here.
    """
    from torch import nn

    def conv(layer: Any) -> Any:
        inputs, outputs = layer.input.shape[-1], layer.filters
        return nn.Conv2d(inputs, outputs, layer.kernel_size, padding=layer.padding)

    known = {
        "Reshape": lambda layer: nn.Unflatten(1, (1, layer.target_shape[0])),
        "Flatten": lambda _: nn.Flatten(),
        "Conv2D": conv,
        "BatchNorm": lambda layer: nn.BatchNorm2d(layer.input.shape[-1]),
        "MaxPooling2D": lambda layer: nn.MaxPool2d(layer.pool_size),
        "ReLU": lambda _: nn.ReLU(),
        "Dense": lambda layer: nn.Linear(layer.input.shape[-1], layer.units),
    }
    layers = []
    for layer in model.layers:
        layers.append(known[type(layer).__name__](layer))  # type: ignore[no-untyped-call] # torch is not looked into
        if getattr(layer, "activation", None) is not None and layer.activation.__name__ == "relu":
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def rate(model: Any, training: Images, batch: int, bfloat16: bool = False, n: int = 12_800) -> float:
    """Return images per second, over n images after a tenth as many to warm up.

    Args:
        model: sequential Keras model whose net is trained.
        training: images and labels.
        batch: images per step.
        bfloat16: under autocast, channels last: what PyTorch recommends for conv nets on a CPU.
        n: images that are timed.
    """
    import torch

    torch.manual_seed(0)
    images, labels = torch.from_numpy(training.images), torch.from_numpy(training.labels)
    there = net(model)
    if bfloat16:
        there = there.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(there.parameters())

    def train(order: Any) -> None:
        for rows in order.split(batch):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                logits = there(images[rows])
            torch.nn.functional.cross_entropy(logits.float(), labels[rows]).backward()
            optimizer.step()

    order = torch.randperm(len(labels))
    train(order[: n // 10])
    started = time.perf_counter()
    train(order[:n])
    return n / (time.perf_counter() - started)
