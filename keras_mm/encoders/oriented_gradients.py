import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class OrientedGradients(keras.initializers.Initializer):
    """A 3 x 3 convolution kernel of edge filters, one for each direction.

    Filter k responds to brightness that rises in the direction `2 pi k / n`:
    `cos * Sobel_x + sin * Sobel_y`, averaged over the channels.

    Examples:

    >>> kernel = keras_mm.encoders.OrientedGradients()((3, 3, 3, 16))

    Reference:
        Dalal and Triggs 2005, "Histograms of Oriented Gradients for Human
        Detection"; Sobel's operator, divided by 8.
    """

    def __call__(self, shape, dtype=None):
        """Kernel of shape `(3, 3, channels, directions)`."""
        if tuple(shape[:2]) != (3, 3):
            raise ValueError(
                f"Oriented gradients are 3 x 3 filters. Received: shape={shape}"
            )
        channels, directions = shape[2:]
        rising = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
        angles = 2 * np.pi * np.arange(directions) / directions
        kernel = (
            np.cos(angles) * rising[..., None] + np.sin(angles) * rising.T[..., None]
        )
        # In NumPy: an expanded torch tensor shares its memory, and saved weights
        # could not be loaded into it.
        kernel = np.repeat(kernel[:, :, None], channels, axis=2) / channels
        return ops.convert_to_tensor(kernel, dtype or keras.config.floatx())
