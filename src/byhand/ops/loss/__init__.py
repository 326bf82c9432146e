"""Softmax and the cross-entropy loss."""
