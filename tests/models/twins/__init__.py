"""PyTorch twins: each architecture in plain PyTorch, with torchvision's module names where torchvision has it.

`TWINS[name](classes=10)` makes one. A twin whose layers depend on the image takes one argument more: `maps`, the pixels of the
last feature maps, or `channels`, those of the image.
"""

from tests.models.twins import inception, mobile, residual, sequential

TWINS = sequential.TWINS | inception.TWINS | residual.TWINS | mobile.TWINS
