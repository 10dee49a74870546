import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from keras_mm.serving import libtensorflow
from keras_mm.serving.runtime import run_in_libtensorflow

# Short strings lie within a TF_TString (22 bytes at the most), longer ones
# elsewhere; zero bytes and bytes that are no UTF-8 must come through.
STRINGS = [b"", b"cat", b"dog\0", b"\xff\xd8", b"x" * 22, b"x" * 23, b"y" * 5_000]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """(folder, function) of a SavedModel with every kind of tensor."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("model")
    words = folder / "words.txt"
    words.write_text("cat\ndog\n")
    number, string = tf.float32, tf.string

    class Model(tf.Module):
        def __init__(self):
            self.table = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(["cat", "dog"], [2, 3]), 1
            )
            # This one's file goes to assets/.
            self.file = tf.lookup.StaticVocabularyTable(
                tf.lookup.TextFileInitializer(
                    str(words),
                    string,
                    tf.lookup.TextFileIndex.WHOLE_LINE,
                    tf.int64,
                    tf.lookup.TextFileIndex.LINE_NUMBER,
                ),
                num_oov_buckets=1,
            )
            self.kernel = tf.Variable([[0.5, -1.0, 3.0]])

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], string, "text"),
                tf.TensorSpec([None, 1], number, "price"),
            ]
        )
        def serve(self, text, price):
            return {
                "same": text,
                "grid": tf.stack([text, tf.strings.join([text, "!"])], axis=1),
                "ids": self.table.lookup(text),
                "lines": self.file.lookup(text),
                "scores": price @ self.kernel,
                "longer": price[:, 0] > 1.0,
                "scalar": tf.size(text),
            }

        @tf.function(input_signature=[tf.TensorSpec([None], string, "text")])
        def python(self, text):
            return {"text_out": tf.py_function(lambda text: text, [text], string)}

        @tf.function(input_signature=[tf.TensorSpec([None], string, "text")])
        def broken(self, text):
            return {"number": tf.strings.to_number(text)}

    module = Model()
    types = tf.function(
        lambda **tensors: {f"{name}_out": tf.identity(t) for name, t in tensors.items()}
    ).get_concrete_function(
        int32=tf.TensorSpec([2, None], tf.int32, "int32"),
        int64=tf.TensorSpec([], tf.int64, "int64"),
        bool=tf.TensorSpec([None], tf.bool, "bool"),
        float64=tf.TensorSpec(None, tf.float64, "float64"),
        file=tf.TensorSpec([None], tf.uint8, "file"),
    )
    module.types = types
    signatures = {
        "serving_default": module.serve,
        "types": types,
        "python": module.python,
        "broken": module.broken,
    }
    tf.saved_model.save(module, str(folder / "saved"), signatures=signatures)
    # Tables and assets must survive a move.
    shutil.move(folder / "saved", folder / "1")
    words.unlink()
    return folder / "1", module


def test_strings_numbers_and_tables_come_out_exactly(model):
    path, module = model
    price = np.linspace(-2, 5, len(STRINGS), dtype="float32")[:, None]
    result = run_in_libtensorflow(
        path, "serving_default", {"text": STRINGS, "price": price}
    )
    import tensorflow as tf

    expected = module.serve(tf.constant(STRINGS), tf.constant(price))
    assert set(result) == set(expected)
    for name, tensor in expected.items():
        array = tensor.numpy()
        assert result[name].dtype == array.dtype, name
        assert result[name].shape == array.shape, name
        np.testing.assert_array_equal(result[name], array, name)
    assert result["same"].tolist() == STRINGS
    assert result["ids"].tolist()[:3] == [1, 2, 1]
    assert result["lines"].tolist()[1] == 0


def test_every_dtype_and_rank_comes_back(model):
    path, _ = model
    inputs = {
        "int32": np.arange(6, dtype="int32").reshape(2, 3),
        "int64": np.int64(-(2**40)),
        "bool": np.array([True, False]),
        "float64": np.full((1, 2, 1, 2), np.nan),
        "file": np.arange(4, dtype="uint8"),
    }
    result = run_in_libtensorflow(path, "types", inputs)
    for name, value in inputs.items():
        array = np.asarray(value)
        assert result[f"{name}_out"].dtype == array.dtype
        np.testing.assert_array_equal(result[f"{name}_out"], array)


def test_no_rows_are_no_problem(model):
    path, _ = model
    inputs = {"text": np.array([], object), "price": np.zeros((0, 1), "float32")}
    result = run_in_libtensorflow(path, "serving_default", inputs)
    assert result["grid"].shape == (0, 2)
    assert result["scores"].shape == (0, 3)


def test_py_function_loads_and_does_not_run(model):
    """The control: what TF Serving cannot run must fail here."""
    path, _ = model
    with pytest.raises(RuntimeError, match="loads, but does not run") as info:
        run_in_libtensorflow(path, "python", {"text": ["cat"]})
    message = str(info.value)
    assert "EagerPyFunc" in message and "no py_function" in message
    assert message.endswith("Received: signature='python'")


def test_error_of_the_graph_comes_through(model):
    path, _ = model
    with pytest.raises(RuntimeError, match="correctly convert string: x") as info:
        run_in_libtensorflow(path, "broken", {"text": ["x"]})
    assert "py_function" not in str(info.value)
    good = run_in_libtensorflow(path, "broken", {"text": ["1.5"]})
    assert good["number"].tolist() == [1.5]


@pytest.mark.parametrize(
    "signature, inputs, match",
    [
        ("nothing", {}, r"has the signatures \['broken', 'python'"),
        ("broken", {}, r"takes exactly the inputs \['text'\]"),
        ("broken", {"text": ["1"], "more": ["1"]}, r"inputs=\['more', 'text'\]"),
        ("broken", {"text": [1.5]}, "takes strings or bytes. Received: text=1.5"),
    ],
)
def test_wrong_requests_are_refused(model, signature, inputs, match):
    with pytest.raises(ValueError, match=match):
        run_in_libtensorflow(model[0], signature, inputs)


def test_no_model_is_no_file(tmp_path):
    with pytest.raises(OSError, match="saved_model.pb"):
        run_in_libtensorflow(tmp_path, "serving_default", {})


def test_broken_variables_do_not_load(model, tmp_path):
    shutil.copytree(model[0], tmp_path / "1")
    shutil.rmtree(tmp_path / "1" / "variables")
    with pytest.raises(RuntimeError, match="does not (load|run)"):
        run_in_libtensorflow(
            tmp_path / "1", "serving_default", {"text": [], "price": np.zeros((0, 1))}
        )


def test_signatures_are_read_as_tensorflow_reads_them(model):
    from tensorflow.python.saved_model import loader_impl

    path, _ = model
    (meta_graph,) = loader_impl.parse_saved_model(str(path)).meta_graphs
    expected = {
        name: {
            side: {
                key: (
                    info.name,
                    libtensorflow.DTYPES[info.dtype],
                    None
                    if info.tensor_shape.unknown_rank
                    else [dim.size for dim in info.tensor_shape.dim],
                )
                for key, info in getattr(spec, side).items()
            }
            for side in ("inputs", "outputs")
        }
        for name, spec in meta_graph.signature_def.items()
        if not name.startswith("__")
    }
    found = {
        name: {
            side: {
                key: (info["tensor"], info["dtype"], info["shape"])
                for key, info in infos.items()
            }
            for side, infos in spec.items()
        }
        for name, spec in libtensorflow.read_signatures(path).items()
    }
    assert found == expected
    assert found["types"]["inputs"]["float64"][2] is None
    assert found["types"]["inputs"]["int64"][2] == []


def test_script_lists_signatures_without_loading_anything(model):
    (script,) = libtensorflow.__path__
    process = subprocess.run(
        [sys.executable, script, str(model[0]), "--list"],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0 and process.stderr == ""
    assert json.loads(process.stdout) == libtensorflow.read_signatures(model[0])


def test_script_says_what_is_wrong(model, tmp_path):
    (script,) = libtensorflow.__path__
    process = subprocess.run(
        [sys.executable, script, str(tmp_path), "--list"],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    assert json.loads(process.stdout)["error"] == "OSError"


def test_script_imports_no_package_of_python_kernels(model):
    """The modules that a run brings in, counted in the process itself."""
    folder = os.path.dirname(*libtensorflow.__path__)
    code = (
        "import sys, libtensorflow\n"
        f"libtensorflow.run_saved_model({str(model[0])!r}, 'broken', {{'text': ['2']}})\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print(names & {'tensorflow', 'keras', 'keras_mm', 'google', 'pandas'})\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": folder},
    )
    assert process.stdout == "set()\n", process.stderr


def test_a_process_with_tensorflow_is_refused(model):
    import tensorflow  # noqa: F401

    with pytest.raises(RuntimeError, match="run_in_libtensorflow instead"):
        libtensorflow.run_saved_model(model[0], "broken", {"text": ["1"]})


def test_slow_process_is_given_up(model):
    with pytest.raises(RuntimeError, match="did not answer within 0.01 seconds"):
        run_in_libtensorflow(model[0], "broken", {"text": ["1"]}, timeout=0.01)


def test_arrays_come_back_from_their_file(tmp_path):
    arrays = {
        # Names that np.savez has for itself.
        "file": np.array([[b"a\0", ""], ["\N{SNOWMAN}", b"\xff"]], dtype=object),
        "allow_pickle": ["x" * 5, b""],
        "fixed": np.array(["one", "three"]),
        "numbers": np.eye(2, dtype="float32"),
        "list": [1, 2],
        "with:colon": np.array(3),
    }
    path = tmp_path / "arrays.npz"
    libtensorflow.save_arrays(path, arrays)
    back = libtensorflow.load_arrays(path)
    assert set(back) == set(arrays)
    assert back["file"].tolist() == [[b"a\0", b""], ["\N{SNOWMAN}".encode(), b"\xff"]]
    assert back["allow_pickle"].tolist() == [b"xxxxx", b""]
    assert back["fixed"].tolist() == [b"one", b"three"]
    assert back["numbers"].dtype == "float32"
    assert back["list"].tolist() == [1, 2]
    assert back["with:colon"].shape == ()
