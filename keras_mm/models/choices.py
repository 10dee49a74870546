"""What a model consists of where its builder is not told: encoders, fusion, heads."""

from .. import encoders as encoder_room
from .. import fusion as fusion_room
from .. import heads as head_room


def choose_encoders(schema, encoders):
    """Groups columns by encoder, and chooses each group's `Encoder`.

    Args:
        schema: adapted `Schema`.
        encoders: dict from modality or column to name or `Encoder`, or to a list of
            several for one column; or `"pretrained"`; or None.

    Returns:
        dict from modality to column names, dict from modality to `Encoder`.
    """
    encoders = encoder_room.expanded(encoders, schema.inputs)
    modalities = schema.modalities(own=encoders)
    unknown = set(encoders) - set(modalities) - set(schema.inputs)
    if unknown:
        raise ValueError(
            f"`encoders` has unknown modalities. Modalities are "
            f"{list(modalities)}. Received: encoders={sorted(encoders)}"
        )
    modalities, encoders = encoder_room.split(modalities, encoders)
    return modalities, {
        name: encoder_room.get(
            encoders[name], [schema.inputs[column].form_of(name) for column in columns]
        )
        for name, columns in modalities.items()
    }


def default_fusion(schema, encoders, hidden_units="usual", dropout=0.0):
    """The fusion of a model, if its builder is given none.

    Args:
        schema: `Schema`.
        encoders: dict from modality to `Encoder`.
        hidden_units: as in `build_model`.
        dropout: as in `build_model`.

    Returns:
        Name or `Fusion`. Several targets share a gated fusion. With numbers or
        categories, two experts have hidden layers, to learn their interactions: the
        expert of their modality, and the joint one. A single modality of another kind
        needs no fusion.
    """
    if len(schema.targets) > 1:
        return "gated" if len(encoders) > 1 else "concat"
    if not any(encoder.leaves_hidden_layers for encoder in encoders.values()):
        return "hybrid" if len(encoders) > 1 else "concat"
    sizes = [128, 128] if hidden_units == "usual" else hidden_units
    experts = {"hidden_units": sizes, "dropout": dropout or 0.1}
    experts["members"] = 16 if sizes else 1
    # Hidden layers overfit to texts, pictures and sounds, which have encoders before.
    experts["linear"] = [
        place
        for place, encoder in enumerate(encoders.values())
        if not encoder.leaves_hidden_layers
    ]
    if len(encoders) == 1:
        return fusion_room.LateMean(**experts)
    return fusion_room.Hybrid(fusion_room.Concat(), **experts)


def choose_heads(schema, heads=None, label_smoothing=0.0):
    """dict from each target to its `Head`.

    Args:
        schema: `Schema` whose targets are adapted.
        heads: dict from target to name or `Head`, or None.
        label_smoothing: float, for targets that are not in `heads`.
    """
    heads = dict(heads or {})
    unknown = sorted(set(heads) - set(schema.targets))
    if unknown:
        raise ValueError(
            "`heads` has unknown targets. Targets are "
            f"{list(schema.targets)}. Received: heads={unknown}"
        )
    if label_smoothing and set(heads) == set(schema.targets):
        raise ValueError(
            "Each target has its own head: pass label smoothing to the heads, "
            "keras_mm.heads.Dense(label_smoothing=...). "
            f"Received: label_smoothing={label_smoothing}, heads={list(heads)}"
        )
    chosen = {}
    for name, target in schema.targets.items():
        head = heads.get(name)
        if head is None and target.default_head == "dense":
            head = head_room.Dense(label_smoothing=label_smoothing)
        chosen[name] = head_room.get(head, target, name)
    return chosen


def check_learning_rates(learning_rates, modalities):
    """Raises a `ValueError` if they have unknown modalities."""
    if set(learning_rates or {}) - set(modalities):
        raise ValueError(
            "`learning_rates` has unknown modalities. Modalities are "
            f"{list(modalities)}. Received: learning_rates={learning_rates}"
        )
