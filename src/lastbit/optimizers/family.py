"""Families of optimizers: what lastbit knows of each, and whether an optimizer takes the step of its family."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.optimizers.arguments import Arguments
from lastbit.plugins import Registry

Optimizer = torch.optim.Optimizer
Group = dict[str, Any]  # one of an optimizer's `param_groups`

# Optimizer's wrapper around `step`, in which it calls the hooks; recognised by its code.
HOOKED_CODE = Optimizer.profile_hook_step(lambda _: None).__code__
# Frameworks whose wrappers take the step of the optimizer inside, as it is.
_FRAMEWORKS = ("accelerate", "lightning", "lightning_fabric", "pytorch_lightning")


class Family:
    """Optimizers that share the formula of their step: one file, one subclass, which enters by being defined.

    Everything is optional. Without `step` the optimizers take every noise but `Scale`; without `edge` their sharpness
    is not compared with an edge; without `arguments` no recipe can name them.
    """

    classes: ClassVar[Mapping[str, type[Optimizer]]] = {}  # by the name that recipes have for them
    elsewhere: ClassVar[Mapping[str, str]] = {}  # classes of packages that lastbit does not need: name -> package
    arguments: ClassVar[type[Arguments] | None] = None
    without_edge: ClassVar[Mapping[str, str]] = {}  # name of a class -> why its edge of stability is not known

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in cls.classes or (cls.__name__,):
            FAMILIES.enter(name, cls)

    def build(self, arguments: Arguments, parameters: Iterable[Tensor]) -> Optimizer:
        """The optimizer that a recipe asks for: an instance of the class of that name."""
        return self.classes[arguments.name](parameters, **arguments.model_dump(exclude={"name"}))

    def step(self, optimizer: Optimizer, group: Group, k: int) -> None:
        """Step one parameter group by theta <- theta - (lr k) (d / k), with d the optimizer's own direction.

        At k = 1, 2, 4, ... weights and state must come out bit for bit as by the optimizer's own step. Neither `p.grad`
        nor the state is divided.
        """
        raise NotImplementedError

    def edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """The edge of full batches times lr, decoupled weight decay aside; and the formula in words.

        The edge is the curvature below which steps along an eigenvector of the Hessian stay bounded on a quadratic
        loss: that of P^-1 H under a preconditioner P, which is held fixed.

        Args:
            group: the parameter group.
            state: that of one of its parameters, empty before the first step; for momenta that change with the steps.
        """
        raise NotImplementedError

    def small_batch_edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """The same of small batches, in batch sharpness: 2 / (what the steps from one gradient sum up to, over lr)."""
        raise NotImplementedError

    def is_decoupled(self, group: Group) -> bool:
        """Whether the weight decay of a group shrinks the weights beside the gradient step, as AdamW's does."""
        return bool(group.get("decoupled_weight_decay", False))

    def preconditioner(self, state: Mapping[str, Any], group: Group) -> Tensor:
        """The diagonal P by which a parameter's next step is divided, of its shape; `state` is the parameter's."""
        raise NotImplementedError

    @classmethod
    def has(cls, method: str) -> bool:
        """Whether a family defines one of the optional methods."""
        return getattr(cls, method) is not getattr(Family, method)


FAMILIES: Registry[Family] = Registry("lastbit.optimizers", "lastbit.optimizers", "the optimizer")


def family_of(kind: type[Optimizer]) -> Family | None:
    """The family that describes the step of this very class, not of a subclass, whose step may be another."""
    return next((family for own, family in _described() if own is kind), None)


def arguments_of(name: str) -> type[Arguments]:
    """The class of the arguments that recipes have for an optimizer.

    Raises:
        LastbitError: no recipe can name such an optimizer.
    """
    known = {name: arguments for name in FAMILIES.names() if (arguments := _family(name).arguments) is not None}
    if name not in known:
        raise LastbitError(f"there is no optimizer {name!r}: allowed are {', '.join(known)}")
    return known[name]


def build_optimizer(arguments: Arguments, parameters: Iterable[Tensor]) -> Optimizer:
    """The optimizer that a recipe asks for."""
    return _family(arguments.name).build(arguments, parameters)


def names_with(method: str) -> str:
    """The optimizers whose family defines a method, in words: `torch.optim's SGD, Adam, AdamW and mine.Lion`."""
    kinds = [kind for kind, family in _described() if family.has(method)]
    torchs = [kind for kind in kinds if getattr(torch.optim, kind.__name__, None) is kind]
    others = [f"{kind.__module__}.{kind.__qualname__}" for kind in kinds if kind not in torchs]
    names = [f"torch.optim's {torchs[0].__name__}", *(kind.__name__ for kind in torchs[1:]), *others]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def innermost(optimizer: object) -> Optimizer:
    """The optimizer itself, out of the wrappers that Accelerate and Lightning put around one.

    Raises:
        LastbitTypeError: it is no optimizer.
    """
    inner = without_wrapper(optimizer)
    if isinstance(inner, Optimizer):
        return inner
    if isinstance(getattr(inner, "optimizer", None), Optimizer):
        raise LastbitTypeError(
            f"optimizer is a {type(inner).__name__}, which wraps another and may step in its own way; if it steps as "
            "the one inside does, give that one"
        )
    raise LastbitTypeError(f"optimizer is a {type(inner).__name__}; give a torch.optim.Optimizer")


