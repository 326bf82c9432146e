"""Ops that move numbers and compute none: concat, pad, reshape, slice, transpose; and resize, which interpolates."""
