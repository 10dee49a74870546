"""Wires encoders, a fusion and a head into one compiled model."""

import inspect
import math

import keras
from keras import layers, ops

from .. import fusion as fusion_room
from ..data import Schema
from ..encoders import by_column
from ..fusion import Fused, has_experts
from ..inputs.forms import joined
from ..names import layer_name
from ..objectives import Supervised
from .choices import (
    check_learning_rates,
    choose_encoders,
    choose_heads,
    default_fusion,
)
from .model import MultimodalModel
from .seeded import seeded_builder
from .training_settings import training_settings
from .wiring import EXPERTS, PREDICTIONS, Wiring


@seeded_builder
def wire_model(
    schema,
    encoders=None,
    fusion=None,
    modality_dropout=0.3,
    missing_token=False,
    imputation=False,
    hidden_units="usual",
    dropout=0.0,
    label_smoothing=0.0,
    loss_weights=None,
    heads=None,
    optimizer=None,
    learning_rates=None,
    seed=None,
    model_class=MultimodalModel,
    objective=None,
):
    """Schema -> compiled `MultimodalModel`, or an instance of a subclass.

    Arguments are as in `build_model`.
    """
    for name, target in schema.targets.items():
        if target.units is None:
            raise ValueError(
                f"The classes of target {name!r} are unknown. Call "
                f"schema.adapt(train). Received: targets={schema.targets}"
            )
    _check_weights(loss_weights or {}, schema)
    modalities, chosen = choose_encoders(schema, encoders)
    check_learning_rates(learning_rates, modalities)
    if imputation and missing_token:
        raise ValueError(
            "An absent modality is either predicted or has one learned token. "
            "Received: imputation=True, missing_token=True"
        )
    if imputation and len(by_column(modalities)) < 2:
        raise ValueError(
            "Imputation needs two modalities or more. "
            f"Received: imputation=True, modalities={list(modalities)}"
        )
    heads = choose_heads(schema, heads, label_smoothing)
    if fusion is None:
        fusion = default_fusion(schema, chosen, hidden_units, dropout)
    fusion = fusion_room.get(fusion)
    chosen = {name: encoder.for_fusion(fusion) for name, encoder in chosen.items()}
    if hidden_units == "usual":
        each = [target.hidden_units for target in schema.targets.values()]
        hidden_units = each[0] if len(each) == 1 else 64
    schema = prepare(schema, modalities, chosen)

    inputs = {name: value.keras_input(name) for name, value in schema.inputs.items()}
    sequences = getattr(fusion, "uses_tokens", True)
    encoded = encode(inputs, schema, modalities, chosen, sequences)
    tokens, masks = map(list, zip(*encoded.values()))
    masks = drop_modalities(masks, modalities, modality_dropout, seed)
    if imputation:
        layer = fusion_room.Imputation(name=layer_name("imputation"))
        tokens, masks = layer(tokens, masks)
    if missing_token:
        layer = fusion_room.MissingToken(name=layer_name("token", "missing"))
        tokens, masks = layer(tokens, masks)
    settings = {"hidden_units": hidden_units, "dropout": dropout}
    if has_experts(fusion):
        outputs, fusions = _late(fusion, tokens, masks, schema, heads, settings)
    else:
        outputs = _early(fusion, tokens, masks, schema, heads, settings)
        fusions = dict.fromkeys(schema.targets, layer_name("fusion"))
    compiled = compile_settings(schema, heads, loss_weights)
    model = model_class(list(inputs.values()), outputs, name="multimodal_model")
    model.schema, model.heads, model.seed = schema, heads, seed
    model.objective = objective or Supervised()
    model.wiring = Wiring(
        modalities,
        {name: layer_name("encoder", name) for name in modalities},
        fusions,
        {name: head.layer_name(name) for name, head in heads.items()},
        has_experts(fusion),
    )
    set_tuning(model, chosen, learning_rates)
    rate = training_settings(schema.rows).learning_rate
    model.compile(optimizer=optimizer or keras.optimizers.Adam(rate), **compiled)
    return model


