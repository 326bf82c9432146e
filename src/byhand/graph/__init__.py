"""Networks as graphs of nodes and tensors, without arithmetic; graph.py the graph, serial.py its JSON form."""

from byhand.graph.graph import Graph, Node, Tensor
from byhand.graph.serial import from_json, to_json

__all__ = ["Graph", "Node", "Tensor", "from_json", "to_json"]
