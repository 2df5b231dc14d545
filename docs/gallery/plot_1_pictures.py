"""
Synthetic pictures of a class
=============================

A conditional VAE learns ten kinds of clothes from 200 small pictures of each, and makes as many as are asked for.
"""

# %%
# The data set comes with the package; the rows of its test split are kept from the generator.
import synthaug

data = synthaug.open_data("bundled:fashion-mnist")
generator = synthaug.fit(data, family="cvae", steps=400, seed=0, progress=False)
print(generator)
print(generator.achieved.text)

# %%
# Exactly eight sneakers and four bags. Asked for again, or among others, they are the same bytes.
samples = generator.sample({"Sneaker": 8, "Bag": 4}, seed=0)
print(samples)
assert (generator.sample(4, seed=0).samples[-8:-4] == samples.samples[-4:]).all()

# %%
# A line of each class:
figure = synthaug.plot(generator.sample(10, seed=1))

# %%
# And what its training was like. A longer one has sharper pictures.
figure = synthaug.plot(generator)
