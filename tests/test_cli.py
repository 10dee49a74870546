"""The command: train, evaluate, predict, export, inspect; exit codes."""

import json
import os

import keras
import numpy as np
import pandas as pd
import pytest

import keras_mm
from keras_mm.cli import main
from keras_mm.data.split import with_rare_first
from keras_mm.errors import refuse_rows
from keras_mm.train_command import Part, names_in

from .encoders.conformance import preset
from .helpers import make_table

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="one backend is enough"
)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a table of picture files, and a model trained on it."""
    folder = tmp_path_factory.mktemp("cli")
    table = make_table(40, missing=False)
    for row, encoded in enumerate(table.image):
        (folder / f"{row}.img.png").write_bytes(encoded)
    table["image"] = [f"{row}.img.png" for row in range(len(table))]
    table["code"] = [f"c{row:03d}" for row in range(len(table))]
    table.to_csv(folder / "table.csv", index=False)
    code = main(
        ["train", str(folder / "table.csv"), "--target", "category"]
        + ["--epochs", "1", "--image-size", "16"]
        + ["--output", str(folder / "out" / "model.keras")]
    )
    assert code == 0
    return folder


@pytest.mark.usefixtures("eagerly")
def test_train_says_what_it_decided(work, capsys):
    main(
        ["train", str(work / "table.csv"), "--target", "price", "--epochs", "1"]
        + ["--inputs", "text,shop", "--output", str(work / "price.keras")]
    )
    out = capsys.readouterr().out
    assert "-> Number" in out and "shop  " in out and "image" not in out
    assert "mean_absolute_error" in out


@pytest.mark.usefixtures("eagerly")
def test_train_pretrained(work, capsys):
    """By backbones of a folder, whose tokens are kept."""
    choice = keras_mm.encoders.PRESETS[keras_mm.Text]
    (work / "presets").mkdir()
    os.symlink(preset("distil_bert"), work / "presets" / choice.preset)
    code = main(
        ["train", str(work / "table.csv"), "--target", "category", "--epochs", "1"]
        + ["--inputs", "text", "--pretrained", str(work / "presets")]
        + ["--cache", str(work / "tokens"), "--output", str(work / "both.keras")]
    )
    out = capsys.readouterr().out
    assert code == 0 and choice.describe() in out and str(work / "tokens") in out
    # One encoder, training and validation rows.
    (path,) = (work / "tokens").iterdir()
    assert len(np.load(path)["keys"]) == 40
    model = keras.models.load_model(work / "both.keras")
    assert list(model.modalities) == ["text-ngrams", "text-hub"]


@pytest.mark.usefixtures("eagerly")
def test_train_an_ensemble(work, capsys):
    """Of all rows but those for testing."""
    table = pd.read_csv(work / "table.csv")
    table["part"] = ["train", "train", "train", "validation", "test"] * 8
    table.to_csv(work / "parts.csv", index=False)
    train = ["train", str(work / "parts.csv"), "--target", "category", "--epochs", "1"]
    train += ["--inputs", "shop", "--split-by", "part"]
    output = ["--output", str(work / "ensemble.keras")]
    assert main([*train, "--ensemble", "--folds", "2", *output]) == 0
    out = capsys.readouterr().out
    assert "32 rows predicted out of fold" in out and "default" in out
    assert "test: accuracy" in out and "validation:" not in out
    assert len(keras.models.load_model(work / "ensemble.keras").members) == 2
    assert main([*train, "--folds", "2"]) == 1
    assert "go with --ensemble" in capsys.readouterr().err
    assert main([*train, "--ensemble", "--validation", "v.csv"]) == 1
    assert "folds of its own rows" in capsys.readouterr().err


@pytest.mark.usefixtures("eagerly")
def test_several_targets(work, capsys):
    table = pd.read_csv(work / "table.csv")
    table.loc[::4, "category"] = None
    table.loc[1::4, "price"] = None
    table.to_csv(work / "gaps.csv", index=False)
    arguments = [str(work / "several.keras"), str(work / "gaps.csv")]
    code = main(
        ["train", arguments[1], "--target", "category", "--target", "price"]
        + ["--inputs", "weight,shop", "--epochs", "1", "--output", arguments[0]]
    )
    out = capsys.readouterr().out
    assert code == 0 and "category  -> ClassLabel" in out and "price     -> Num" in out
    assert "validation category: accuracy" in out and "validation price: mean_a" in out
    assert main(["evaluate", *arguments]) == 0
    assert "gaps.csv price: mean_absolute_error" in capsys.readouterr().out
    assert main(["predict", *arguments, "--output", str(work / "both.csv")]) == 0
    frame = pd.read_csv(work / "both.csv")
    assert {"category", "category_apple", "price"} <= set(frame) and len(frame) == 40
    names = ["--target", "category", "--target", "price"]
    weighed = ["--class-weight", "balanced", "--inputs", "shop", "--epochs", "1"]
    assert main(["train", arguments[1], *names, *weighed]) == 0
    assert "validation category: accuracy" in capsys.readouterr().out


@pytest.mark.usefixtures("eagerly")
def test_evaluate_and_predict(work, capsys):
    model = str(work / "out" / "model.keras")
    table = str(work / "table.csv")
    assert main(["evaluate", model, table, "--withhold", "image"]) == 0
    assert "accuracy" in capsys.readouterr().out
    answers = work / "answers.csv"
    assert main(["predict", model, table, "--output", str(answers)]) == 0
    frame = pd.read_csv(answers)
    assert len(frame) == 40
    assert set(frame.category) <= {"apple", "basil", "cloud"}


@pytest.mark.usefixtures("eagerly")
def test_export_inspect_and_predict_alike(work, capsys):
    model, folder = str(work / "out" / "model.keras"), str(work / "served")
    assert main(["export", model, folder]) == 0
    assert main(["inspect", folder]) == 0
    out = capsys.readouterr().out
    assert "serving_default" in out and "<- image: string" in out
    assert main(["inspect", folder, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["serving_default"]["inputs"]["price"]["dtype"] == "float64"
    assert main(["inspect", model]) == 0
    assert "ClassLabel, 3 classes" in capsys.readouterr().out
    table = str(work / "table.csv")
    frames = []
    for source in (model, folder):
        file = work / "some.csv"
        assert main(["predict", source, table, "--output", str(file)]) == 0
        frames.append(pd.read_csv(file))
    assert frames[0].category.tolist() == frames[1].category.tolist()
    odd = pd.read_csv(table).astype({"price": object})
    odd.loc[1, "price"], odd.loc[2, "image"] = "?", "gone.png"
    odd.to_csv(work / "odd.csv", index=False)
    answers = []
    for source in (model, folder):
        arguments = ["predict", source, str(work / "odd.csv"), "--output", str(file)]
        assert main(arguments) == 1
        assert main([*arguments, "--on-unreadable", "missing"]) == 0
        answers.append(pd.read_csv(file).category.tolist())
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["train", "nowhere.csv", "--target", "x"], "no such file"),
        (["evaluate", "nowhere.keras", "nowhere.csv"], "model file does not exist"),
        (["inspect", "nowhere"], "model file does not exist"),
        (["export", "nowhere.keras", "out"], "model file does not exist"),
    ],
)
def test_files_that_are_not_there(arguments, said, capsys):
    assert main(arguments) == 1
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("eagerly")
def test_bad_rows_are_an_error_with_their_numbers(work, capsys):
    table = pd.read_csv(work / "table.csv")
    table.loc[3, "image"] = "gone.png"
    table.to_csv(work / "bad.csv", index=False)
    arguments = ["predict", str(work / "out" / "model.keras"), str(work / "bad.csv")]
    assert main(arguments) == 1
    assert "row 3" in capsys.readouterr().err
    assert main([*arguments, "--on-unreadable", "missing"]) == 0


@pytest.mark.usefixtures("eagerly")
def test_rare_classes_and_rows_of_the_file(tmp_path, capsys):
    labels = ["cat", "dog"] * 20
    rare = {3: "eel", 17: "fox", 29: "gnu", 32: "hen"}
    labels = [rare.get(row, label) for row, label in enumerate(labels)]
    table = pd.DataFrame({"x": map(str, range(40)), "label": labels})
    table.to_csv(tmp_path / "t.csv", index=False)
    arguments = ["train", str(tmp_path / "t.csv"), "--target", "label", "--epochs", "1"]
    arguments += ["--output", str(tmp_path / "m.keras")]
    assert main(arguments) == 0
    assert "in training only: eel, fox, gnu, hen\n" in capsys.readouterr().out
    # One row is in the training part, one in the other, wherever they are.
    for row in (5, 30):
        table.assign(x=[*table.x[:row], "?", *table.x[row + 1 :]]).to_csv(
            tmp_path / "t.csv", index=False
        )
        assert main(arguments) == 1
        assert f"t.csv: Column 'x': no finite number in row {row} (1 in all" in (
            capsys.readouterr().err
        )
    assert main([*arguments, "--on-unreadable", "missing"]) == 0
    assert main([*arguments, "--missing", "NA,?", "--seed", "1"]) == 0
    assert "cannot be read" not in capsys.readouterr().out.split("Saved")[-2]
    # The model knows the words.
    assert main(["evaluate", str(tmp_path / "m.keras"), str(tmp_path / "t.csv")]) == 0


@pytest.mark.usefixtures("eagerly")
def test_each_file_has_its_own_folder(work, tmp_path, capsys):
    table = pd.read_csv(work / "table.csv")[:4]
    for row, path in enumerate(table.image):
        (tmp_path / f"other{row}.png").write_bytes((work / path).read_bytes())
    table["image"] = [f"other{row}.png" for row in range(4)]
    table.to_csv(tmp_path / "t.csv", index=False)
    arguments = ["train", str(work / "table.csv"), "--target", "category"]
    arguments += ["--epochs", "1", "--image-size", "8", "--inputs", "image"]
    arguments += ["--validation", str(tmp_path / "t.csv")]
    arguments += ["--test", str(tmp_path / "t.csv")]
    assert main([*arguments, "--output", str(tmp_path / "m.keras")]) == 0
    assert "test: accuracy" in capsys.readouterr().out


def test_row_numbers_of_either_part(tmp_path):
    part = Part(pd.DataFrame({"x": list("abcdef")}), "folder/t.csv", "folder").take(
        [1, 4, 5]
    )
    assert part.table.x.tolist() == ["b", "e", "f"]
    with pytest.raises(
        ValueError, match=r"^t.csv: Column 'x': odd in rows 4, 5 \(2 in"
    ):
        with part.named():
            refuse_rows("x", [1, 2], "odd", "Mend.", "e")


def test_rare_labels_move_with_their_groups():
    table = pd.DataFrame({"g": list("aabbccdd")})
    labels = [{"u"}, {"u"}, {"v"}, {"u"}, {"u"}, set(), {"u"}, {"u"}]
    parts = [np.arange(0, 2), np.arange(2, 6), np.arange(6, 8)]
    moved = with_rare_first(parts, table, "g", labels)
    assert [part.tolist() for part in moved] == [[0, 1, 2, 3], [4, 5], [6, 7]]
    moved = with_rare_first(parts, table, None, labels)
    assert [part.tolist() for part in moved] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    with pytest.raises(ValueError, match="too rare"):
        with_rare_first([parts[0], np.array([2])], table, None, labels)


@pytest.mark.usefixtures("eagerly")
def test_columns_are_what_they_are_said_to_be(tmp_path, capsys):
    table = pd.DataFrame(
        {"zip": np.arange(50) % 25, "x": 0.5, "label": np.arange(50) % 25}
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    arguments = ["train", str(tmp_path / "t.csv"), "--target", "label", "--epochs", "1"]
    arguments += ["--output", str(tmp_path / "m.keras")]
    assert main(arguments) == 0
    assert "label: 25 whole numbers are taken for numbers" in capsys.readouterr().out
    assert main([*arguments, "--as", "classes", "--as", "zip=category"]) == 0
    out = capsys.readouterr().out
    assert "ClassLabel, 25 classes" in out and "zip    Category, " in out
    assert "taken for numbers" not in out


def test_columns_with_commas_in_their_names():
    columns = ["a", "b", "c, d", " e"]
    assert names_in(["a, b", "c, d"], columns) == ["a", "b", "c, d"]
    assert names_in(["a,, e,x ", ""], columns) == ["a", " e", "x"]


def test_usage_errors_exit_with_2():
    named = ["train", "t", "--target", "y"]
    wrong = ([], ["train"], ["nonsense"], [*named, "--as", "wine"])
    for arguments in (*wrong, [*named, "--epochs", "0"]):
        with pytest.raises(SystemExit) as error:
            main(arguments)
        assert error.value.code == 2


@pytest.mark.parametrize("command", ["", "demo", "train", "predict", "inspect"])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as error:
        main([*command.split(), "--help"])
    assert error.value.code == 0
    assert "--help" in capsys.readouterr().out