def known_step(optimizer: object, edge: str = "edge") -> tuple[Optimizer, Family]:
    """The optimizer itself, and the family whose step, with a known edge of stability, it takes.

    Args:
        optimizer: the optimizer, or a framework's wrapper around it.
        edge: the method of the family that gives the edge.

    Raises:
        LastbitTypeError: its edge is not known, for its step is none of these.
    """
    inner = innermost(optimizer)
    matching = [(kind, family) for kind, family in _described() if isinstance(inner, kind)]
    kind, family = max(matching, key=lambda pair: len(pair[0].__mro__), default=(None, None))
    if kind is not None and family is not None and family.has(edge):
        reason = why_another_step(inner, kind)
        if reason is None:
            return inner, family
        raise LastbitTypeError(
            f"optimizer is a {reason}, so that its edge is not known; allowed are {names_with(edge)}, with their own "
            "step; what only watches goes into register_step_pre_hook or register_step_post_hook"
        )
    name = type(inner).__name__
    reason = {key: reason for cls in FAMILIES.all() for key, reason in cls.without_edge.items()}.get(name)
    raise LastbitTypeError(
        f"optimizer is a {name}; allowed are {names_with(edge)}{f' ({name}: {reason})' if reason else ''}"
    )


def _family(name: str) -> Family:
    kind = FAMILIES.get(name)
    return kind() if kind is not None else Family()


def _described() -> Iterator[tuple[type[Optimizer], Family]]:
    for cls in FAMILIES.all():
        family = cls()
        yield from ((kind, family) for kind in cls.classes.values())
        # An optimizer of a package can only have been made where the package has been imported.
        kinds = (getattr(sys.modules.get(package), name, None) for name, package in cls.elsewhere.items())
        yield from ((kind, family) for kind in kinds if kind is not None)


def state_of(optimizer: Optimizer, group: Group) -> Mapping[str, Any]:
    """The state of the first parameter of a group that has been stepped; empty if none has."""
    states = (optimizer.state.get(parameter, {}) for parameter in group["params"])
    return next((state for state in states if is_stepped(state)), {})


def is_stepped(state: Mapping[str, Any]) -> bool:
    """Whether a parameter with this state has been stepped; Adagrad makes its state before."""
    return bool(state) and bool(state.get("step", 1))


def without_wrapper(optimizer: object) -> object:
    """What Accelerate's or Lightning's wrapper holds; anything else as it is."""
    while _is_framework_wrapper(optimizer) and isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    return optimizer


def why_another_step(optimizer: Optimizer, kind: type[Optimizer]) -> str | None:
    """Why an instance of a class does not step as that class does; None if it does.

    A subclass that leaves `step` alone steps as its parent; so does an optimizer for which an lr scheduler has been
    made, and one that lastbit disturbs in the last bit.
    """
    own, torchs = undisturbed_class(optimizer), getattr(torch.optim, kind.__name__, None) is kind
    parent = f"torch.optim.{kind.__name__}" if torchs else f"{kind.__module__}.{kind.__qualname__}"
    for name in ("step", "_init_group"):
        if _plain(getattr(own, name, None)) is not _plain(getattr(kind, name, None)):
            return f"{own.__qualname__}, which has a {name} of its own and is not {parent}"
    if not _from(_plain(kind.step), tuple(above.__module__.partition(".")[0] for above in kind.__mro__)):
        return f"{parent} whose step a program has replaced"
    replaced = vars(optimizer).get("step")
    if replaced is not None and not _passes_on(replaced, own, type(optimizer)):
        if hasattr(replaced, "_torchdynamo_orig_callable"):
            return f"{own.__qualname__} whose step torch.compile has replaced"
        where = f"{getattr(replaced, '__module__', '?')}.{getattr(replaced, '__qualname__', replaced)}"
        return f"{own.__qualname__} whose step has been replaced by {where}"
    return None


def undisturbed_class(optimizer: Optimizer) -> type[Optimizer]:
    """The optimizer's class, without the twin that lastbit's noise puts before it (`Perturbed.only_adds_noise`)."""
    line = type(optimizer).__mro__
    marked = [place for place, kind in enumerate(line) if "only_adds_noise" in vars(kind)]
    own: type[Optimizer] = line[marked[-1] + 1] if marked else line[0]
    return own


def _passes_on(step: Any, own: type[Optimizer], disturbed: type[Optimizer]) -> bool:
    """Whether a step put on the object itself ends in its class's: by an lr scheduler, a framework, or as it was."""
    if _from(step, _FRAMEWORKS):
        return True
    if hasattr(step, "_wrapped_by_lr_sched") and _from(step, ("torch",)):
        step = step.__wrapped__
    plain = _plain(getattr(step, "__func__", step))
    return plain is _plain(own.step) or plain is _plain(disturbed.step)


def _plain(function: Any) -> Any:
    """A step without torch's hooks around it."""
    while getattr(function, "__code__", None) is HOOKED_CODE:
        function = function.__wrapped__
    return function


def _from(function: Callable[..., Any], packages: tuple[str, ...]) -> bool:
    """Whether a function was written in one of the packages, whatever it says of itself (`functools.wraps`)."""
    module = getattr(function, "__globals__", {}).get("__name__", "")
    return str(module).partition(".")[0] in packages


def _is_framework_wrapper(optimizer: object) -> bool:
    return any(kind.__module__.partition(".")[0] in _FRAMEWORKS for kind in type(optimizer).__mro__)
