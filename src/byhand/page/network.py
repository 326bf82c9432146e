"""The description of a network for the page: its nodes with inputs and outputs, and the facts of each layer."""

from collections.abc import Mapping
from math import isinf, prod
from typing import Any, TypedDict

from byhand.graph import Graph, Node, Tensor
from byhand.nn import Model
from byhand.nn.receptive_field import depends_on_images, feature_maps
from byhand.ops import sigmoid_cross_entropy
from byhand.ops.op import CallSpec
from byhand.page.translate import Pair

Shown = str | list[str] | None  # the tensor of an argument, of a list of arguments, or of an omitted one


class NodeSpec(TypedDict):
    """A node for the page: its op's translated functions, and the tensors of their arguments."""

    name: str
    op: str
    output: str
    result: str
    forward: str
    backward: str
    attributes: dict[str, Any]
    reads: list[Shown]
    backwardArguments: list[tuple[str, Shown]]


class NetworkSpec(TypedDict):
    """A network for the page; needsGradient: tensors whose gradients are computed; values: the shapes of all activations."""

    input: str
    logits: str
    nodes: list[NodeSpec]
    loss: NodeSpec
    needsGradient: list[str]
    values: dict[str, list[int]]


class LayerFacts(TypedDict):
    """The facts of a layer's column; field: the receptive field, (height, width) in pixels."""

    shape: list[int]
    window: list[int] | None
    macs: int
    field: list[int]


class NetworkFacts(TypedDict):
    """The facts of the page's header."""

    parameters: int
    macs: int
    layers: int
    field: str


DROPPED = ("dropout",)  # the identity in inference


def ops_of(model: Model) -> set[str]:
    """Return the names of the ops that compute a network's logits and loss."""
    return {node.op.name for node in with_loss(model).nodes} - {*DROPPED}


def with_loss(model: Model) -> Graph:
    """Return the graph up to the logits, and the loss after them: of one class, or of labels each by itself."""
    loss = sigmoid_cross_entropy if model.task == "labels" else None
    return model.graph.up_to(model.logits).with_loss(model.logits, op=loss)


def spec_of(model: Model, found: Mapping[str, Pair]) -> NetworkSpec:
    """Return the nodes of a network for one image; found: the translated functions by op."""
    graph = with_loss(model)
    calls, shapes = graph.plan(1, training=False)
    alias = dict[str, str]()
    nodes = []
    for node in graph.nodes:
        if node.op.name in DROPPED:
            source = node.inputs["x"].name
            alias[node.output.name] = alias.get(source, source)
        else:
            nodes.append(_node(node, calls[node.name], found[node.op.name], alias))
    kept = {t.name for t in graph.tensors.values() if t.kind in ("parameter", "state")}
    needs_gradient = {*depends_on_images(graph), *(t.name for t in graph.of_kind("parameter"))} - {*alias}
    assert graph.input is not None
    return {
        "input": graph.input.name,
        "logits": alias.get(model.logits.name, model.logits.name),
        "nodes": nodes[:-1],
        "loss": nodes[-1],
        "needsGradient": sorted(needs_gradient),
        "values": {name: list(shape) for name, shape in shapes.items() if name not in kept and name not in alias},
    }


def _node(node: Node, call: CallSpec, hands: Pair, alias: Mapping[str, str]) -> NodeSpec:
    tensors = {**node.inputs, **node.outputs}

    def named(key: str) -> Shown:
        value = tensors.get(key.removeprefix("grad_"))
        if isinstance(value, tuple):
            return [alias.get(tensor.name, tensor.name) for tensor in value]
        return None if value is None else alias.get(value.name, value.name)

    return {
        "name": node.name,
        "op": node.op.name,
        "output": node.output.name,
        "result": node.op.outputs[0],
        "forward": hands[0],
        "backward": hands[1],
        "attributes": {key: _finite(value) for key, value in call.attributes.items()},
        "reads": [named(key) for key in node.op.forward_arguments],
        "backwardArguments": [(key, named(key)) for key in node.op.backward_arguments],
    }


def _finite(value: Any) -> Any:
    """Return an attribute for JSON: infinity as a string."""
    if isinstance(value, (tuple, list)):
        return [_finite(item) for item in value]
    return str(float(value)) if isinstance(value, float) and isinf(value) else value


def rows_of(model: Model) -> dict[str, LayerFacts]:
    """Return the facts of each node: output shape, window, multiply-adds, and receptive field (height, width).

    >>> import byhand as bh
    >>> rows_of(bh.models.create("article"))["conv1"]
    {'shape': [26, 26, 8], 'window': [3, 3], 'macs': 45968, 'field': [3, 3]}
    """
    graph = model.graph.up_to(model.logits)
    calls, _ = graph.plan(1, training=False)
    seen = {row.layer: row.receptive_field for row in model.summary().rows}
    found: dict[str, LayerFacts] = {}
    for node in graph.nodes:
        call, field = calls[node.name], seen[node.name]
        found[node.name] = {
            "shape": list(node.output.shape[1:]),
            "window": None if call.window is None else list(call.window.kernel),
            "macs": call.flops // 2,
            "field": list(field) if isinstance(field, tuple) else [field, field],
        }
    return found


def field_centers_of(model: Model) -> dict[str, dict[str, list[float]]]:
    """Return, by tensor, the centers of its receptive fields on the image: (start, step) of its rows and of its columns."""
    maps = feature_maps(model.graph.up_to(model.logits))
    return {name: {"rows": list(grid.rows), "columns": list(grid.columns)} for name, grid in maps.items()}


def facts_of(model: Model, rows: Mapping[str, LayerFacts]) -> NetworkFacts:
    """Return the facts of the header: layers with weights, parameters, multiply-adds, last receptive field."""
    nodes = model.graph.up_to(model.logits).nodes
    weights = {
        t.name: t for node in nodes for key, t in node.inputs.items() if key not in node.op.state and _learned(t)
    }
    maps = [row["field"] for row in rows.values() if len(row["shape"]) == 3 and prod(row["shape"][:2]) > 1]
    height, width = maps[-1] if maps else model.input_shape[:2]
    return {
        "parameters": sum(prod(t.shape) for t in weights.values()),
        "macs": model.summary().flops // 2,
        "layers": sum("weight" in node.inputs for node in nodes),
        "field": f"{height} × {width}",
    }


def _learned(tensor: object) -> bool:
    """Tell whether a tensor was learned: a parameter, or a frozen state of a pretrained network."""
    return isinstance(tensor, Tensor) and tensor.kind in ("parameter", "state")
