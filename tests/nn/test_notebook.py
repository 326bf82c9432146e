"""In a notebook, a model shows its table of layers."""

import re
from html import escape

import byhand as bh


def test_a_model_shows_its_table():
    model = bh.models.create("article")
    shown, text = model._repr_html_(), str(model.summary()).splitlines()
    assert shown == model.summary()._repr_html_() and f"<caption>{escape(text[0])}</caption>" in shown
    rows = [re.findall(r"<t[hd] [^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", shown)]
    assert rows[1] == ["conv1", "conv2d", "(N, 26, 26, 8)", "72", "91,936", "3"]
    assert ["".join(cells).replace(" ", "") for cells in rows] == [line.replace(" ", "") for line in text[1:]]
