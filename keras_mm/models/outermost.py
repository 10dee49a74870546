"""Whether a model is called by itself or by another one."""


def is_outermost(model):
    """Whether the call that is running is that of the model, not of one around it.

    Args:
        model: `keras.Model`, inside its `call`.
    """
    # Keras has no public way to ask.
    from keras.src.backend.common.global_state import get_global_attribute
    from keras.src.backend.common.stateless_scope import in_stateless_scope

    context = get_global_attribute("current_call_ctx")
    if context is None:
        # `stateless_call`, with which JAX trains, opens none.
        return True
    return context.entry_layer is model and not in_stateless_scope()
