"""What goes wrong with ONNX files: mutations of a small model, of its bytes and of what they mean."""

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, defs, helper

from byhand.onnx.readers import READERS
from tests.onnx.seeds import seeds

WHOLES = (
    0, 1, -1, 2, 3, 4, 7, 8, 9, 16, 63, 64, 65, 127, -128, 255, 1000, -1000, 4096, 65536, 2**20, 2**25,
        2**31 - 1, 2**31,
    -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63),
)  # fmt: skip
REALS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1e-30,
    -1e-30,
    1e30,
    -1e30,
    1e-45,
    float("inf"),
    float("-inf"),
    float("nan"),
    2.0,
    1e7,
)
WORDS = (
    "", "x", "y", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "edge", "reflect", "wrap", "constant",
    "linear", "cubic",
    "nearest", "tf_crop_and_resize", "align_corners", "asymmetric", "half_pixel_symmetric", "floor",
    "not_larger", "DCR",
    "\x1b[31m", "for", "é" * 40, "a" * 300, "../up", "/dev/zero", "numbers.bin", "__import__('os')", "tanh", "\x00",
)  # fmt: skip
FUNCTIONS = sorted(
    {one.name for one in defs.get_all_schemas() if one.has_function or one.has_context_dependent_function} - {*READERS}
)
KINDS = [*sorted(READERS), *FUNCTIONS]
SETTINGS = (
    "axis", "axes", "kernel_shape", "pads", "strides", "dilations", "group", "auto_pad", "ceil_mode", "mode",
    "perm", "alpha",
    "beta", "epsilon", "to", "keepdims", "num_outputs", "split", "blocksize", "p", "output_shape",
    "output_padding", "value",
    "allowzero", "scales", "antialias", "size", "transA", "transB", "coordinate_transformation_mode", "min",
    "max", "storage_order",
    "count_include_pad", "training_mode", "noop_with_empty_axes", "start", "end", "starts", "ends",
    "nearest_mode", "fmod",
    "cubic_coeff_a", "exclude_outside", "extrapolation_value", "keep_aspect_ratio_policy", "saturate", "seed",
    "ratio", "spatial",
    "approximate", "select_last_index", "value_ints", "value_strings",
)  # fmt: skip


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
    return [rng.choice((1, 1, 2, 3, 4, 8, *WHOLES)) for _ in range(rng.choice((0, 1, 1, 2, 3, 4, 5, 9)))]


def names(proto):
    """Return all names that a graph's nodes use."""
    graph = proto.graph
    found = {name for node in graph.node for name in (*node.input, *node.output)}
    return sorted(found | {one.name for one in graph.initializer} | {"", "x", "nowhere"})


def graph_of(rng, proto):
    """Return the graph, or a function, or a branch."""
    inner = [one.g for node in proto.graph.node for one in node.attribute if one.type == AttributeProto.GRAPH]
    return rng.choice([proto.graph] * 6 + [*proto.functions, *inner])


def node_of(rng, proto):
    graph = graph_of(rng, proto)
    return rng.choice(graph.node) if graph.node else proto.graph.node.add()


def tensors(proto):
    inside = [one.t for node in proto.graph.node for one in node.attribute if one.type == AttributeProto.TENSOR]
    return [*proto.graph.initializer, *inside] or [proto.graph.initializer.add()]


def value(rng):
    """Return what an attribute may hold."""
    makers = (
        lambda: rng.choice(WHOLES),
        lambda: rng.choice(WHOLES),
        lambda: rng.choice(REALS),
        lambda: rng.choice(WORDS),
        lambda: [rng.choice(WHOLES) for _ in range(rng.choice((1, 2, 3, 4, 6, 8)))],
        lambda: [rng.choice(REALS) for _ in range(rng.choice((1, 2, 4)))],
        lambda: [rng.choice(WORDS) for _ in range(rng.choice((1, 2)))],
        lambda: tensor(rng),
    )
    return rng.choice(makers)()


def tensor(rng):
    """Return a small tensor of any type."""
    shape = [rng.choice((0, 1, 1, 2, 3, 4, 8)) for _ in range(rng.choice((0, 1, 1, 2, 4)))]
    count = int(np.prod(shape))
    if rng.random() < 0.5:
        return helper.make_tensor("t", TensorProto.INT64, shape, [rng.choice(WHOLES) for _ in range(count)])
    kind = rng.choice(
        (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BOOL, TensorProto.STRING)
    )
    if kind == TensorProto.STRING:
        return helper.make_tensor("t", kind, shape, [b"1.5"] * count)
    return helper.make_tensor("t", kind, shape, [min(max(rng.choice(REALS), -6e4), 6e4) for _ in range(count)])


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
    one = rng.choice(node.attribute)
    if one.type == AttributeProto.INT:
        one.i = rng.choice(WHOLES)
    elif one.type == AttributeProto.FLOAT:
        one.f = rng.choice(REALS)
    elif one.type == AttributeProto.STRING:
        one.s = rng.choice(WORDS).encode()
    elif one.type == AttributeProto.INTS and one.ints:
        one.ints[rng.randrange(len(one.ints))] = rng.choice(WHOLES)
    elif one.type == AttributeProto.FLOATS and one.floats:
        one.floats[rng.randrange(len(one.floats))] = rng.choice(REALS)


def swap_attribute(rng, proto):
    node = node_of(rng, proto)
    if node.attribute:
        one = rng.choice(node.attribute)
        one.CopyFrom(helper.make_attribute(one.name, value(rng)))


def retype_attribute(rng, proto):
    node = node_of(rng, proto)
    if node.attribute:
        rng.choice(node.attribute).type = rng.choice(range(15))


