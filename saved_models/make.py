"""Trains and exports the small model that stands in this folder.

python saved_models/make.py
"""

import os
import shutil

import keras_mm


def main():
    train, validation, _ = keras_mm.data.split(keras_mm.data.clipart(), by="split")
    schema = keras_mm.Schema(
        inputs={
            "image": keras_mm.Image((64, 64)),
            "text": keras_mm.Text(sequence_length=32, vocabulary_size=4000),
        },
        targets={"category": keras_mm.ClassLabel()},
    ).adapt(train)
    model = keras_mm.build_classifier(
        schema,
        encoders={
            "image": keras_mm.encoders.ResidualCNN(filters=(16, 32), units=64),
            "text": keras_mm.encoders.NGrams(units=32),
        },
        fusion="gated",
        modality_dropout=0.3,
        seed=0,
    )
    model.fit(
        train,
        validation_data=validation,
        epochs=20,
        callbacks=keras_mm.training.callbacks(patience=8),
    )
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clipart")
    shutil.rmtree(folder, ignore_errors=True)
    keras_mm.export(model, folder, rows=validation)


if __name__ == "__main__":
    main()
