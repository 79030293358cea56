"""Run by test_tensorflow in a process of its own: the authors' networks out of TensorFlow's operations, random weights.

    python tensorflow_reference.py NETWORK FOLDER

Variables are made in the scopes and in the order of the authors' code, so TensorFlow itself numbers them. FOLDER holds
pictures.npy, float32 `[n, side, side, 3]` of order one. It gets logits.npy `[n, classes]` and the checkpoint
net.ckpt. NETWORK with `+averages` at its end: the checkpoint holds the weights of these logits as moving averages only,
other numbers as the weights themselves, and the optimizer's variables.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

import numpy as np
import tensorflow.compat.v1 as tf

Block = tuple[int, int, int, int, int]  # expand, kernel, stride, width, depth
MOBILENET_V1 = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
MOBILENET_V2: list[Block] = [
    *[(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 3, 2, 32, 3), (6, 3, 2, 64, 4)],
    *[(6, 3, 1, 96, 3), (6, 3, 2, 160, 3), (6, 3, 1, 320, 1)],
]
EFFICIENTNET: list[Block] = [
    *[(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)],
    *[(6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)],
]
EPSILON = 1e-3


class Builder:
    """Layers under the names of one library.

    Args:
        training: whether batch norm uses the batch; its moving statistics are then set by running `updates`.
        scopes: default names of a convolution, a depthwise one and a batch norm; none where the scope is named.
        kernel: names of a kernel, a depthwise kernel and a bias.
    """

    def __init__(self, training: tf.Tensor, scopes: Sequence[str | None], variables: Sequence[str]) -> None:
        self.training, self.updates = training, []
        self.conv_scope, self.depthwise_scope, self.norm_scope = scopes
        self.kernel, self.depthwise_kernel, self.bias = variables
        self.rng = np.random.default_rng(0)

    def variable(self, name: str, values: np.ndarray) -> tf.Tensor:
        """A new variable, float32 in the checkpoint and float64 where it is used."""
        return tf.cast(tf.get_variable(name, initializer=values.astype(np.float32)), tf.float64)

    def statistic(self, name: str, value: float, batch: tf.Tensor) -> tf.Tensor:
        """The batch's in training, else the variable that an update sets to it."""
        variable = tf.get_variable(name, batch.shape, tf.float32, tf.constant_initializer(value), trainable=False)
        self.updates.append(variable.assign(tf.cast(batch, tf.float32)))
        return tf.where(self.training, batch, tf.cast(variable, tf.float64))

    def conv(self, x: tf.Tensor, out: int, side: int = 1, stride: int = 1, bias: bool = False) -> tf.Tensor:
        with scope(self.conv_scope):
            shape = (side, side, int(x.shape[-1]), out)
            kernel = self.variable(self.kernel, self.rng.normal(0, np.prod(shape[:3]) ** -0.5, shape))
            y = tf.nn.conv2d(x, kernel, strides=stride, padding="SAME")
            return y + self.variable(self.bias, self.rng.normal(0, 0.5, out)) if bias else y

    def depthwise(self, x: tf.Tensor, side: int, stride: int) -> tf.Tensor:
        with scope(self.depthwise_scope):
            shape = (side, side, int(x.shape[-1]), 1)
            kernel = self.variable(self.depthwise_kernel, self.rng.normal(0, 1 / side, shape))
            return tf.nn.depthwise_conv2d(x, kernel, strides=[1, stride, stride, 1], padding="SAME")

    def norm(self, x: tf.Tensor) -> tf.Tensor:
        with scope(self.norm_scope):
            width = int(x.shape[-1])
            gamma = self.variable("gamma", self.rng.uniform(0.5, 1.5, width))
            beta = self.variable("beta", self.rng.normal(0.5, 0.3, width))
            batch_mean, batch_variance = tf.nn.moments(x, [0, 1, 2])
            mean = self.statistic("moving_mean", 0, batch_mean)
            variance = self.statistic("moving_variance", 1, batch_variance)
            return (x - mean) / tf.sqrt(variance + EPSILON) * gamma + beta

    def dense(self, x: tf.Tensor, out: int) -> tf.Tensor:
        with scope("dense"):
            shape = (int(x.shape[-1]), out)
            kernel = self.variable("kernel", self.rng.normal(0, shape[0] ** -0.5, shape))
            return x @ kernel + self.variable("bias", self.rng.normal(0, 0.5, out))


def scope(default_name: str | None) -> AbstractContextManager:
    """A scope of that name, which TensorFlow makes unique; the current one if there is none."""
    return tf.variable_scope(None, default_name=default_name) if default_name else nullcontext()


def slim(training: tf.Tensor) -> Builder:
    """TF-Slim names each layer, batch norm within it."""
    return Builder(training, (None, None, "BatchNorm"), ("weights", "depthwise_weights", "biases"))


