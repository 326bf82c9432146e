"""Results and networks as pictures: arrays in, PNG out; a graph in, SVG out; and what differs between two networks."""

from byhand.report.confusion import confusion_matrix, draw_confusion
from byhand.report.curves import draw_curves
from byhand.report.diagnosis_input import Finding
from byhand.report.difference import compare
from byhand.report.doctor import examine
from byhand.report.drawing import draw_graph, graph_svg
from byhand.report.maps import draw_maps
from byhand.report.sheet import draw_sheet
from byhand.report.summary import write_report

__all__ = [
    "Finding",
    "compare",
    "confusion_matrix",
    "draw_confusion",
    "draw_curves",
    "draw_graph",
    "draw_maps",
    "draw_sheet",
    "examine",
    "graph_svg",
    "write_report",
]
