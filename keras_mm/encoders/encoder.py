import keras
from keras import layers, ops

from ..names import layer_name
from .augmentation import augmented
from .pretrained import enable_lora


class Encoder:
    """Base class: builds the small Keras model that encodes one modality.

    The model takes the modality's tensors and gives `tokens (batch, length,
    dim)` and `mask (batch, length)`. An absent modality has a mask that is all
    False, and no NaN gets past the encoder.
    """

    # Kinds of input that the encoder reads (`Input.kind`); empty: any.
    reads = ()
    # Form of token ids that a text encoder reads: "words" or "ngrams".
    tokens = None
    # The learning rate of what is pretrained in it; None: the model's.
    learning_rate = None
    # The rank of the matrices that train in its place; None: there are none.
    lora_rank = None
    # Whether `encode` augments pictures itself; otherwise that comes before it.
    augments = False

    def prepare(self, value):
        """The input in the form that the encoder reads, a copy if need be."""
        if self.tokens and hasattr(value, "with_tokens"):
            return value.with_tokens(self.tokens)
        return value

    def encode(self, tensors, inputs, sequences):
        """Wires the layers.

        Args:
            tensors: list of symbolic tensors, one for each column.
            inputs: list of the `Input` objects that they belong to.
            sequences: bool, whether the fusion wants single tokens; otherwise
                one pooled token a row will do.

        Returns:
            Symbolic tokens and mask.
        """
        raise NotImplementedError

    def build(self, inputs, name, sequences=False):
        """Builds the model.

        Args:
            inputs: dict from column name to `Input`.
            name: string, the model's name.
            sequences: bool, see `encode`.

        Returns:
            `keras.Model` from the columns' tensors to `[tokens, mask]`.
        """
        tensors = [
            value.keras_input(layer_name("input", column))
            for column, value in inputs.items()
        ]
        if any(value.num_items for value in inputs.values()):
            tokens, mask = self._encode_items(tensors, inputs, sequences)
        else:
            values, given = list(inputs.values()), tensors
            if not self.augments:
                given = [augmented(*pair) for pair in zip(tensors, values)]
            tokens, mask = self.encode(given, values, sequences)
        model = keras.Model(tensors, [tokens, mask], name=name)
        if self.lora_rank:
            enable_lora(model, self.lora_rank)
        return model

    def _encode_items(self, tensors, inputs, sequences):
        """Several items a row, each encoded by itself, with shared weights."""
        # Only numbers, dates and categories share an encoder, and are no lists.
        ((column, value),) = inputs.items()
        (tensor,) = tensors
        encoder = self.build(
            {column: value.one_item()}, layer_name("encoder", "item"), sequences
        )
        # Rows of one item each.
        tokens, mask = encoder(ops.reshape(tensor, (-1, *tensor.shape[2:])))
        if not sequences:
            # An item of many tokens weighs no more than one of few.
            tokens, mask = pooled(tokens, mask)
        length = value.num_items * tokens.shape[1]
        tokens = ops.reshape(tokens, (-1, length, tokens.shape[2]))
        mask = ops.reshape(mask, (-1, length))
        return (tokens, mask) if sequences else pooled(tokens, mask)


def known(tensor):
    """Which rows of a float tensor are there: bool `(batch, 1)`.

    A missing picture or number is NaN all over.
    """
    axes = tuple(range(1, len(tensor.shape)))
    is_nan = ops.all(ops.isnan(tensor), axis=axes)
    return ops.expand_dims(ops.logical_not(is_nan), 1)


def steps(tensor):
    """Which steps, nodes or frames are there: bool `(batch, length)`.

    A missing or padded one is NaN all over.
    """
    axes = tuple(range(2, len(tensor.shape)))
    return ops.logical_not(ops.all(ops.isnan(tensor), axis=axes))


def without_nan(tensor):
    """NaN -> 0. `ops.nan_to_num` replaces infinities too, at thrice the cost."""
    return ops.where(ops.isnan(tensor), ops.zeros_like(tensor), tensor)


def one_token(vector):
    """`(batch, dim)` -> `(batch, 1, dim)`."""
    return ops.expand_dims(vector, 1)


def repeat_mask(mask, tokens):
    """A row's mask `(batch, 1)`, for each of its tokens."""
    return ops.repeat(mask, tokens.shape[1], axis=1)


def masked_mean(tokens, mask):
    """Mean of the tokens that are there, 0 where none is.

    Args:
        tokens: float tensor `(batch, length, dim)`.
        mask: bool tensor `(batch, length)`.

    Returns:
        Tensor `(batch, dim)`.
    """
    weights = ops.expand_dims(ops.cast(mask, tokens.dtype), -1)
    total = ops.sum(ops.where(weights > 0, tokens, ops.zeros_like(tokens)), axis=1)
    return ops.divide_no_nan(total, ops.sum(weights, axis=1))


def pooled(tokens, mask):
    """Tokens of a sequence -> their mean, and whether there was any.

    Returns:
        Tensor `(batch, 1, dim)` and bool tensor `(batch, 1)`.
    """
    present = ops.any(mask, axis=1, keepdims=True)
    return one_token(masked_mean(tokens, mask)), present


def read_steps(tensor, value, embedding_dim, dropout=0.0):
    """Words or measured steps -> vectors without NaN, and their mask.

    Args:
        tensor: symbolic tensor, ids `(batch, length)` of a text or floats
            `(batch, length, channels)` of a sequence.
        value: the `Input` that it belongs to.
        embedding_dim: int, length of a word's vector.
        dropout: float, share of the word vectors' entries dropped in training.

    Returns:
        Symbolic tensor `(batch, length, embedding_dim or channels)`, bool
        tensor `(batch, length)`.
    """
    if value.kind == "sequence":
        # Masked by what is there, so this comes first; a gap in one channel
        # becomes 0, which is its mean.
        return without_nan(tensor), steps(tensor)
    x = layers.Embedding(value.num_ids, embedding_dim)(tensor)
    if dropout:
        x = layers.Dropout(dropout)(x)
    return x, ops.not_equal(tensor, 0)
