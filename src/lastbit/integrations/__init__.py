"""Thin bridges to other people's tools: sinks for measurements here, callbacks in `.lightning` and `.transformers`.

Nothing else in lastbit imports this room, and a tool that is not installed is missed only when it is used.
"""

from lastbit.integrations.json_lines import JsonLines
from lastbit.integrations.tensorboard import TensorBoard
from lastbit.integrations.wandb import WandB

__all__ = ["JsonLines", "TensorBoard", "WandB"]
