"""Load and run bundles: decoding, preprocessing, engines, prediction and measurement.

Needs no extras, only the base install. The bundle format is defined here.
"""

import os

# Without this, importing ONNX Runtime stores an identifier of the device among the user's files, before
# `disable_telemetry_events` can be called.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
