"""Normalization: batch_norm, layer_norm, lrn."""
