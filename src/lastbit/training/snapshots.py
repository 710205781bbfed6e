"""When weights are kept: often at first, where errors grow by orders of magnitude, then epoch by epoch."""


def snapshot_steps(steps_per_epoch: int, epochs: int, every: int = 1) -> frozenset[int]:
    """Steps after which weights are kept: √2-spaced within the first epoch, then at the end of every `every` epochs.

    The last step is always among them.

    Args:
        steps_per_epoch: updates of an epoch.
        epochs: epochs of the run.
        every: epochs between two snapshots after the first epoch.
    """
    spaced, exponent = set(), 0
    while (step := round(2 ** (exponent / 2))) < steps_per_epoch:
        spaced.add(step)
        exponent += 1
    ends = {epoch * steps_per_epoch for epoch in range(every, epochs, every)}
    return frozenset(spaced | ends | {steps_per_epoch, steps_per_epoch * epochs})
