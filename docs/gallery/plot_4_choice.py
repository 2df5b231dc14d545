"""
What a choice tried
===================

`synthaug.choose` compares augmentations, families and shares by cross-validation inside the training rows, and says
what to do. This one is small, so that it runs while the site is built: eight digits a class, and few steps.
"""

# %%
import numpy as np

import synthaug

data = synthaug.open_data("bundled:digits")
few = np.concatenate([np.flatnonzero(data.labels == k)[:8] for k in range(10)])
quick = synthaug.Protocol(classifier_steps=80, steps=100)
plan = synthaug.choose(data.take(few), protocol=quick, jobs=1, progress=False)
print(plan.worth)
print(plan.advice)

# %%
# Every option against the baseline, on the folds that were held out. Blue ones hold synthetic rows. The best of many
# looks better than it is here, which is why the advice rests on folds that had no part in choosing.
figure = synthaug.plot(plan)
