"""Arithmetic on one array, and on two with NumPy broadcasting."""
