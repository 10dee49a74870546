import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_mm")
class ModalityDropout(keras.layers.Layer):
    """Masks modalities of some rows in training, never all of a row's.

    A chosen row keeps a random subset of its modalities: first its size is drawn
    uniformly from 1 to all, then the subset. This makes the model robust to
    missing modalities.

    Examples:

    >>> masks = keras_mm.fusion.ModalityDropout(0.3)(masks, training=True)

    Args:
        rate: float from 0 to 1, share of the rows that are chosen.
        seed: int.
        groups: list of ints, one per modality: modalities of equal ones, such as two
            encoders of one column, are masked together. None: each by itself.

    Call arguments:
        masks: list of bool tensors `(batch, length)`, one per modality.
        training: bool; without it the masks are returned as they are.

    Returns:
        list of bool tensors `(batch, length)`.
    """

    def __init__(self, rate=0.2, seed=None, groups=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"`rate` must lie between 0 and 1. Received: rate={rate}")
        self.rate = rate
        self.seed = seed
        self.groups = groups
        self.generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, masks, training=False):
        """Masks."""
        groups = list(range(len(masks))) if self.groups is None else self.groups
        count = max(groups) + 1
        if not training or not self.rate or count < 2:
            return masks
        present = [None] * count
        for group, mask in zip(groups, masks):
            one, own = ops.any(mask, axis=1), present[group]
            present[group] = one if own is None else ops.logical_or(own, one)
        present = ops.stack(present, axis=1)
        rows = ops.shape(present)[0]
        have = ops.sum(ops.cast(present, "float32"), axis=1, keepdims=True)
        draws = keras.random.uniform((rows, count + 2), seed=self.generator)
        # How many to keep: 1 .. have. The lowest-ranked ones are kept; absent
        # modalities rank last.
        keep = 1.0 + ops.floor(draws[:, :1] * have)
        order = ops.where(present, draws[:, 2:], 2.0)
        earlier = ops.expand_dims(order, 1) < ops.expand_dims(order, 2)
        rank = ops.sum(ops.cast(earlier, "float32"), axis=2)
        spared = draws[:, 1:2] >= self.rate
        kept = ops.logical_or(spared, rank < keep)
        return [
            ops.logical_and(mask, kept[:, group : group + 1])
            for group, mask in zip(groups, masks)
        ]

    def compute_output_shape(self, masks_shape):
        """The masks' own shapes."""
        return masks_shape

    def compute_output_spec(self, masks, training=False):
        """The masks' own shapes and dtypes."""
        return [keras.KerasTensor(mask.shape, "bool") for mask in masks]

    def get_config(self):
        """The constructor's arguments."""
        config = {"rate": self.rate, "seed": self.seed, "groups": self.groups}
        return {**super().get_config(), **config}
