"""Activation functions, element by element, and dropout."""
