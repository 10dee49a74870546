import keras

from ..data.columns import is_dataset
from .supervised import Supervised


@keras.saving.register_keras_serializable(package="keras_mm")
class Matching(Supervised):
    """Classification of pairs as matching or not.

    Before the first training, the model standardises the pairs' scores.
    """

    def before_fit(self, model, x, y=None, class_weight=None, sample_weight=None):
        """Adapts the model to the scores' mean and standard deviation."""
        if model.is_table(x) and not is_dataset(x):
            model.adapt_scores(x)
