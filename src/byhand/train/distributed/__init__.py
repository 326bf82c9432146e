"""Data-parallel training over MPI: one all-reduce of the flat gradient a step."""
