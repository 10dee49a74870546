"""Scores, contributions of modalities, and plots."""

from .cluster import cluster
from .clusters import Clusters
from .compare import compare
from .expert_weights import expert_weights
from .frame import to_frame
from .interactions import shapley_values
from .modality_curves import ModalityCurves
from .modality_report import modality_report
from .pictures import plot_confusion, plot_history, plot_predictions, plot_targets
from .report import ModalityReport
from .report_pictures import plot_comparison
from .retrieval_curves import RetrievalCurves
from .retrieval_scores import retrieval_scores
from .score import predict_without, score
from .score_retrieval import score_retrieval
