"""Train a classifier in plain PyTorch on what the recipe expand-then-train wrote, with and without its synthetic rows.

    synthaug run expand-then-train --data photos.npz --out result
    python expand_then_train.py result/expanded.npz

Where the data have a split "test", both are tested on it. Real rows that were held out are the only ones to test on:
the generator has seen all others. Copy this file and put your own network in: nothing here needs synthaug.
"""

import argparse

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def read(path: str, split: str, synthetic: bool) -> TensorDataset:
    """The rows of a split, without the synthetic ones where these are not wanted."""
    with np.load(path) as file:
        splits = file["split"] if "split" in file else np.full(len(file["y"]), "train")
        rows = (splits == split) & (synthetic | ~file["synthetic"])
        names = np.unique(file["y"])
        images = torch.from_numpy(file["X"][rows]).float()
        labels = torch.from_numpy(np.searchsorted(names, file["y"][rows]))
        high = float(file["X"].max())
    # (N, H, W) of grey images, (N, H, W, C) of others, to (N, C, H, W) from 0 to 1
    images = images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return TensorDataset(images / high, labels)


def network(channels: int, classes: int) -> nn.Module:
    """A small network for images of any size; put your own here."""
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(64 * 16, classes),
    )


def train(data: TensorDataset, classes: int, steps: int, seed: int) -> nn.Module:
    """A classifier after so many steps: equally many with and without synthetic rows, or longer training would win."""
    torch.manual_seed(seed)
    model = network(data.tensors[0].shape[1], classes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loader = DataLoader(data, batch_size=64, shuffle=True)
    done = 0
    while done < steps:
        for images, labels in loader:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            if done == steps:
                break
    return model.eval()


def accuracy(model: nn.Module, data: TensorDataset) -> float:
    """The share of rows that are recognised, where each class counts the same."""
    images, labels = data.tensors
    with torch.inference_mode():
        right = model(images).argmax(dim=1) == labels
    return float(torch.stack([right[labels == name].float().mean() for name in labels.unique()]).mean())


def main() -> None:
    """Trains both, several times, and prints what each achieved."""
    parser = argparse.ArgumentParser(description="Train with and without synthetic rows.")
    parser.add_argument("path", help="expanded.npz")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    test = read(given.path, "test", synthetic=False)
    for synthetic in (False, True):
        data = read(given.path, "train", synthetic)
        classes = int(data.tensors[1].max()) + 1
        models = [train(data, classes, given.steps, seed) for seed in range(given.seeds)]
        told = f"{len(data)} rows, {'with' if synthetic else 'without'} synthetic ones: {given.steps} steps"
        if len(test):
            scores = [accuracy(model, test) for model in models]
            told += f", balanced accuracy {np.mean(scores):.1%}, from {min(scores):.1%} to {max(scores):.1%}"
        print(told)
        torch.save(models[0].state_dict(), f"classifier-{'expanded' if synthetic else 'real'}.pt")


if __name__ == "__main__":
    main()
