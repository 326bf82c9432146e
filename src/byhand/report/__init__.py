"""Results as pictures: arrays in, PNG out."""

from byhand.report.confusion import confusion_matrix, draw_confusion
from byhand.report.curves import draw_curves

__all__ = ["confusion_matrix", "draw_confusion", "draw_curves"]