def add_attribute(rng, proto):
    node = node_of(rng, proto)
    node.attribute.append(helper.make_attribute(rng.choice(SETTINGS), value(rng)))


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


def more_inputs(rng, proto):
    node = node_of(rng, proto)
    if rng.random() < 0.5 and node.input:
        del node.input[rng.randrange(len(node.input)) :]
    else:
        node.input.append(rng.choice(names(proto)))


def rename(rng, proto):
    node = node_of(rng, proto)
    if node.output:
        old, new = rng.choice(node.output), rng.choice(WORDS)
        for one in proto.graph.node:
            for seen in (one.input, one.output):
                for i, name in enumerate(seen):
                    if name == old:
                        seen[i] = new
        for one in proto.graph.output:
            one.name = new if one.name == old else one.name


def change_outputs(rng, proto):
    node = node_of(rng, proto)
    if rng.random() < 0.5 and node.output:
        del node.output[rng.randrange(len(node.output)) :]
    else:
        node.output.append(rng.choice(names(proto)))


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
    given = {rng.choice(SETTINGS): value(rng) for _ in range(rng.choice((0, 1, 1, 2)))}
    kept = ModelProto()
    kept.CopyFrom(proto)
    for node in kept.graph.node[at:]:
        for i, name in enumerate(node.input):
            if name == old:
                node.input[i] = f"new{at}"
    del proto.graph.node[:]
    proto.graph.node.extend(kept.graph.node[:at])
    proto.graph.node.append(helper.make_node(rng.choice(KINDS), [old, *more], [f"new{at}"], **given))
    proto.graph.node.extend(kept.graph.node[at:])


def change_opset(rng, proto):
    if proto.opset_import:
        rng.choice(proto.opset_import).version = rng.choice((1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 19, 21, 22, *WHOLES))


def change_dims(rng, proto):
    one = rng.choice(tensors(proto))
    if one.dims and rng.random() < 0.6:
        one.dims[rng.randrange(len(one.dims))] = rng.choice(WHOLES)
    elif one.dims and rng.random() < 0.5:
        kept = list(one.dims)
        rng.shuffle(kept)
        one.dims[:] = kept
    else:
        one.dims[:] = dims(rng)


def change_type(rng, proto):
    rng.choice(tensors(proto)).data_type = rng.choice((*range(27), 99, -1))


def change_numbers(rng, proto):
    """Write other numbers into a tensor: into one of whole numbers those that no graph has."""
    one = rng.choice(tensors(proto))
    if one.data_type == TensorProto.INT64 and len(one.raw_data) >= 8:
        array = np.frombuffer(one.raw_data, np.int64, len(one.raw_data) // 8).copy()
        array[rng.randrange(array.size)] = rng.choice(WHOLES)
        one.raw_data = array.tobytes()
    elif one.data_type == TensorProto.FLOAT and len(one.raw_data) >= 4:
        array = np.frombuffer(one.raw_data, np.float32, len(one.raw_data) // 4).copy()
        array[rng.randrange(array.size)] = rng.choice(REALS)
        one.raw_data = array.tobytes()
    else:
        one.raw_data = rng.randbytes(rng.choice((0, 1, 4, 8, 64)))


def change_bytes(rng, proto):
    one = rng.choice(tensors(proto))
    kind = rng.randrange(5)
    if kind == 0:
        one.raw_data = one.raw_data[: rng.randrange(len(one.raw_data) + 1)]
    elif kind == 1:
        one.raw_data = one.raw_data + rng.randbytes(8)
    elif kind == 2:
        one.ClearField("raw_data")
        one.float_data.extend([1.0] * rng.choice((0, 1, 12)))
    elif kind == 3:
        one.ClearField("raw_data")
        one.int64_data.extend([rng.choice(WHOLES)] * rng.choice((0, 1, 4)))
    else:
        one.CopyFrom(tensor(rng))


def change_place(rng, proto):
    one = rng.choice(tensors(proto))
    one.data_location = TensorProto.EXTERNAL
    if rng.random() < 0.7:
        one.ClearField("raw_data")
    for key, words in (("location", WORDS), ("offset", (*WHOLES, "x")), ("length", (*WHOLES, "1.5"))):
        if rng.random() < 0.6:
            entry = one.external_data.add()
            entry.key, entry.value = key, str(rng.choice(words))
    if rng.random() < 0.5:
        entry = one.external_data.add()
        entry.key, entry.value = "location", "numbers.bin"


def change_notes(rng, proto):
    entry = proto.metadata_props.add()
    entry.key = "byhand." + rng.choice(("classes", "mean", "std", "name"))
    entry.value = rng.choice(
        (
            "", "null", "{}", "[]", '["a"]', '["a", "b"]', "[1, 2]", "NaN", "Infinity", "0", "-1", "1e999",
            "[0.5, 0.5, 0.5]",
            "[0.5]", '"n"', '"\\u001b[31m"', '"a b"', "[" * 2000, "9" * 5000, "true", '{"a": 1, "b": 2}', "[[1]]",
        )
    )  # fmt: skip


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
    change_input, change_attribute, change_attribute, change_attribute, swap_attribute, retype_attribute, add_attribute,
    add_attribute, drop_attribute, rewire, rewire, swap_inputs, more_inputs, rename, change_outputs,
        change_kind, change_kind,
    change_domain, delete_node, repeat_node, swap_nodes, insert_node, insert_node, insert_node, change_opset,
        change_dims,
    change_dims, change_type, change_numbers, change_numbers, change_numbers, change_bytes, change_place,
        change_notes, grow,
)  # fmt: skip
