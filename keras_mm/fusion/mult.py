import keras
from keras import ops

from .fusion import masked_mean, side_by_side
from .token_fusion import TokenFusion


@keras.saving.register_keras_serializable(package="keras_mm")
class MulT(TokenFusion):
    """Multimodal Transformer: a stack of blocks for each ordered pair.

    In the stack of (a, b) the tokens of a attend to those of b, block by block.
    The results of all stacks of a are concatenated, token by token, and attend
    to each other; their means over the tokens, of all modalities, are projected
    to the vector. A modality takes nothing from an absent one: its tokens leave
    that stack as they went in.

    With M modalities there are `M * (M - 1)` stacks, and the last blocks are
    `M - 1` times as wide. The published code does not mask padding; this one
    does.

    Examples:

    >>> fused = keras_mm.fusion.MulT(units=32, num_layers=2)(
    ...     [image_tokens, text_tokens], [image_mask, text_mask])

    Args:
        units: int, length of a token in the stacks, and of the vector.
        num_layers: int, number of blocks in each stack.
        num_self_layers: int, number of blocks for each modality behind its
            stacks; 0: none.
        num_heads: int, attention heads; must divide `units`.
        hidden_units: int, width of the blocks' inner Dense layer; None: four
            times that of the tokens.
        dropout: float, share of each block's results dropped in training.

    Call arguments:
        tokens: list of float tensors `(batch, length, dim)`, one per modality.
        masks: list of bool tensors `(batch, length)`.
        return_tokens: bool, whether to return the fused tokens, too.

    Returns:
        Tensor `(batch, units)`; with `return_tokens` also a tensor `(batch, sum of
        the lengths, (modalities - 1) * units)` and its mask.

    Reference:
        Tsai et al. 2019, "Multimodal Transformer for Unaligned Multimodal
        Language Sequences".
    """

    def __init__(self, units=64, num_layers=1, num_self_layers=1, **kwargs):
        super().__init__(units=units, num_layers=num_layers, **kwargs)
        self.num_self_layers = num_self_layers

    def build(self, tokens_shape, masks_shape):
        """Creates projections, stacks, blocks behind them, and the last layer."""
        self.build_tokens(tokens_shape)
        places = range(len(tokens_shape))
        self.stacks = [
            [
                self.transformer_blocks(f"stack_{target}_{source}", self.num_layers)
                for source in places
                if source != target
            ]
            for target in places
        ]
        # One modality has no stack, and its tokens are as wide as they were.
        width = max(1, len(tokens_shape) - 1) * self.units
        self.self_blocks = [
            self.transformer_blocks(f"self_{index}", self.num_self_layers, width)
            for index in places
        ]
        self.last_norm = self.normalization("last_norm", width)
        self.output_projection = keras.layers.Dense(
            self.units, use_bias=False, dtype=self.dtype_policy, name="output"
        )
        self.output_projection.build((None, len(tokens_shape) * width))

    def call(self, tokens, masks, return_tokens=False, training=False):
        """Attends from each modality to each other one, then within the results."""
        tokens = self.with_modality_embeddings(tokens, masks)
        outputs = []
        for target, stacks in enumerate(self.stacks):
            sources = [index for index in range(len(tokens)) if index != target]
            results = [] if sources else [tokens[target]]
            for source, stack in zip(sources, stacks):
                x = tokens[target]
                for block in stack:
                    x = block.cross_attend(
                        x, masks[source], tokens[source], training=training
                    )
                results.append(x)
            x = ops.concatenate(results, axis=-1)
            for block in self.self_blocks[target]:
                x = block(x, masks[target], training=training)
            outputs.append(self.last_norm(x))
        parts = [masked_mean(output, mask) for output, mask in zip(outputs, masks)]
        fused = self.output_projection(ops.concatenate(parts, axis=-1))
        return (fused, *side_by_side(outputs, masks)) if return_tokens else fused

    def compute_tokens_shape(self, tokens_shape):
        """`(batch, sum of the lengths, (modalities - 1) * units)`."""
        *shape, units = super().compute_tokens_shape(tokens_shape)
        return (*shape, max(1, len(tokens_shape) - 1) * units)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "num_self_layers": self.num_self_layers}
