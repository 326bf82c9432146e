"""Figures: matplotlib figures as PNG, and SVG drawings; arrays or graphs in, files out."""
