"""From a Python function to threads that run it: compile, cache, capture, launch."""