def _early(fusion, tokens, masks, schema, heads, settings):
    """Predictions of heads that share one fusion."""
    reads_tokens = [name for name, head in heads.items() if head.needs == "tokens"]
    fused = fusion_room.fuse(fusion, tokens, masks, return_tokens=bool(reads_tokens))
    if reads_tokens and fused.tokens is None:
        raise ValueError(
            f"The heads of {reads_tokens} need fused tokens, which this fusion does not "
            "return. Use fusion='transformer', 'co_attention' or 'perceiver'. "
            f"Received: fusion={fusion!r}"
        )
    x = fused.vector
    if getattr(fusion, "name", None) != layer_name("fusion"):
        # A custom fusion: its output gets the name that the wiring expects.
        x = layers.Identity(name=layer_name("fusion"))(x)
    if settings["hidden_units"]:
        name = layer_name("hidden")
        x = layers.Dense(settings["hidden_units"], activation="relu", name=name)(x)
    if settings["dropout"]:
        x = layers.Dropout(settings["dropout"], name=layer_name("dropout", "fusion"))(x)
    fused = fused._replace(vector=x)
    return schema.without_dict(
        {
            name: head.build(fused, schema.targets[name], name)
            for name, head in heads.items()
        }
    )


def _late(fusion, tokens, masks, schema, heads, settings):
    """One fusion with experts per target: outputs, and the layers' names."""
    predictions, experts, names = {}, {}, {}
    for name, head in heads.items():
        target = schema.targets[name]
        if fusion.out_of_fold and not head.has_linear_model:
            raise ValueError(
                f"Stacking fits a linear model, which the head of {name!r} does not "
                "support. Use fusion='hybrid' or another one. "
                f"Received: fusion={fusion!r}, heads[{name!r}]={head!r}"
            )
        of = name if len(heads) > 1 else "modality"
        names[name] = layer_name("fusion", of)
        layer = fusion.with_head(
            target.units,
            head.activation(target),
            settings["hidden_units"] or head.hidden_units,
            settings["dropout"] or head.dropout,
            names[name],
        )
        fused = fusion_room.fuse(layer, tokens, masks, return_tokens=False)
        predictions[name] = head.predictions(fused.vector, target, name)
        experts[name] = list(fused.experts)
    return {PREDICTIONS: schema.without_dict(predictions), EXPERTS: experts}, names


def wire_from(arguments):
    """Calls `wire_model` with those of a builder's arguments that it takes.

    So no shared argument can be forgotten.

    Args:
        arguments: `locals()` of the builder.
    """
    taken = inspect.signature(wire_model).parameters
    return wire_model(**{n: value for n, value in arguments.items() if n in taken})


def _check_weights(weights, schema):
    if set(weights) - set(schema.targets):
        raise ValueError(
            "`loss_weights` has unknown targets. Targets are "
            f"{list(schema.targets)}. Received: loss_weights={weights}"
        )
    for value in weights.values():
        if not 0 <= value < math.inf:
            raise ValueError(
                "The weight of a loss must be non-negative and finite. "
                f"Received: loss_weights={weights}"
            )


def compile_settings(schema, heads, loss_weights=None):
    """The arguments of `compile`; losses are masked if labels may be missing."""
    losses, metrics = {}, {}
    for name, head in heads.items():
        losses[name], metrics[name] = head.compiled(
            schema.targets[name], masked=schema.allows_missing_labels
        )
    settings = {
        "loss": schema.without_dict(losses),
        "metrics": schema.without_dict(metrics),
    }
    if len(heads) > 1:
        weights = dict.fromkeys(heads, 1.0) | (loss_weights or {})
        # Python floats, as NumPy floats would promote float32 losses to float64.
        settings["loss_weights"] = {n: float(value) for n, value in weights.items()}
    return settings


