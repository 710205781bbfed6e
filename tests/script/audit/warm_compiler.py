"""Imported by processes that audited programs are forked from: their first compilation then costs little."""

import torch

torch.compile(torch.nn.Linear(2, 1), backend="aot_eager")(torch.ones(1, 2)).sum().backward()
torch._dynamo.reset()
