"""Fused ops: chains of ops that the compiled hand computes in one pass; composed.py derives their other hands."""
