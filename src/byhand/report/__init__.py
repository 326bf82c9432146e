"""Reports on trained networks: metrics, the training doctor, attribution, model comparison, and figures (PNG, SVG, HTML)."""

from byhand.report.diagnosis_input import Finding
from byhand.report.doctor import examine
from byhand.report.drawing.confusion_matrix import draw_confusion_matrix
from byhand.report.drawing.contact_sheet import draw_contact_sheet
from byhand.report.drawing.feature_maps import draw_feature_maps
from byhand.report.drawing.learning_curves import draw_learning_curves
from byhand.report.drawing.network_graph import draw_graph, graph_svg
from byhand.report.metrics import confusion_matrix
from byhand.report.model_diff import compare_models
from byhand.report.training_report import write_report

__all__ = [
    "Finding",
    "compare_models",
    "confusion_matrix",
    "draw_confusion_matrix",
    "draw_contact_sheet",
    "draw_feature_maps",
    "draw_graph",
    "draw_learning_curves",
    "examine",
    "graph_svg",
    "write_report",
]
