"""Activations: piecewise.py (relu, ...), smooth.py (sigmoid, ...), elu.py (elu, selu, celu), prelu.py."""
