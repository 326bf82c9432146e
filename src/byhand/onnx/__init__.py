"""ONNX files: import of networks from other frameworks, export of byhand's, and an ONNX backend for any graph.

    load.py             file -> Model: mapped_weights.py reads the file, graph_reader.py walks its graph
    node_context.py     a node as its reader sees it; symbol.py: the values that flow through the graph
    readers/            each ONNX operator as calls of byhand's ops, a family a file
    save.py             Model -> file: graph_writer.py builds the graph
    writers/            each op as ONNX operators, the same families
    budget.py           limits on what a small file may cost
    backend.py          the interface of ONNX's own test suite (`byhand bench onnx-suite`)

>>> from byhand import onnx
>>> sorted(onnx.__all__)
['load', 'save']
"""

try:
    from byhand.onnx.load import load
    from byhand.onnx.save import save
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("onnx", "google"):
        raise
    raise ModuleNotFoundError(
        "byhand.onnx needs the package onnx: run pip install 'byhand[onnx]'", name="onnx"
    ) from None

__all__ = ["load", "save"]
