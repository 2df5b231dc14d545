"""
A table, column by column
=========================

Tables go in and come out as data frames. What the columns of real and of synthetic rows hold, side by side.
"""

# %%
import pandas as pd
from matplotlib import pyplot
from sklearn.datasets import load_wine

import synthaug

found = load_wine(as_frame=True)
columns = ["alcohol", "malic_acid", "magnesium", "color_intensity"]
frame = found.data[columns].assign(
    strong=found.data["alcohol"] > 13, label=pd.Categorical.from_codes(found.target, found.target_names)
)
generator = synthaug.fit(frame, family="cvae", steps=400, progress=False)
bigger = synthaug.expand(frame, generator, to="3x")
print(bigger.dtypes)

# %%
# Real rows stand first and unchanged; `synthetic` says which ones were made.
real, made = bigger[~bigger["synthetic"]], bigger[bigger["synthetic"]]
figure, panels = pyplot.subplots(1, len(columns), figsize=(9, 2.6), layout="constrained")
for axes, name in zip(panels, columns, strict=True):
    axes.hist(
        [real[name], made[name]], density=True, color=["tab:gray", "tab:blue"], label=["real", "synthetic"]
    )
    axes.set_title(name, fontsize=9)
panels[0].legend(fontsize=7)

# %%
# How columns go together, by class:
figure, panels = pyplot.subplots(1, 2, figsize=(8, 3.4), sharex=True, sharey=True, layout="constrained")
for axes, rows, title in zip(panels, (real, made), ("real", "synthetic"), strict=True):
    for name, of in rows.groupby("label", observed=True):
        axes.scatter(of["alcohol"], of["color_intensity"], s=8, label=name)
    axes.set(title=title, xlabel="alcohol")
panels[0].set_ylabel("color_intensity")
panels[1].legend(fontsize=8)
