"""The stages of a training job: the head, `finetune` and `full`."""
