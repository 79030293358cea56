"""Run by test_keras in a process of its own: a random Keras network, its logits, and its weights in every format.

    python keras_reference.py MODEL JSON_ARGUMENTS FOLDER

FOLDER holds pictures.npy, float32 `[n, 3, side, side]` of order one. It gets logits.npy `[n, classes]`; the weights as
published.h5 (the published layout), new.weights.h5 and whole.keras (Keras 3); and paths.npz (arrays by variable path).
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": "tensorflow"}

import keras
import numpy as np

PIXEL_MEAN, PIXEL_VARIANCE = np.float32([0.5, 0.45, 0.4]), np.float32([0.05, 0.06, 0.07])


def randomize(model: keras.Model, rng: np.random.Generator) -> None:
    """Random scales, shifts and biases; kernels that keep the variance."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.normal(0.5, 0.3, layer.beta.shape))
        elif isinstance(layer, keras.layers.Normalization):
            layer.adapt_mean.assign(PIXEL_MEAN)
            layer.adapt_variance.assign(PIXEL_VARIANCE)
            layer.finalize_state()
        elif getattr(layer, "kernel", None) is not None:
            is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            fan_in = np.prod(layer.kernel.shape[:2] if is_depthwise else layer.kernel.shape[:-1])
            layer.kernel.assign(rng.normal(0, fan_in**-0.5, layer.kernel.shape))
            if layer.use_bias:
                layer.bias.assign(rng.normal(0, 0.5, layer.bias.shape))


def set_statistics(model: keras.Model, x_nhwc: np.ndarray) -> None:
    """One pass in training mode, with nothing dropped."""
    momenta = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            momenta[layer], layer.momentum = layer.momentum, 0.0
        elif isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    model(x_nhwc, training=True)
    for layer, momentum in momenta.items():
        layer.momentum = momentum


def prepared(model: keras.Model, x_nchw: np.ndarray) -> np.ndarray:
    """NHWC, and undone what the first layers of EfficientNet do to pixels."""
    x_nhwc = x_nchw.transpose(0, 2, 3, 1)
    has_preprocessing = any(isinstance(layer, keras.layers.Normalization) for layer in model.layers)
    return (x_nhwc * np.sqrt(PIXEL_VARIANCE) + PIXEL_MEAN) * 255 if has_preprocessing else x_nhwc


def write_published(model: keras.Model, path: Path) -> None:
    """The layout of the published files: root attribute `layer_names`, a group for each layer, its `weight_names`."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group, names = file.create_group(layer.name), []
            for variable in layer.weights:
                is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
                name = f"{layer.name}/{'depthwise_' if is_depthwise else ''}{variable.name}:0"
                group.create_dataset(name, data=variable.numpy())
                names.append(name.encode())
            group.attrs["weight_names"] = names


def main(name: str, arguments: str, folder: Path) -> None:
    pictures = np.load(folder / "pictures.npy")
    size = pictures.shape[-1]
    model = getattr(keras.applications, name)(
        weights=None, classifier_activation=None, input_shape=(size, size, 3), **json.loads(arguments)
    )
    randomize(model, np.random.default_rng(0))
    set_statistics(model, prepared(model, pictures))
    np.save(folder / "logits.npy", model.predict(prepared(model, pictures), batch_size=1, verbose=0))
    model.save_weights(folder / "new.weights.h5")
    model.save(folder / "whole.keras")
    write_published(model, folder / "published.h5")
    np.savez(folder / "paths.npz", **{weight.path: weight.numpy() for weight in model.weights})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
