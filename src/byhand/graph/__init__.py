"""Nodes and tensors: what a network is, with no arithmetic."""

from byhand.graph.graph import Graph, Node, Tensor
from byhand.graph.serial import from_json, to_json

__all__ = ["Graph", "Node", "Tensor", "from_json", "to_json"]
