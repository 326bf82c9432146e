"""The register tile at the heart of every convolution and matrix product: its equation in Python, its LLVM IR."""
