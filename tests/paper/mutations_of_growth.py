"""Wrong results of figures 3 and 10, of ResNet-56 step by step, and of tables 6 and 7."""

from mutations import grown, set_share, set_spread
from wrong_results import put

FULL, OTHER = "ResNet-56, CIFAR-10", "VGG16-BN, Fashion-MNIST"


def network(name, values):
    return {"name": name, "step": list(range(1, len(values) + 1)), "rel_l1": values}


def rate(lr, growth):
    return {"lr": lr, "step": [1, 2], "rel_l1": [1e-8, growth * 1e-8], "growth": growth, "diverged": False}


def as_figure3(result):
    result.update(
        scale="paper",
        networks=[network("A", [1e-8, 1e-3, 0.1, 0.2, 0.3, 0.3]), network("B", [1e-9, 1e-4, 0.2, 0.2, 0.2, 0.3])],
        rates=[rate(0.05, 1e5), rate(0.01, 50.0), rate(1e-5, 0.5)],
    )


def as_published(study, std):
    set_spread(grown(study), "noise", std, [0.9 * std, 1.2 * std])
    set_share(study, 0.9, [0.6, 1.0])


def as_table6(result):
    result["scale"] = "paper"
    as_published(result["studies"][FULL], 0.17)
    as_published(result["studies"][OTHER], 0.10)


def as_table7(result):
    result["scale"] = "paper"
    as_published(result["study"], 0.26)


def of_a_study(*path, name=""):
    return {
        f"{name}Every run learns": [put(*path, "trials", 0, "test_accuracy", to=19.0)],
        f"{name}The last bit alone": [put(*path, "std", "noise", "per_seed", "2", "std", to=0.0)],
        f"{name}The STD of test accuracy": [
            put(*path, "std", "noise_over_seed", to={"value": 0.2, "lower": 0.1, "upper": 0.4}),
        ],
        f"{name}The STD over k is": [
            put(*path, "std", "noise", "pooled", to=lambda old: {**old, "lower": 0.3, "upper": 0.5}),
        ],
    }


PREPARED = {"figure3": as_figure3, "table6": as_table6, "table7": as_table7}

MUTATIONS = {
    "table6": {
        **of_a_study("studies", FULL, name=f"{FULL}: "),
        **of_a_study("studies", OTHER, name=f"{OTHER}: "),
    },
    "table7": of_a_study("study"),
    "figure3": {
        "In every network": [
            lambda result: result["networks"].append(network("C", [1e-8] * 6)),
            lambda result: result["networks"].append(network("C", [0.0] * 6)),
        ],
        "the growth is restrained": [
            lambda result: result["networks"].append(network("C", [1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 0.1])),
            lambda result: result["networks"].append(network("C", [1e-8, 1e-3, 1.0, 2.0, 2.0, 2.0])),
        ],
        "At the largest learning rate": [put("rates", 0, "growth", to=60.0), put("rates", 0, "growth", to=6.0)],
        "The smaller the learning rate": [put("rates", 1, "growth", to=1e6), put("rates", 2, "growth", to=None)],
        "errors are not amplified": [put("rates", 2, "growth", to=8.0), put("rates", 2, "growth", to=None)],
        "errors are attenuated": [put("rates", 2, "growth", to=1.1), put("rates", 2, "growth", to=None)],
    },
    "figure10": {
        "Test accuracy rises": [lambda result: result["test_accuracy"].insert(0, result["test_accuracy"][-1] - 1)],
        "It ends at twice": [put("test_accuracy", to=[1.0, 19.0])],
        "The training loss still falls": [put("train_loss", to=[1.0] * 9)],
    },
    "resnet56-growth": {
        "begin to differ": [put("pair", "rel_l1", 0, to=1e-3)],
        "RelL1 grows 10,000-fold": [put("horizon", to=None), put("pair", "rel_l1", to=[0.0] * 100)],
        "grows exponentially": [put("pair", "growth", "segments", to=[])],
        "Then it levels off": [put("pair", "rel_l1", -1, to=1.9), put("pair", "rel_l1", -1, to=None)],
    },
}
