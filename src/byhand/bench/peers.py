"""The peers: the frameworks that byhand is compared with, in each of their configurations."""

import importlib.util
import os
import shutil
from dataclasses import dataclass, field

Setting = str | int | bool


@dataclass(frozen=True)
class PeerSpec:
    """A peer: the module with its class `Peer`, the arguments of that class, and the packages it needs."""

    module: str
    settings: dict[str, Setting] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of its process, which its libraries read before they start threads."""
        threads = self.settings.get("threads")
        return {} if threads is None else {"OMP_NUM_THREADS": str(threads)}

    def missing(self) -> str | None:
        """Return why it can't run here, or None."""
        for package in self.needs:
            if importlib.util.find_spec(package) is None:
                return f"{package} is not installed"
        if self.settings.get("compiled") and not any(
            map(shutil.which, (os.environ.get("CXX", "g++"), "clang++", "c++"))
        ):
            return "needs a C++ compiler"
        return None


CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = (1, CORES) if CORES > 1 else (1,)  # the fastest counts: small networks are faster on one thread


def count(threads: int) -> str:
    """Return "1 thread", "2 threads", ..."""
    return f"{threads} thread{'s' if threads > 1 else ''}"


TORCH = {
    f"{'torch.compile' if compiled else 'PyTorch'} {layout}, {threads} thread{'s' if threads > 1 else ''}": PeerSpec(
        "byhand.bench.torch_peer", {"layout": layout, "threads": threads, "compiled": compiled}, ("torch",)
    )
    for compiled in (False, True)
    for layout in ("contiguous", "channels_last")
    for threads in THREADS
}
JAX = {
    f"JAX, {threads} thread{'s' if threads > 1 else ''}": PeerSpec(
        "byhand.bench.jax_peer", {"threads": threads}, ("jax",)
    )
    for threads in THREADS
}
ONNX = {
    f"onnxruntime, {threads} thread{'s' if threads > 1 else ''}": PeerSpec(
        "byhand.bench.onnx_peer", {"threads": threads}, ("onnxruntime", "onnx")
    )
    for threads in THREADS
}
ARTICLE = {
    f"the article's {hand}": PeerSpec("byhand.bench.article_peer", {"hand": hand}) for hand in ("loops", "arrays")
}

EAGER = tuple(name for name, spec in TORCH.items() if not spec.settings["compiled"])
COMPILED = tuple(name for name in TORCH if name not in EAGER)
PACKAGES = {
    "PyTorch": PeerSpec("byhand.bench.torch_peer", {}, ("torch",)),
    "JAX": PeerSpec("byhand.bench.jax_peer", {}, ("jax",)),
}
PEERS = PACKAGES | TORCH | JAX | ONNX | ARTICLE


def byhand(hand: str) -> PeerSpec:
    """Return byhand itself, with one of its hands."""
    return PeerSpec("byhand.bench.byhand_peer", {"hand": hand})


def family(peer: str) -> str:
    """Return the framework of a peer, or the peer itself.

    >>> family("torch.compile contiguous, 1 thread"), family("JAX, 2 threads"), family("the article's loops")
    ('PyTorch', 'JAX', "the article's loops")
    """
    first = peer.replace("torch.compile", "PyTorch").replace(",", "").split()[0]
    return first if first in ("PyTorch", "JAX", "onnxruntime") else peer
