"""Attribution: which part of an image a prediction depends on (Grad-CAM, saliency, occlusion), as arrays and as a figure."""

from byhand.report.explain.attribution import Explanation, explain
from byhand.report.explain.figure import draw_explanation

__all__ = ["Explanation", "draw_explanation", "explain"]
