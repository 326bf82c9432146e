"""Mutations of ONNX models for the fuzzer: bytes and message fields."""

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, defs, helper

from byhand.onnx.readers import READERS
from tests.onnx.mutation_values import ATTRIBUTES, FLOATS, INTEGERS, STRINGS
from tests.onnx.seeds import seeds

FUNCTIONS = sorted(
    {schema.name for schema in defs.get_all_schemas() if schema.has_function or schema.has_context_dependent_function}
    - {*READERS}
)
OPERATORS = [*sorted(READERS), *FUNCTIONS]


def mutant(rng):
    """Return the bytes of a model that is broken in one to four places."""
    proto = ModelProto()
    proto.CopyFrom(rng.choice(seeds()))
    if rng.random() < 0.85:
        for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
            rng.choice(CHANGES)(rng, proto)
    data = proto.SerializeToString()
    return broken(rng, data) if rng.random() < 0.25 else data


def broken(rng, data):
    """Return bytes with some flipped, put in, taken out, or exchanged."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        if not data:
            break
        at, kind = rng.randrange(len(data)), rng.randrange(6)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.randrange(256)
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 8)))
        elif kind == 3:
            del data[at : at + rng.choice((1, 2, 8, 100))]
        elif kind == 4:
            other = rng.randrange(len(data))
            data[at : at + 16] = data[other : other + 16]
        else:
            del data[at:]
    return bytes(data)


def dims(rng):
    return [rng.choice((1, 1, 2, 3, 4, 8, *INTEGERS)) for _ in range(rng.choice((0, 1, 1, 2, 3, 4, 5, 9)))]


def names(proto):
    """Return all names that a graph's nodes use."""
    graph = proto.graph
    found = {name for node in graph.node for name in (*node.input, *node.output)}
    return sorted(found | {tensor_proto.name for tensor_proto in graph.initializer} | {"", "x", "nowhere"})


def graph_of(rng, proto):
    """Return the graph, or a function, or a branch."""
    inner = [
        attribute.g
        for node in proto.graph.node
        for attribute in node.attribute
        if attribute.type == AttributeProto.GRAPH
    ]
    return rng.choice([proto.graph] * 6 + [*proto.functions, *inner])


def node_of(rng, proto):
    graph = graph_of(rng, proto)
    return rng.choice(graph.node) if graph.node else proto.graph.node.add()


def tensors(proto):
    inside = [
        attribute.t
        for node in proto.graph.node
        for attribute in node.attribute
        if attribute.type == AttributeProto.TENSOR
    ]
    return [*proto.graph.initializer, *inside] or [proto.graph.initializer.add()]


def value(rng):
    """Return what an attribute may hold."""
    makers = (
        lambda: rng.choice(INTEGERS),
        lambda: rng.choice(INTEGERS),
        lambda: rng.choice(FLOATS),
        lambda: rng.choice(STRINGS),
        lambda: [rng.choice(INTEGERS) for _ in range(rng.choice((1, 2, 3, 4, 6, 8)))],
        lambda: [rng.choice(FLOATS) for _ in range(rng.choice((1, 2, 4)))],
        lambda: [rng.choice(STRINGS) for _ in range(rng.choice((1, 2)))],
        lambda: tensor(rng),
    )
    return rng.choice(makers)()


def tensor(rng):
    """Return a small tensor of any type."""
    shape = [rng.choice((0, 1, 1, 2, 3, 4, 8)) for _ in range(rng.choice((0, 1, 1, 2, 4)))]
    count = int(np.prod(shape))
    if rng.random() < 0.5:
        return helper.make_tensor("t", TensorProto.INT64, shape, [rng.choice(INTEGERS) for _ in range(count)])
    kind = rng.choice(
        (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BOOL, TensorProto.STRING)
    )
    if kind == TensorProto.STRING:
        return helper.make_tensor("t", kind, shape, [b"1.5"] * count)
    return helper.make_tensor("t", kind, shape, [min(max(rng.choice(FLOATS), -6e4), 6e4) for _ in range(count)])


def change_input(rng, proto):
    if proto.graph.input:
        kind = rng.choice(proto.graph.input).type.tensor_type
        if rng.random() < 0.3:
            kind.elem_type = rng.choice((0, 1, 2, 7, 8, 10, 11, 16, 99))
        del kind.shape.dim[rng.randrange(5) :]
        for size in rng.choice((dims(rng), [1, 3, 8, 8], [1, 3, 64, 64], [2, 3, 8, 8], [1, 8, 8, 3], [1, 192])):
            if len(kind.shape.dim) < 5:
                kind.shape.dim.add().dim_value = size


