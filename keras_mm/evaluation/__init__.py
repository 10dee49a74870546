"""How good a model is, and pictures of it."""

from .frame import to_frame
from .pictures import plot_confusion, plot_history, plot_predictions
from .score import predict_without, score
