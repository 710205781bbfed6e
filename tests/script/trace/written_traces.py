"""Traces built by hand from arrays: what was computed is known, and which tensor is which."""

import hashlib
import math

import numpy as np

from lastbit.script.audit.generators import Generators
from lastbit.script.trace.records import (
    DATA,
    FORMAT,
    OUTSIDE,
    PARAMETER,
    RECEIVED,
    Record,
    RunTrace,
    Site,
    TensorSummary,
    TraceHeader,
)
from lastbit.script.trace.writer import TraceWriter

BUCKETS = 8


def summary(values):
    """Describe an array, with a sketch of its own: signed sums of eight parts."""
    values = np.asarray(values)
    flat = values.astype(float).ravel()
    signs = np.random.default_rng(flat.size).choice([-1.0, 1.0], flat.size)
    parts = np.array_split(flat * signs, min(BUCKETS, max(1, flat.size)))
    digest = int.from_bytes(hashlib.blake2b(values.tobytes(), digest_size=8).digest(), "little")
    norm = float(np.linalg.norm(flat))
    return TensorSummary(values.shape, str(values.dtype), "cpu", digest, norm, tuple(float(p.sum()) for p in parts))


def write(path, trace):
    """Write a trace to a file."""
    writer = TraceWriter(path, trace.header)
    for record in trace.records:
        numbers = {"step": record.step, "numbers": record.numbers}
        writer.add(writer.site(record.site), inputs=record.inputs, outputs=record.outputs, **numbers)
    for step, state in trace.generators.items():
        writer.state(step, state)
    if trace.ended:
        writer.end({})
    else:
        writer.flush()
        writer._file.close()


