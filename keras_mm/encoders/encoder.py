import keras
from keras import layers, ops

from ..names import layer_name
from .augmentation import augmented
from .pretrained import enable_lora


class Encoder:
    """Base class of encoders: builds the small Keras model that encodes one modality.

    The model takes the modality's tensors and returns `tokens (batch, length,
    dim)` and `mask (batch, length)`. The mask of an absent modality is all False,
    and the tokens never contain NaN.
    """

    # Kinds of input that the encoder reads (`Input.kind`); empty: any.
    reads = ()
    # The form of token ids that a text encoder reads: "words" or "ngrams".
    tokens = None
    # The learning rate of its pretrained part; None: the model's.
    learning_rate = None
    # The rank of LoRA matrices for the pretrained part; None: no LoRA.
    lora_rank = None
    # Whether its token is meant for experts that have hidden layers of their own.
    leaves_hidden_layers = False
    # Whether `encode` augments images itself; otherwise `build` does so before it.
    augments = False

    def prepare(self, value):
        """The input in the form that the encoder reads; a copy if it differs."""
        if self.tokens and hasattr(value, "with_tokens"):
            return value.with_tokens(self.tokens)
        return value

    def for_fusion(self, fusion):
        """The encoder for a fusion that its tokens go to; a copy if it differs."""
        return self

    def encode(self, tensors, inputs, sequences):
        """Applies the layers to symbolic tensors.

        Args:
            tensors: list of symbolic tensors, one for each column.
            inputs: list of the `Input` objects that they belong to.
            sequences: bool, whether the fusion reads single tokens; otherwise
                one pooled token per row is enough.

        Returns:
            Symbolic tokens and mask.
        """
        raise NotImplementedError

    def build(self, inputs, name, sequences=False, modality=None):
        """Builds the model.

        Args:
            inputs: dict from column name to `Input`.
            name: string, the model's name.
            sequences: bool, see `encode`.
            modality: string, whose form to read of a column with several `Forms`.

        Returns:
            `keras.Model` from the columns' tensors to `[tokens, mask]`.
        """
        tensors = [
            value.keras_input(layer_name("input", column))
            for column, value in inputs.items()
        ]
        given = [
            value.take(tensor, modality)
            for tensor, value in zip(tensors, inputs.values())
        ]
        inputs = {column: v.form_of(modality) for column, v in inputs.items()}
        if any(value.num_items for value in inputs.values()):
            tokens, mask = self._encode_items(given, inputs, sequences)
        else:
            values = list(inputs.values())
            if not self.augments:
                given = [augmented(*pair) for pair in zip(given, values)]
            tokens, mask = self.encode(given, values, sequences)
        model = keras.Model(tensors, [tokens, mask], name=name)
        if self.lora_rank:
            enable_lora(model, self.lora_rank)
        return model

    def _encode_items(self, tensors, inputs, sequences):
        """Several items per row, each encoded by itself, with shared weights."""
        # Inputs of several items never share an encoder with other columns.
        ((column, value),) = inputs.items()
        (tensor,) = tensors
        encoder = self.build(
            {column: value.one_item()}, layer_name("encoder", "item"), sequences
        )
        # Rows of one item each.
        tokens, mask = encoder(ops.reshape(tensor, (-1, *tensor.shape[2:])))
        if not sequences:
            # Each item counts equally, however many tokens it has.
            tokens, mask = pooled(tokens, mask)
        length = value.num_items * tokens.shape[1]
        tokens = ops.reshape(tokens, (-1, length, tokens.shape[2]))
        mask = ops.reshape(mask, (-1, length))
        return (tokens, mask) if sequences else pooled(tokens, mask)


def row_mask(tensor):
    """Mask of the rows of a float tensor that are present: bool `(batch, 1)`.

    A missing image or number is all NaN.
    """
    axes = tuple(range(1, len(tensor.shape)))
    is_nan = ops.all(ops.isnan(tensor), axis=axes)
    return ops.expand_dims(ops.logical_not(is_nan), 1)


def step_mask(tensor):
    """Mask of the steps, nodes or frames that are present: bool `(batch, length)`.

    A missing or padded one is all NaN.
    """
    axes = tuple(range(2, len(tensor.shape)))
    return ops.logical_not(ops.all(ops.isnan(tensor), axis=axes))


def without_nan(tensor):
    """NaN -> 0. `ops.nan_to_num` also replaces infinities, at three times the cost."""
    return ops.where(ops.isnan(tensor), ops.zeros_like(tensor), tensor)


def one_token(vector):
    """`(batch, dim)` -> `(batch, 1, dim)`."""
    return ops.expand_dims(vector, 1)


def repeat_mask(mask, tokens):
    """The mask of rows `(batch, 1)`, repeated for each of their tokens."""
    return ops.repeat(mask, tokens.shape[1], axis=1)


def masked_mean(tokens, mask):
    """Mean of the tokens under the mask; 0 where the mask is all False.

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
    """Tokens of a sequence -> their masked mean as one token, and its mask.

    Returns:
        Tensor `(batch, 1, dim)` and bool tensor `(batch, 1)`.
    """
    present = ops.any(mask, axis=1, keepdims=True)
    return one_token(masked_mean(tokens, mask)), present


def read_steps(tensor, value, embedding_dim, dropout=0.0):
    """Token ids or steps of a sequence -> vectors without NaN, and their mask.

    Args:
        tensor: symbolic tensor, ids `(batch, length)` of a text or floats
            `(batch, length, channels)` of a sequence.
        value: the `Input` that it belongs to.
        embedding_dim: int, length of a word's vector.
        dropout: float, dropout rate of the word vectors.

    Returns:
        Symbolic tensor `(batch, length, embedding_dim or channels)`, bool
        tensor `(batch, length)`.
    """
    if value.kind == "sequence":
        # A gap in one channel becomes 0, which is the channel's mean.
        return without_nan(tensor), step_mask(tensor)
    x = layers.Embedding(value.num_ids, embedding_dim)(tensor)
    if dropout:
        x = layers.Dropout(dropout)(x)
    return x, ops.not_equal(tensor, 0)
