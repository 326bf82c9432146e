"""Convolutions and the matrix product: conv2d, conv_transpose2d, linear."""
