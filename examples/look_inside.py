"""Print every tensor of a forward and a backward pass, and compute one number and one gradient by hand."""

import numpy as np

import byhand as bh

train, _ = bh.data.load("mnist")
model = bh.models.create("article")
trace = model.trace(train.images[:1], train.labels[:1])

for name, array in trace.items():
    print(f"{name:20} {array.shape!s:18} from {array.min():8.4f} to {array.max():8.4f}")

# one number of the first map, by hand: nine pixels times nine weights
i, j, k = 10, 12, 0
patch, weights = trace["images"][0, i : i + 3, j : j + 3, 0], trace["conv1_weight"][..., 0, k]
print(f"\nconv1[{i}, {j}, {k}] is the sum of\n{np.round(patch * weights, 4)}")
assert np.isclose((patch * weights).sum(), trace["conv1"][0, i, j, k], atol=1e-6)

# the gradient of one weight: every pixel that it was multiplied by, times the gradient of that output
seen = trace["images"][0, 0:26, 0:26, 0]
assert np.isclose((seen * trace["grad_conv1"][0, ..., k]).sum(), trace["grad_conv1_weight"][0, 0, 0, k], atol=1e-5)
