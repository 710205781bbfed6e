"""Small items of functions that other processes can import."""

from functools import partial

from lastbit.paper.item import Cost, Item, ItemScale, claim


def count(settings, work):
    """Ask the executor, where there is one, for jobs and wait for them."""
    jobs = [partial(pow, 2, n) for n in range(settings["n"])]
    if work.executor is None:
        return {"powers": [job() for job in jobs], "where": str(work.directory), "helped": False}
    futures = [work.executor.submit(job) for job in jobs]
    return {"powers": [future.result() for future in futures], "where": str(work.directory), "helped": True}


def fail(settings, work):
    raise RuntimeError("the kernel melted\nand dripped")


def claims(result):
    right = result["powers"][-1] == 2 ** (result["settings"]["n"] - 1)
    return [
        claim("It doubles", published=2, measured=2.0, holds=right),
        claim("It halves", published=0.5, measured=2.0, holds=False, reason="It doubles."),
        claim("It rests", published=None, measured=None, holds=None, interval=[0, 2], reason="Too short to tell."),
    ]


def draw(result):
    return []


def make_item(id="powers", *, run=count, trains=False, n=4, cost=None):
    """An item that takes no time."""
    cost = cost or Cost(seconds=1.0, memory_mib=100, disk_mib=1)
    scales = {
        "smoke": ItemScale({"n": n}, "a fourth of the powers", cost),
        "laptop": ItemScale({"n": 2 * n}, "half of the powers", cost),
        "paper": ItemScale({"n": 4 * n}, "", cost),
    }
    return Item(
        id=id,
        title=f"The {id} of two",
        shows="Powers of two, one after another.",
        scales=scales,
        published={"base": 2},
        run=run,
        claims=claims,
        draw=draw,
        trains=trains,
    )
