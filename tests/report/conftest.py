"""A fixture that returns the texts of the last figure."""

import pytest
from matplotlib.text import Text

from byhand.report.drawing import style


@pytest.fixture
def texts(monkeypatch):
    """Every text of the figure that was written last."""
    found, write = [], style.save_png

    def watched(figure, path):
        found[:] = [text.get_text() for text in figure.findobj(Text) if text.get_text()]
        write(figure, path)

    monkeypatch.setattr(style, "save_png", watched)
    return found
