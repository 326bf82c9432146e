"""Fused ops: chains that the compiled hand computes in one pass."""
