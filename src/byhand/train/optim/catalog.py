"""Every optimizer, one line each: importing this module registers them all.

`byhand.train` and `byhand` export what is imported here. The form `import x as x` tells type checkers that x is exported.
"""

# ruff: noqa: PLC0414

from byhand.train.optim.adam import Adam as Adam
from byhand.train.optim.adam import AdamW as AdamW
from byhand.train.optim.muon import Muon as Muon
from byhand.train.optim.rmsprop import RMSprop as RMSprop
from byhand.train.optim.sgd import SGD as SGD
