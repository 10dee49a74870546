"""Optuna's study of a search, in memory or in a file."""

import hashlib
import json
import os


def open_study(storage, schema, labels, space, settings, plain, seed):
    """Opens a study, a new one or that of the file.

    Args:
        storage: path or address, or None.
        schema: `Schema`.
        labels: list of dicts from target to array, of both tables.
        space: dict of what is searched.
        settings: dict of the builder's arguments that all trials share.
        plain: dict of the arguments of the training.
        seed: int.

    Raises:
        ValueError: if the file holds a search with other rows or arguments.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    address = storage and os.fspath(storage)
    if address and "://" not in address:
        os.makedirs(os.path.dirname(os.path.abspath(address)), exist_ok=True)
        address = f"sqlite:///{os.path.abspath(address)}"
    study = optuna.create_study(
        storage=address,
        study_name="keras_mm",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=4),
    )
    # Another seed for what follows: the same one would propose the same again.
    done = len(study.trials)
    study.sampler = optuna.samplers.TPESampler(seed=seed + done)
    digest = hashlib.blake2b(digest_size=8)
    values = [schema.get_config(), space, settings, plain, seed]
    digest.update(json.dumps(values, default=_name, sort_keys=True).encode())
    for by_target in labels:
        for name, array in by_target.items():
            digest.update(f"{name} {array.shape}".encode() + array.tobytes())
    if done and study.user_attrs.get("of") != digest.hexdigest():
        raise ValueError(
            "The file holds a search with other rows, another schema or other arguments. "
            "Repeat the call with those, or name another file. "
            f"Received: storage={os.fspath(storage)!r}, which holds {done} trials"
        )
    study.set_user_attr("of", digest.hexdigest())
    return study


def _name(value):
    return type(value).__name__
