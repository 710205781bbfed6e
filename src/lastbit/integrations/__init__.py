"""Bridges to other tools: sinks for measurements here, callbacks in `.lightning` and `.transformers`.

Nothing else in lastbit imports this room, and a tool that is not installed is missed only when it is used.
"""

from lastbit.integrations.sinks import JsonLines, TensorBoard, WandB

__all__ = ["JsonLines", "TensorBoard", "WandB"]
