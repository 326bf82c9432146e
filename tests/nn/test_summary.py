"""The table of layers: sizes, parameters, FLOPs and receptive fields counted by hand."""

import numpy as np

import byhand as bh
from byhand import nn
from tests.nn.networks import everything


def test_summary_of_lenet5():
    summary = bh.models.create("lenet5").summary()
    rows = [(r.layer, r.op, r.output, r.parameters, r.flops, r.receptive_field) for r in summary.rows]
    assert rows == [
        ("conv1", "conv2d", "(N, 28, 28, 6)", 25 * 6 + 6, 2 * 25 * 6 * 28 * 28, 5),
        ("relu1", "relu", "(N, 28, 28, 6)", 0, 6 * 28 * 28, 5),
        ("pool1", "max_pool", "(N, 14, 14, 6)", 0, 4 * 6 * 14 * 14, 6),
        ("conv2", "conv2d", "(N, 10, 10, 16)", 25 * 6 * 16 + 16, 2 * 25 * 6 * 16 * 10 * 10, 14),
        ("relu2", "relu", "(N, 10, 10, 16)", 0, 16 * 10 * 10, 14),
        ("pool2", "max_pool", "(N, 5, 5, 16)", 0, 4 * 16 * 5 * 5, 16),
        ("flatten1", "flatten", "(N, 400)", 0, 0, 16),
        ("fc1", "linear", "(N, 120)", 400 * 120 + 120, 2 * 400 * 120, 28),
        ("relu3", "relu", "(N, 120)", 0, 120, 28),
        ("fc2", "linear", "(N, 84)", 120 * 84 + 84, 2 * 120 * 84, 28),
        ("relu4", "relu", "(N, 84)", 0, 84, 28),
        ("fc3", "linear", "(N, 10)", 84 * 10 + 10, 2 * 84 * 10, 28),
    ]
    assert summary.parameters == 61_706 == sum(row.parameters for row in summary.rows)
    assert summary.flops == sum(row.flops for row in summary.rows) == 845_852


def test_summary_of_the_article():
    model = bh.models.create("article")
    summary = model.summary()
    assert [(row.parameters, row.receptive_field) for row in summary.rows] == [(72, 3), (0, 4), (0, 4), (13_530, 28)]
    assert summary.parameters == model.parameter_count == 13_602


def test_summary_as_text():
    model = everything()
    summary = model.summary()
    text = str(summary)
    lines = text.splitlines()
    assert repr(summary) == text and len(lines) == len(summary.rows) + 3
    assert lines[0] == "everything: 8 x 8 x 2 -> 3"
    assert lines[1].split() == ["layer", "op", "output", "parameters", "FLOPs", "receptive", "field"]
    assert lines[-1].split() == ["total", f"{model.parameter_count:,}", f"{summary.flops:,}"]
    for row, line in zip(summary.rows, lines[2:]):
        assert line.split("  ")[0] == row.layer and row.output in line
        assert line.split()[-3:] == [f"{row.parameters:,}", f"{row.flops:,}", str(row.receptive_field)]
        assert line.index(row.output) == lines[1].index("output")  # in columns
    assert len({len(line) for line in lines[1:-1]}) == 1 and all(line == line.rstrip() for line in lines)
    assert f"{model.parameter_count:,} parameters" in repr(model)


def test_a_shared_layers_parameters_count_once():
    x, layer = nn.Input(4), nn.Linear(4)
    model = nn.Model(x, layer(layer(x)))
    assert model.parameter_count == 20 and model.summary().parameters == 20
    assert [row.parameters for row in model.summary().rows] == [20, 0]


def test_receptive_field_through_dilation_stride_and_branches():
    x = nn.Input(64, 64, 1)
    a = nn.Conv2d(1, 3, padding="same")(x)  # 3, jump 1
    b = nn.Conv2d(1, 3, dilation=4, padding="same")(x)  # 9
    y = nn.MaxPool2d(2)(a + b)  # 10, jump 2
    y = nn.Conv2d(1, 5)(y)  # 10 + 4 * 2
    z = nn.GlobalAvgPool2d()(y)
    fields = {row.layer: row.receptive_field for row in nn.Model(x, z).summary().rows}
    assert fields == {"conv1": 3, "conv2": 9, "add1": 9, "pool1": 10, "conv3": 18, "pool2": 64}


def test_a_receptive_field_is_what_a_gradient_reaches():
    x = nn.Input(40, 40, 1)
    y = nn.MaxPool2d(3, stride=2)(nn.Conv2d(1, 3, stride=2, initializer="ones")(x))
    y = nn.Conv2d(1, 3, dilation=2, initializer="ones")(y)
    fields = [row.receptive_field for row in nn.Model(x, nn.Flatten()(y)).summary().rows]
    size = y.shape[1]
    grad = np.zeros((1, size, size, 1))
    grad[0, size // 2, size // 2] = 1
    grad = bh.conv2d.backward(grad, np.ones((1, 9, 9, 1)), np.ones((3, 3, 1, 1)), dilation=2)[0]
    grad = bh.avg_pool.backward(grad, np.ones((1, 19, 19, 1)), kernel=3, stride=2)  # every pixel of a maximum's window
    grad = bh.conv2d.backward(grad, np.ones((1, 40, 40, 1)), np.ones((3, 3, 1, 1)), stride=2)[0]
    rows = np.flatnonzero(grad.any((0, 2, 3)))
    assert fields[2] == rows[-1] - rows[0] + 1


def test_a_field_that_is_no_square_is_told_both_ways():
    x = nn.Input(20, 60, 1)
    y = nn.Conv2d(4, (1, 9))(x)
    summary = nn.Model(x, nn.Linear(3)(nn.GlobalAvgPool2d()(nn.Conv2d(4, 3)(y)))).summary()
    assert [row.receptive_field for row in summary.rows] == [(1, 9), (3, 11), (20, 60), (20, 60)]
    assert str(summary).splitlines()[2].endswith("1 x 9")
