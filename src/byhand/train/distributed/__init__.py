"""Data-parallel training over MPI: one all-reduce of the flat gradient per step.

mpi.py               this process among those that mpiexec started: rank, size, collectives
data_parallel.py     a training step on one shard of the batch, then the all-reduce, then the update
breakpoints.py       a captured step that stops where ranks communicate
gradient_overlap.py  bucketed all-reduce, overlapped with backward
sync_batch_norm.py   batch norm over the whole batch
"""
