"""Name what TensorFlow training checkpoints contain in addition to the weights."""

AVERAGES = "/ExponentialMovingAverage"  # suffix of an averaged variable
TRAINING = (  # patterns: the step, and the optimizer state of each variable
    "global_step",
    "beta[12]_power",
    ".+/(RMSProp|RMSProp_1|Momentum|Adam|Adam_1|Adagrad)",
)