class Writer:
    """Writes a trace; every tensor has a label."""

    def __init__(self):
        self.records, self.labels, self._steps = [], {}, 0

    def outside(self, label, values, module=None):
        """Take in a parameter, or data where it has no name."""
        self._add(Site(PARAMETER if module else DATA, OUTSIDE, module, None, None, (), ()), (), (), [values], [label])
        return values

    def do(self, name, takes, gives, *, phase="forward", module=None, line=None, **arguments):
        """Do an operation: `takes` labels, and `gives` labels with their values."""
        numbers = {k: v for k, v in arguments.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
        others = tuple((k, repr(v)) for k, v in arguments.items() if k not in numbers)
        site = Site(f"aten::{name}", phase, module, line, None, others, tuple(numbers))
        inputs = tuple(self.labels[label] for label in takes)
        self._add(site, inputs, tuple(map(repr, numbers.values())), list(gives.values()), list(gives))

    def _add(self, site, inputs, numbers, values, labels):
        index = len(self.records)
        outputs = tuple(map(summary, values))
        self.records.append(Record(index, self._steps, site, inputs, numbers, outputs))
        for place, label in enumerate(labels):
            self.labels[label] = (index, place)

    def receive(self, label, sends, values, line=None):
        """Get values of a collective, which this process gives one of its own."""
        index, values = len(self.records), np.asarray(values)
        nothing = TensorSummary(values.shape, str(values.dtype), "cpu", None, math.nan, ())
        site = Site("c10d::allreduce_", "backward", None, line, None, (), ())
        self.records.append(Record(index, self._steps, site, (self.labels[sends],), (), (nothing,)))
        received = Site(RECEIVED, OUTSIDE, None, line, None, (), ())
        self.records.append(Record(index + 1, self._steps, received, ((index, 0),), (), (summary(values),)))
        self.labels[label] = (index + 1, 0)

    def step(self):
        self._steps += 1

    def trace(self, *, rank=0, world_size=1, ended=True, **numerics):
        states = {step: Generators(0, step, 0, 0) for step in range(self._steps + 1)}
        header = TraceHeader(FORMAT, ("train.py",), numerics, {}, {}, rank, world_size, None, "")
        return RunTrace(header, tuple(self.records), states, (), ended)


class Training:
    """Two layers without a kink, trained by gradient descent, written operation by operation.

    Args:
        fused: layers by `addmm` in place of `mm` and `add`.
        foreach: updates as one operation on lists.
        swapped: whether the backward pass does the weights' gradients of the layers in the other order.
        parts: of each batch, whose gradients are accumulated.
        divided: by what the loss of a part is divided; `parts` where it is None.
        copies: whether each layer's result is copied.
        noise: relative noise on every result, for rounding.
        noise_seed: of its draws.
        lr: of the update.
        clip: whether gradients are halved before the update.
        frozen: whether the first layer's weights stay as they are.
        weights: added to the second layer's weights at the beginning.
        data: added to the inputs.
        data_of: the rank to whose part alone it is added; None for all.
        ranks: that have a part of each batch, whose gradients are averaged by a collective.
        rank: which of them this is.
        undivided: whether every rank takes the first one's part.
        summed: whether the ranks' gradients are summed in place of averaged.
    """

    def __init__(self, *, fused=False, foreach=False, swapped=False, parts=1, divided=None, copies=False, noise=0.0,
                 noise_seed=2, lr=0.1, clip=False, frozen=False, weights=0.0, data=0.0, data_of=None, steps=3,
                 ranks=1, rank=0, summed=False, undivided=False):  # fmt: skip
        self.writer, self._random = Writer(), np.random.default_rng(1)
        self._noise, self._noises = noise, np.random.default_rng(noise_seed)
        self._options = {"fused": fused, "foreach": foreach, "swapped": swapped, "copies": copies, "lr": lr}
        self._options |= {"clip": clip, "frozen": frozen, "parts": parts, "divided": divided or parts}
        self._options |= {"ranks": ranks, "summed": summed}
        self._parts = [slice(r * 16 // ranks, (r + 1) * 16 // ranks) for r in range(ranks)]
        self._parts = self._parts[:1] * ranks if undivided else self._parts
        self._rows = self._parts[rank]
        self.parameters = {name: self._random.normal(size=shape) for name, shape in (("w1", (6, 8)), ("w2", (8, 4)))}
        self.parameters["w2"] = self.parameters["w2"] + weights
        inputs, targets = self._random.normal(size=(16, 6)), self._random.normal(size=(16, 4))
        inputs[slice(None) if data_of is None else slice(data_of * 16 // ranks, (data_of + 1) * 16 // ranks)] += data
        self._bias = self._random.normal(size=8)
        for name in self.parameters:
            self.writer.outside(f"{name}@0", self.parameters[name], f"model.{name}")
        self.writer.outside("bias", self._bias, "model.bias")
        for part in range(parts):
            rows = slice(part * 16 // parts // ranks, (part + 1) * 16 // parts // ranks)
            self.writer.outside(f"x{part}", inputs[self._rows][rows])
            self.writer.outside(f"y{part}", targets[self._rows][rows])
        self._data = inputs, targets
        for step in range(steps):
            self._step(step)

    def _rounded(self, values):
        return values * (1 + self._noise * self._noises.normal(size=values.shape))

    def _do(self, name, takes, label, values, **options):
        values = self._rounded(np.asarray(values))
        self.writer.do(name, takes, {label: values}, **options)
        return values

    def _step(self, step):
        o, do, p = self._options, self._do, self.parameters
        gradients = {}
        for part in range(o["parts"]):
            rows = slice(part * 16 // o["parts"] // o["ranks"], (part + 1) * 16 // o["parts"] // o["ranks"])
            x, y = (values[self._rows][rows] for values in self._data)
            s, w1, w2 = f"{part}@{step}", f"w1@{step}", f"w2@{step}"
            forward = {"line": "train.py:8"}
            if o["fused"]:
                h = do(
                    "addmm", ["bias", f"x{part}", w1], f"h{s}", x @ p["w1"] + self._bias, module="model.0", **forward
                )
            else:
                m = do("mm", [f"x{part}", w1], f"m{s}", x @ p["w1"], module="model.0", **forward)
                h = do("add", [f"m{s}", "bias"], f"h{s}", m + self._bias, module="model.0", **forward)
            hidden = f"h{s}"
            if o["copies"]:
                self.writer.do("clone", [hidden], {f"copy{s}": h}, **forward)
                hidden = f"copy{s}"
            out = do("mm", [hidden, w2], f"o{s}", h @ p["w2"], module="model.1", **forward)
            do("mse_loss", [f"o{s}", f"y{part}"], f"loss{s}", np.mean((out - y) ** 2), line="train.py:9")
            back = {"phase": "backward", "line": "train.py:9"}
            gap = do("mse_loss_backward", [f"o{s}", f"y{part}"], f"go{s}", 2 * (out - y) / out.size, **back)
            if o["divided"] != 1:
                gap = do("div", [f"go{s}"], f"gs{s}", gap / o["divided"], other=o["divided"], **back)
            scaled = f"gs{s}" if o["divided"] != 1 else f"go{s}"
            gh = do("mm", [scaled, w2], f"gh{s}", gap @ p["w2"].T, module="model.1", **back)
            made = {
                "w2": ([hidden, scaled], h.T @ gap, "model.1"),
                "w1": ([f"x{part}", f"gh{s}"], x.T @ gh, "model.0"),
            }
            for name in ["w1", "w2"] if o["swapped"] else ["w2", "w1"]:
                if name == "w1" and o["frozen"]:
                    continue
                takes, product, module = made[name]
                gradient, label = do("mm", takes, f"g{name}{s}", product, module=module, **back), f"g{name}{s}"
                if name in gradients:
                    before, old = gradients[name]
                    gradient = do("add_", [old, label], f"sum{name}{s}", before + gradient, **back)
                    label = f"sum{name}{s}"
                gradients[name] = gradient, label
        if o["ranks"] > 1:
            for name, (_, label) in list(gradients.items()):
                mean = self._rounded(self._mean_of_ranks(name))
                self.writer.receive(f"all{name}@{step}", label, mean, line="train.py:9")
                gradients[name] = mean, f"all{name}@{step}"
        self._update(step, gradients)
        self.writer.step()

    def _mean_of_ranks(self, name):
        """The mean of all ranks' gradients, or their sum."""
        p, o = self.parameters, self._options
        total = 0.0
        for rows in self._parts:
            x, y = (values[rows] for values in self._data)
            h = x @ p["w1"] + self._bias
            gap = 2 * (h @ p["w2"] - y) / y.size
            total = total + (h.T @ gap if name == "w2" else x.T @ (gap @ p["w2"].T))
        return total if o["summed"] else total / o["ranks"]

    def _update(self, step, gradients):
        o, options = self._options, {"phase": "optimizer", "line": "train.py:11"}
        if o["clip"]:
            for name, (gradient, label) in list(gradients.items()):
                clipped = self._do("mul_", [label], f"clipped{name}@{step}", gradient / 2, other=0.5,
                                   phase="optimizer", line="train.py:10")  # fmt: skip
                gradients[name] = clipped, f"clipped{name}@{step}"
        fresh = {name: self._rounded(self.parameters[name] - o["lr"] * g) for name, (g, _) in gradients.items()}
        takes = {name: [f"{name}@{step}", label] for name, (_, label) in gradients.items()}
        if o["foreach"]:
            names = list(takes)
            lists = [takes[name][0] for name in names] + [takes[name][1] for name in names]
            gives = {f"{name}@{step + 1}": fresh[name] for name in names}
            self.writer.do("_foreach_add_", lists, gives, alpha=-o["lr"], **options)
        else:
            for name in takes:
                gives = {f"{name}@{step + 1}": fresh[name]}
                self.writer.do("add_", takes[name], gives, module=f"model.{name}", alpha=-o["lr"], **options)
        self.parameters |= fresh
        for name in self.parameters.keys() - fresh.keys():
            self.writer.labels[f"{name}@{step + 1}"] = self.writer.labels[f"{name}@{step}"]
