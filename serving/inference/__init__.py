"""The Open Inference Protocol, version 2: what platforms that serve many kinds of models speak."""
