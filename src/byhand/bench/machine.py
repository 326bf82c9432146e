"""This machine in words: its processor, and the versions that matter to speed."""

import os
import platform
from contextlib import suppress
from importlib import metadata

from byhand.kernels.conv import tuning
from byhand.kernels.runtime import cpu

PACKAGES = {
    "numpy": "NumPy",
    "numba": "Numba",
    "torch": "PyTorch",
    "jax": "JAX",
    "onnxruntime": "onnxruntime",
    "openvino": "OpenVINO",
    "opencv-python-headless": "OpenCV",
    "opencv-python": "OpenCV",
}


def machine() -> str:
    """Return the processor's name, its cores, whether kernels are tuned to it, and the versions that matter."""
    name = cpu.processor_name()
    name += {"avx512": " with AVX-512", "avx2": " with AVX2"}.get(cpu.vector_unit().target, "")
    items = [f"{title} {number}" for title, number in versions().items()]
    if tuning.in_use().factors:
        items.append("tuned by `byhand tune`")
    return f"{name}, {os.cpu_count()} cores, {', '.join(items)}"


def versions() -> dict[str, str]:
    """Return the versions that matter to speed: Python's, and those of the packages that are installed."""
    found = {"Python": platform.python_version()}
    for package, title in PACKAGES.items():
        with suppress(metadata.PackageNotFoundError):
            found[title] = metadata.version(package)
    return found
