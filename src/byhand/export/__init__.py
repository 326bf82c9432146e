"""Export of a trained model as C99 without dependencies, in float32 or int8.

c_export.py           `to_c`, the whole way; c_files.py: the files it writes
lowering.py           model -> steps: batch norms folded, activations fused; execution.py runs them
quantization.py       steps -> int8
memory_layout.py      where values lie in the program's memory
float32_program.py    steps -> calls of the C functions in float32_kernels.py; int8_program.py, int8_kernels.py: in int8
c_source.py           constants, functions and calls as one file; c_text.py: C syntax; addressing.py: strides and copies
float32_reference.py  what the C computes, in NumPy, bit for bit; int8_reference.py: in int8
layer_errors.py       what is lost on the way, layer by layer
"""

from byhand.export.c_export import ExportReport, to_c
from byhand.export.c_files import check_folder

__all__ = ["ExportReport", "check_folder", "to_c"]
