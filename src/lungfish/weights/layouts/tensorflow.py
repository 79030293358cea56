"""What a checkpoint of TensorFlow's training holds besides the weights."""

AVERAGES = "/ExponentialMovingAverage"  # follows the name of the variable that was averaged
TRAINING = (  # patterns: the step, and the optimizers' memory of each variable
    "global_step",
    "beta[12]_power",
    ".+/(RMSProp|RMSProp_1|Momentum|Adam|Adam_1|Adagrad)",
)