def prepare(schema, modalities, chosen):
    """The schema with its inputs in the forms that the encoders need."""
    forms = {}
    for name, columns in modalities.items():
        for column in columns:
            value = schema.inputs[column].form_of(name)
            forms.setdefault(column, {})[name] = chosen[name].prepare(value)
    return schema.with_inputs({column: joined(of) for column, of in forms.items()})


def encode(inputs, schema, modalities, chosen, sequences):
    """Wires each modality's encoder; dict from modality to `(tokens, mask)`."""
    encoded = {}
    for name, columns in modalities.items():
        encoder = chosen[name].build(
            {column: schema.inputs[column] for column in columns},
            name=layer_name("encoder", name),
            sequences=sequences,
            modality=name,
        )
        encoded[name] = encoder([inputs[column] for column in columns])
    return encoded


def drop_modalities(masks, modalities, rate, seed, name=None):
    """The masks after modality dropout; encoders of one column are dropped together."""
    groups = by_column(modalities)
    if not rate or len(groups) < 2:
        return masks
    group = {name: n for n, names in enumerate(groups.values()) for name in names}
    layer = fusion_room.ModalityDropout(
        rate,
        seed=seed,
        groups=[group[name] for name in modalities]
        if len(groups) < len(group)
        else None,
        name=name or layer_name("dropout"),
    )
    return layer(masks)


def set_tuning(model, chosen, learning_rates):
    """Sets the encoders' learning rates and LoRA ranks, before compiling."""
    named = {layer_name("encoder", name): value for name, value in chosen.items()}
    model.learning_rates = {
        name: encoder.learning_rate
        for name, encoder in named.items()
        if encoder.learning_rate is not None
    }
    model.learning_rates |= {
        layer_name("encoder", name): rate
        for name, rate in (learning_rates or {}).items()
    }
    model.lora_ranks = {
        name: encoder.lora_rank for name, encoder in named.items() if encoder.lora_rank
    }


@seeded_builder
def textbook_model(schema, seed=None):
    """The two-branch model of textbooks, of stock layers only.

    image -> Conv2D -> MaxPooling2D -> Flatten; text -> Embedding -> LSTM;
    Concatenate; Dense. A missing image is all 0, a missing text has a zero vector.
    """
    image = schema.inputs["image"].keras_input("image")
    text = schema.inputs["text"].keras_input("text")
    x = ops.nan_to_num(image)
    x = layers.Conv2D(
        64, 3, activation="relu", name=layer_name("convolution", "image")
    )(x)
    x = layers.MaxPooling2D(name=layer_name("pooling", "image"))(x)
    x = layers.Flatten(name=layer_name("vector", "image"))(x)
    z = layers.Embedding(
        schema.inputs["text"].num_ids,
        64,
        mask_zero=True,
        name=layer_name("embedding", "text"),
    )(text)
    # See encoders/lstm.py for why cuDNN is off.
    z = layers.LSTM(64, use_cudnn=False, name=layer_name("vector", "text"))(z)
    fused = layers.Concatenate(name=layer_name("fusion"))([x, z])
    heads = choose_heads(schema)
    ((name, head),) = heads.items()
    predictions = head.build(Fused(fused), schema.target, name)
    model = MultimodalModel([image, text], predictions, name="textbook_model")
    model.schema, model.heads, model.seed = schema, heads, seed
    model.wiring = Wiring(
        {column: [column] for column in schema.inputs},
        fusions={name: layer_name("fusion")},
        heads={name: head.layer_name(name)},
    )
    model.compile(optimizer="adam", **compile_settings(schema, heads))
    return model


def as_schema(schema, target):
    """An adapted schema, or a dict of inputs of arrays with the target."""
    if isinstance(schema, Schema):
        if not schema.is_adapted:
            raise ValueError(
                "The schema has not been adapted yet. Call schema.adapt(train) "
                f"first. Received: schema={schema!r}"
            )
        return schema
    if isinstance(schema, dict):
        return Schema.of_arrays(schema, {"target": target})
    raise ValueError(
        "The first argument must be a keras_mm.Schema or a dict of inputs. "
        f"Received: {type(schema).__name__}"
    )