def change_attribute(rng, proto):
    node = node_of(rng, proto)
    if not node.attribute:
        return add_attribute(rng, proto)
    attribute = rng.choice(node.attribute)
    if attribute.type == AttributeProto.INT:
        attribute.i = rng.choice(INTEGERS)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = rng.choice(FLOATS)
    elif attribute.type == AttributeProto.STRING:
        attribute.s = rng.choice(STRINGS).encode()
    elif attribute.type == AttributeProto.INTS and attribute.ints:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(INTEGERS)
    elif attribute.type == AttributeProto.FLOATS and attribute.floats:
        attribute.floats[rng.randrange(len(attribute.floats))] = rng.choice(FLOATS)


def swap_attribute(rng, proto):
    node = node_of(rng, proto)
    if node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.CopyFrom(helper.make_attribute(attribute.name, value(rng)))


def retype_attribute(rng, proto):
    node = node_of(rng, proto)
    if node.attribute:
        rng.choice(node.attribute).type = rng.choice(range(15))


def add_attribute(rng, proto):
    node = node_of(rng, proto)
    node.attribute.append(helper.make_attribute(rng.choice(ATTRIBUTES), value(rng)))


def drop_attribute(rng, proto):
    node = node_of(rng, proto)
    if node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]


def rewire(rng, proto):
    node, known = node_of(rng, proto), names(proto)
    if node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(known)


def swap_inputs(rng, proto):
    node = node_of(rng, proto)
    if len(node.input) > 1:
        a, b = rng.sample(range(len(node.input)), 2)
        node.input[a], node.input[b] = node.input[b], node.input[a]


def change_inputs(rng, proto):
    cut_or_append(rng, proto, node_of(rng, proto).input)


def change_outputs(rng, proto):
    cut_or_append(rng, proto, node_of(rng, proto).output)


def cut_or_append(rng, proto, tensors):
    """Remove the last of a node's inputs or outputs, or append the name of any tensor."""
    if rng.random() < 0.5 and tensors:
        del tensors[rng.randrange(len(tensors)) :]
    else:
        tensors.append(rng.choice(names(proto)))


def rename(rng, proto):
    node = node_of(rng, proto)
    if node.output:
        old, new = rng.choice(node.output), rng.choice(STRINGS)
        for other in proto.graph.node:
            for seen in (other.input, other.output):
                for i, name in enumerate(seen):
                    if name == old:
                        seen[i] = new
        for output in proto.graph.output:
            output.name = new if output.name == old else output.name


def change_kind(rng, proto):
    node_of(rng, proto).op_type = rng.choice(
        [*sorted(READERS), "Loop", "Scan", "OneHot", "GRU", "Scaled", "Celu", "Nothing"]
    )


def change_domain(rng, proto):
    node_of(rng, proto).domain = rng.choice(("", "ai.onnx", "own", "ai.onnx.ml", "com.microsoft"))


def delete_node(rng, proto):
    nodes = graph_of(rng, proto).node
    if nodes:
        del nodes[rng.randrange(len(nodes))]


def repeat_node(rng, proto):
    nodes = graph_of(rng, proto).node
    if nodes:
        nodes.append(nodes[rng.randrange(len(nodes))])


def swap_nodes(rng, proto):
    nodes = graph_of(rng, proto).node
    if len(nodes) > 1:
        a, b = rng.sample(range(len(nodes)), 2)
        first = NodeProto()
        first.CopyFrom(nodes[a])
        nodes[a].CopyFrom(nodes[b])
        nodes[b].CopyFrom(first)


def insert_node(rng, proto):
    """Put an operator behind a value, so that what read it reads what the operator makes of it."""
    known, at, old = names(proto), rng.randrange(len(proto.graph.node) + 1), rng.choice(names(proto))
    more = [rng.choice(known) for _ in range(rng.choice((0, 0, 1, 1, 2, 3)))]
    given = {rng.choice(ATTRIBUTES): value(rng) for _ in range(rng.choice((0, 1, 1, 2)))}
    kept = ModelProto()
    kept.CopyFrom(proto)
    for node in kept.graph.node[at:]:
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = f"new{at}"
    del proto.graph.node[:]
    proto.graph.node.extend(kept.graph.node[:at])
    proto.graph.node.append(helper.make_node(rng.choice(OPERATORS), [old, *more], [f"new{at}"], **given))
    proto.graph.node.extend(kept.graph.node[at:])


def change_opset(rng, proto):
    if proto.opset_import:
        rng.choice(proto.opset_import).version = rng.choice(
            (1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 19, 21, 22, *INTEGERS)
        )


