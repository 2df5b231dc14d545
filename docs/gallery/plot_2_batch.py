"""
A mixed batch
=============

One line puts synthetic rows into a DataLoader. Labels, batch size and length stay as they were.
"""

# %%
import torch
from matplotlib import pyplot
from torch.utils.data import DataLoader, TensorDataset

import synthaug

data = synthaug.open_data("bundled:fashion-mnist")
training = data.take(data.splits == "train")
samples = synthaug.fit(data, steps=150, progress=False).sample(50, seed=0)

dataset = TensorDataset(torch.from_numpy(training.read()), torch.from_numpy(training.labels))
dataset.classes = list(data.classes)  # what the numbers stand for
loader = DataLoader(dataset, batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(0))
loader = synthaug.mix(loader, samples, ratio=0.25, flag=True)  # the line

images, labels, synthetic = next(iter(loader))

# %%
# A quarter of the batch are synthetic, framed here, each in the place of a real row of its own class.
figure, panels = pyplot.subplots(4, 8, figsize=(8, 4.6), layout="constrained")
for axes, image, label, made in zip(panels.flat, images, labels, synthetic, strict=True):
    axes.imshow(image, cmap="gray")
    axes.set_title(data.classes[int(label)], fontsize=7)
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(color="tab:blue" if made else "none", linewidth=3)
print(int(synthetic.sum()), "of", len(images))
