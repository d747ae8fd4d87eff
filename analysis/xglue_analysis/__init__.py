"""Why an encoder transfers across languages: similarity of representations, and spectra of weights.

Pure functions on tensors, with a command line in ``xglue-harness analyze``. See ``docs/analysis.md``.
"""

from xglue_analysis.alignment import anc, retrieval
from xglue_analysis.calibration import Calibrated, calibrate, calibrated
from xglue_analysis.cka import Grid, cka, cka_grid, null_deviation, standardised, without_dominant
from xglue_analysis.comparison import compare
from xglue_analysis.decomposition import singular_values
from xglue_analysis.errors import AnalysisError
from xglue_analysis.isotropy import iso_score, mean_cosine
from xglue_analysis.languages import compare_languages, language_spaces
from xglue_analysis.neighbours import dali, mexa, mutual_knn
from xglue_analysis.representations import layer_states
from xglue_analysis.resampling import Pairwise
from xglue_analysis.separability import Separability, separability
from xglue_analysis.spectra import spectra, table
from xglue_analysis.streaming import MinibatchCKA
from xglue_analysis.weights import open_weights

__all__ = [
    "AnalysisError",
    "Calibrated",
    "Grid",
    "MinibatchCKA",
    "Pairwise",
    "Separability",
    "anc",
    "calibrate",
    "calibrated",
    "cka",
    "cka_grid",
    "compare",
    "compare_languages",
    "dali",
    "iso_score",
    "language_spaces",
    "layer_states",
    "mean_cosine",
    "mexa",
    "mutual_knn",
    "null_deviation",
    "open_weights",
    "retrieval",
    "separability",
    "singular_values",
    "spectra",
    "standardised",
    "table",
    "without_dominant",
]