def mobilenet_v1(x: tf.Tensor, training: tf.Tensor) -> tuple[tf.Tensor, Builder]:
    build = slim(training)
    with tf.variable_scope("MobilenetV1"):
        with tf.variable_scope("Conv2d_0"):
            x = tf.nn.relu6(build.norm(build.conv(x, 32, 3, 2)))
        for number, (width, stride) in enumerate(MOBILENET_V1, start=1):
            with tf.variable_scope(f"Conv2d_{number}_depthwise"):
                x = tf.nn.relu6(build.norm(build.depthwise(x, 3, stride)))
            with tf.variable_scope(f"Conv2d_{number}_pointwise"):
                x = tf.nn.relu6(build.norm(build.conv(x, width)))
        with tf.variable_scope("Logits"), tf.variable_scope("Conv2d_1c_1x1"):
            x = build.conv(tf.reduce_mean(x, [1, 2], keepdims=True), 1001, bias=True)
    return tf.squeeze(x, [1, 2]), build


def mobilenet_v2(x: tf.Tensor, training: tf.Tensor) -> tuple[tf.Tensor, Builder]:
    build = slim(training)
    with tf.variable_scope("MobilenetV2"):
        with scope("Conv"):
            x = tf.nn.relu6(build.norm(build.conv(x, 32, 3, 2)))
        for expand, kernel, stride, width in blocks(MOBILENET_V2):
            with scope("expanded_conv"):
                entry = x
                if expand != 1:
                    with tf.variable_scope("expand"):
                        x = tf.nn.relu6(build.norm(build.conv(x, int(x.shape[-1]) * expand)))
                with tf.variable_scope("depthwise"):
                    x = tf.nn.relu6(build.norm(build.depthwise(x, kernel, stride)))
                with tf.variable_scope("project"):
                    x = build.norm(build.conv(x, width))
                x = x + entry if entry.shape[1:] == x.shape[1:] else x
        with scope("Conv"):
            x = tf.nn.relu6(build.norm(build.conv(x, 1280)))
        with tf.variable_scope("Logits"), tf.variable_scope("Conv2d_1c_1x1"):
            x = build.conv(tf.reduce_mean(x, [1, 2], keepdims=True), 1001, bias=True)
    return tf.squeeze(x, [1, 2]), build


def efficientnet(name: str, act: Callable, squeeze: float, x: tf.Tensor, training: tf.Tensor) -> tuple:
    build = Builder(
        training,
        ("conv2d", "depthwise_conv2d", "tpu_batch_normalization"),
        ("kernel", "depthwise_kernel", "bias"),
    )
    with tf.variable_scope(name):
        with tf.variable_scope("stem"):
            x = act(build.norm(build.conv(x, 32, 3, 2)))
        for number, (expand, kernel, stride, width) in enumerate(blocks(EFFICIENTNET)):
            with tf.variable_scope(f"blocks_{number}"):
                entry, narrow = x, int(x.shape[-1])
                if expand != 1:
                    x = act(build.norm(build.conv(x, narrow * expand)))
                x = act(build.norm(build.depthwise(x, kernel, stride)))
                if squeeze:
                    with tf.variable_scope("se"):
                        hidden = int(x.shape[-1])
                        gate = tf.reduce_mean(x, [1, 2], keepdims=True)
                        gate = act(build.conv(gate, max(1, int(narrow * squeeze)), bias=True))
                        x = tf.sigmoid(build.conv(gate, hidden, bias=True)) * x
                x = build.norm(build.conv(x, width))
                x = x + entry if entry.shape[1:] == x.shape[1:] else x
        with tf.variable_scope("head"):
            x = act(build.norm(build.conv(x, 1280)))
            x = build.dense(tf.reduce_mean(x, [1, 2]), 1000)
    return x, build


def blocks(table: Sequence[Block]) -> list[tuple[int, int, int, int]]:
    return [
        (expand, kernel, stride if repeat == 0 else 1, width)
        for expand, kernel, stride, width, depth in table
        for repeat in range(depth)
    ]


NETWORKS = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "efficientnet_b0": lambda x, training: efficientnet("efficientnet-b0", tf.nn.swish, 0.25, x, training),
    "efficientnet_lite0": lambda x, training: efficientnet("efficientnet-lite0", tf.nn.relu6, 0, x, training),
}


def add_training(session: tf.Session, logits: tf.Tensor) -> None:
    """Moving averages that hold the weights, weights of other numbers, and an optimizer's variables."""
    step = tf.train.get_or_create_global_step()
    weights = [variable for variable in tf.global_variables() if variable is not step]
    average = tf.train.ExponentialMovingAverage(0.999)
    average.apply(weights)
    optimizer = tf.train.RMSPropOptimizer(0.01, momentum=0.9)
    optimizer.minimize(tf.reduce_mean(logits**2), global_step=step)
    others = [variable for variable in tf.global_variables() if variable not in weights]
    session.run(tf.variables_initializer(others))
    session.run([average.average(weight).assign(weight) for weight in weights])
    session.run([weight.assign(weight * 1.5 + 0.1) for weight in weights])


def main(network: str, folder: Path) -> None:
    tf.disable_eager_execution()
    name, _, averages = network.partition("+")
    pictures = np.load(folder / "pictures.npy")
    training = tf.placeholder_with_default(False, ())
    logits, build = NETWORKS[name](tf.constant(pictures, tf.float64), training)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(build.updates, {training: True})
        np.save(folder / "logits.npy", session.run(logits))
        if averages:
            add_training(session, logits)
        tf.train.Saver(tf.global_variables()).save(session, str(folder / "net.ckpt"), write_meta_graph=False)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
