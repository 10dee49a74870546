"""The tables, what may be read from each, and their splits into parts.

A column's role says what it is to every method: number, category, list (of words),
text, picture, sound, or a sequence of so many numbers a step.
"""

import dataclasses
import os

import numpy as np
import pandas as pd

FOLDS = 5
# One part in this many of the rows that are not tested is for validation.
VALIDATION = 7


@dataclasses.dataclass
class Task:
    """A table with a target, the roles of its columns, and named choices of them."""

    table: pd.DataFrame
    target: str
    kind: str  # "number" or "class"
    roles: dict  # column -> role
    columns: dict  # name of a choice -> its columns
    groups: str | None = None
    own_split: bool = True

    @property
    def classes(self):
        """Names of the classes, sorted; None for a number."""
        if self.kind == "number":
            return None
        return sorted(self.table[self.target].unique())

    def parts(self, split):
        """Training, validation and test rows: of `"own"`, or of a fold's number."""
        table = self.table
        if split == "own":
            name = table.split.replace({"val": "valid"})
            test = np.flatnonzero(name == "test")
            if (name == "valid").any():
                held = np.flatnonzero(name == "valid")
                return np.flatnonzero(name == "train"), held, test
            rest = np.flatnonzero(name == "train")
        else:
            fold = self._folds(table, FOLDS)
            test, rest = (np.flatnonzero(f) for f in (fold == split, fold != split))
        held = self._folds(table.iloc[rest], VALIDATION) == 0
        return rest[~held], rest[held], test

    def group(self):
        """The number of each row's group; rows by themselves without one."""
        if self.groups is None:
            return np.arange(len(self.table))
        return pd.factorize(self.table[self.groups])[0]

    def _folds(self, table, count):
        from sklearn import model_selection

        label = table[self.target]
        group = np.arange(len(table)) if self.groups is None else table[self.groups]
        if self.kind == "number":
            label = pd.qcut(label.rank(method="first"), 10, labels=False)
        splitter = model_selection.StratifiedGroupKFold(
            count, shuffle=True, random_state=0
        )
        if self.groups is None:
            splitter = model_selection.StratifiedKFold(
                count, shuffle=True, random_state=0
            )
        fold = np.empty(len(table), int)
        for number, (_, rows) in enumerate(splitter.split(table, label, group)):
            fold[rows] = number
        return fold


def _read(folder, name):
    path = os.path.join(folder, f"{name}.parquet")
    return pd.read_parquet(path) if os.path.exists(path) else None


def _frequent(table, column, least):
    counts = table[column].value_counts()
    kept = table[column].isin(counts.index[counts >= least])
    return table[kept].reset_index(drop=True)


def _roles(**columns):
    return {name: role for role, names in columns.items() for name in names}


def cdda_price(folder):
    """The logarithm of the price of a game's items, 955 test rows."""
    table = _read(folder, "cdda_items")
    if table is None:
        return None
    table = table[table.price_cents > 0].reset_index(drop=True)
    table["log_price"] = np.log10(table.price_cents)
    numbers = ["weight_g", "volume_ml", "longest_side_cm", "bashing", "cutting"]
    numbers += ["to_hit", "n_flags"]
    categories = ["type", "symbol", "color"]
    texts = ["name", "description"]
    roles = _roles(
        number=numbers,
        category=categories,
        list=["materials"],
        text=texts,
        picture=["picture"],
    )
    columns = {
        "numbers": numbers,
        "numbers + categories": numbers + categories,
        "text": texts,
        "picture": ["picture"],
        "everything": list(roles),
    }
    return Task(table, "log_price", "number", roles, columns, "group")


def cdda_type(folder):
    """The kind of a game's items, of 11; columns that give it away are left out."""
    table = _read(folder, "cdda_items")
    if table is None:
        return None
    table = _frequent(table, "type", 100)
    roles = _roles(
        number=["weight_g", "volume_ml", "longest_side_cm", "price_cents"],
        list=["materials"],
        text=["name", "description"],
        picture=["picture"],
    )
    return _kinds(table, roles)


def tmw_type(folder):
    """The kind of a game's items, the five of at least 50 rows."""
    table = _read(folder, "tmw_items")
    if table is None:
        return None
    table = _frequent(table, "type", 50)
    roles = _roles(
        number=["price", "weight", "level"],
        text=["name", "description"],
        picture=["picture"],
    )
    return _kinds(table, roles)


def _kinds(table, roles):
    """The task of an item's type, from its numbers, its texts, its picture, or all."""
    columns = {
        name: [column for column, own in roles.items() if own == role]
        for name, role in (
            ("numbers", "number"),
            ("text", "text"),
            ("picture", "picture"),
        )
    }
    columns["everything"] = list(roles)
    return Task(table, "type", "class", roles, columns, "group")


def reviews(folder):
    """How much a sentence of a review praises, from -3 to 3."""
    table = _read(folder, "reviews")
    if table is None:
        return None
    roles = _roles(text=["text"])
    return Task(table, "strength", "number", roles, {"text": ["text"]}, "product")


def reviews_sign(folder):
    """Whether a sentence of a review praises, blames, or neither."""
    task = reviews(folder)
    if task is None:
        return None
    names = np.array(["blame", "neither", "praise"])
    table = task.table.assign(
        sign=names[np.sign(task.table.strength).astype(int) + 1].astype(object)
    )
    return dataclasses.replace(task, table=table, target="sign", kind="class")


def polarity(folder):
    """Whether a sentence about a film praises it."""
    table = _read(folder, "polarity")
    if table is None:
        return None
    return Task(table, "label", "class", _roles(text=["text"]), {"text": ["text"]})


def clipart(folder):
    """The bundled clip art: nine classes."""
    import keras_mm

    table = keras_mm.data.clipart()
    roles = _roles(text=["text"], picture=["image"])
    columns = {"text": ["text"], "picture": ["image"], "everything": list(roles)}
    return Task(table, "category", "class", roles, columns, "group")


def stamps(folder):
    """Stamps: picture, sentence, the sentence spoken in French, a sound effect."""
    table = _read(folder, "stamps")
    if table is None:
        return None
    table = _frequent(table, "category", 20)
    roles = _roles(text=["text_en"], picture=["image"], sound=["speech_fr", "effect"])
    columns = {
        "text": ["text_en"],
        "picture": ["image"],
        "speech": ["speech_fr"],
        "picture + text": ["text_en", "image"],
        "everything": list(roles),
    }
    return Task(table, "category", "class", roles, columns, "group", own_split=False)


def moods(folder):
    """Polarity of sentences with a voice and a face, some of them ironic."""
    table = _read(folder, "moods")
    if table is None:
        return None
    roles = {"text": "text", "voice": "sequence 14", "face": "sequence 8"}
    columns = {name: [name] for name in roles} | {"everything": list(roles)}
    return Task(table, "polarity", "class", roles, columns, "product")


SETS = {
    "cdda_price": cdda_price,
    "cdda_type": cdda_type,
    "tmw_type": tmw_type,
    "reviews": reviews,
    "reviews_sign": reviews_sign,
    "polarity": polarity,
    "clipart": clipart,
    "stamps": stamps,
    "moods": moods,
}
