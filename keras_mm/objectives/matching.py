import keras

from ..data.columns import is_dataset
from .supervised import Supervised


@keras.saving.register_keras_serializable(package="keras_mm")
class Matching(Supervised):
    """Whether the two sides of a pair belong together: a classifier of pairs.

    Before the first training it has the model learn how the pairs' scores are spread.
    """

    def before_fit(self, model, x, y=None, class_weight=None, sample_weight=None):
        """Has the model read the scores' mean and standard deviation."""
        if model.is_table(x) and not is_dataset(x):
            model.adapt_scores(x)