def change_dims(rng, proto):
    stored = rng.choice(tensors(proto))
    if stored.dims and rng.random() < 0.6:
        stored.dims[rng.randrange(len(stored.dims))] = rng.choice(INTEGERS)
    elif stored.dims and rng.random() < 0.5:
        kept = list(stored.dims)
        rng.shuffle(kept)
        stored.dims[:] = kept
    else:
        stored.dims[:] = dims(rng)


def change_type(rng, proto):
    rng.choice(tensors(proto)).data_type = rng.choice((*range(27), 99, -1))


def change_numbers(rng, proto):
    """Write other numbers into a tensor: into stored of whole numbers those that no graph has."""
    stored = rng.choice(tensors(proto))
    if stored.data_type == TensorProto.INT64 and len(stored.raw_data) >= 8:
        array = np.frombuffer(stored.raw_data, np.int64, len(stored.raw_data) // 8).copy()
        array[rng.randrange(array.size)] = rng.choice(INTEGERS)
        stored.raw_data = array.tobytes()
    elif stored.data_type == TensorProto.FLOAT and len(stored.raw_data) >= 4:
        array = np.frombuffer(stored.raw_data, np.float32, len(stored.raw_data) // 4).copy()
        array[rng.randrange(array.size)] = rng.choice(FLOATS)
        stored.raw_data = array.tobytes()
    else:
        stored.raw_data = rng.randbytes(rng.choice((0, 1, 4, 8, 64)))


def change_bytes(rng, proto):
    stored = rng.choice(tensors(proto))
    kind = rng.randrange(5)
    if kind == 0:
        stored.raw_data = stored.raw_data[: rng.randrange(len(stored.raw_data) + 1)]
    elif kind == 1:
        stored.raw_data = stored.raw_data + rng.randbytes(8)
    elif kind == 2:
        stored.ClearField("raw_data")
        stored.float_data.extend([1.0] * rng.choice((0, 1, 12)))
    elif kind == 3:
        stored.ClearField("raw_data")
        stored.int64_data.extend([rng.choice(INTEGERS)] * rng.choice((0, 1, 4)))
    else:
        stored.CopyFrom(tensor(rng))


def change_place(rng, proto):
    stored = rng.choice(tensors(proto))
    stored.data_location = TensorProto.EXTERNAL
    if rng.random() < 0.7:
        stored.ClearField("raw_data")
    for key, words in (("location", STRINGS), ("offset", (*INTEGERS, "x")), ("length", (*INTEGERS, "1.5"))):
        if rng.random() < 0.6:
            entry = stored.external_data.add()
            entry.key, entry.value = key, str(rng.choice(words))
    if rng.random() < 0.5:
        entry = stored.external_data.add()
        entry.key, entry.value = "location", "numbers.bin"


def change_notes(rng, proto):
    entry = proto.metadata_props.add()
    entry.key = "byhand." + rng.choice(("classes", "mean", "std", "name"))
    entry.value = rng.choice(
        (
            "",
            "null",
            "{}",
            "[]",
            '["a"]',
            '["a", "b"]',
            "[1, 2]",
            "NaN",
            "Infinity",
            "0",
            "-1",
            "1e999",
            "[0.5, 0.5, 0.5]",
            "[0.5]",
            '"n"',
            '"\\u001b[31m"',
            '"a b"',
            "[" * 2000,
            "9" * 5000,
            "true",
            '{"a": 1, "b": 2}',
            "[[1]]",
        )
    )


def grow(rng, proto):
    """Repeat a node many times, one behind the other."""
    nodes = proto.graph.node
    if nodes:
        node = nodes[rng.randrange(len(nodes))]
        if node.input and node.output:
            for i in range(rng.choice((2, 8, 60))):
                copy = nodes.add()
                copy.CopyFrom(node)
                copy.input[0] = node.output[0] if i == 0 else f"grown{i - 1}"
                copy.output[0] = f"grown{i}"
                copy.name = f"grown{i}"


CHANGES = (
    change_input,
    change_attribute,
    change_attribute,
    change_attribute,
    swap_attribute,
    retype_attribute,
    add_attribute,
    add_attribute,
    drop_attribute,
    rewire,
    rewire,
    swap_inputs,
    change_inputs,
    rename,
    change_outputs,
    change_kind,
    change_kind,
    change_domain,
    delete_node,
    repeat_node,
    swap_nodes,
    insert_node,
    insert_node,
    insert_node,
    change_opset,
    change_dims,
    change_dims,
    change_type,
    change_numbers,
    change_numbers,
    change_numbers,
    change_bytes,
    change_place,
    change_notes,
    grow,
)
