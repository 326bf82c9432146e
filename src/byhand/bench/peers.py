"""The peers: the frameworks that byhand is compared with, in each of their configurations."""

import importlib.util
import os
import shutil
from dataclasses import dataclass, field

from byhand.kernels.conv.problem import BF16, FLOAT32
from byhand.kernels.runtime.cpu import cores, vector_unit

Setting = str | int | bool
DEFAULT = "default"  # a precision: OpenVINO's own choice, bfloat16 where the CPU multiplies it; BF16 is asked for
FRAMEWORKS = ("PyTorch", "JAX", "onnxruntime", "OpenVINO", "OpenCV")


@dataclass(frozen=True)
class PeerSpec:
    """A peer: the module with its class `Peer`, the arguments of that class, and the packages it needs."""

    module: str
    settings: dict[str, Setting] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    @property
    def precision(self) -> str:
        """What it multiplies in: float32, bf16, or by default, which may be either."""
        return str(self.settings.get("precision", FLOAT32))

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of its process, which its libraries read before they start threads."""
        threads = self.settings.get("threads")
        return {} if threads is None else {"OMP_NUM_THREADS": str(threads), "BYHAND_THREADS": str(threads)}

    def missing(self) -> str | None:
        """Return why it can't run here, or None."""
        for package in self.needs:
            if importlib.util.find_spec(package) is None:
                return f"{package} is not installed"
        if self.settings.get("compiled") and not any(
            map(shutil.which, (os.environ.get("CXX", "g++"), "clang++", "c++"))
        ):
            return "needs a C++ compiler"
        if self.precision == BF16 and not vector_unit().bfloat16:
            return "this CPU has no bfloat16 products"
        return None


def _threads() -> int:
    """Return the threads of every side: BYHAND_THREADS, as for byhand itself, else one a core."""
    asked = os.environ.get("BYHAND_THREADS", "")
    return int(asked) if asked.isascii() and asked.isdigit() and int(asked) else cores()


CORES = _threads()
THREADS = (1, CORES) if CORES > 1 else (1,)  # the fastest counts: small networks are faster on one thread


def count(threads: int) -> str:
    """Return "1 thread", "2 threads", ...: the end of a peer's name, each of which is a template of the translation."""
    return f"{threads} thread{'s' if threads > 1 else ''}"


def _torch(name: str, layout: str, threads: int, **settings: Setting) -> dict[str, PeerSpec]:
    spec = PeerSpec("byhand.bench.torch_peer", {"layout": layout, "threads": threads, **settings}, ("torch",))
    return {f"{name} {layout}, {threads} thread{'s' * (threads > 1)}": spec}


def _onnx_reader(name: str, module: str, package: str, threads: int, **settings: Setting) -> dict[str, PeerSpec]:
    spec = PeerSpec(f"byhand.bench.{module}", {"threads": threads, **settings}, (package, "onnx"))
    return {f"{name}, {threads} thread{'s' * (threads > 1)}": spec}


def _onnxruntime(threads: int) -> dict[str, PeerSpec]:
    return _onnx_reader("onnxruntime", "onnx_peer", "onnxruntime", threads)


LAYOUTS = ("contiguous", "channels_last")
EAGER = {
    name: spec for layout in LAYOUTS for threads in THREADS for name, spec in _torch("PyTorch", layout, threads).items()
}
COMPILED = {
    name: spec
    for layout in LAYOUTS
    for threads in THREADS
    for name, spec in _torch("torch.compile", layout, threads, compiled=True).items()
}
EAGER_BF16 = {
    name: spec for layout in LAYOUTS for name, spec in _torch(f"PyTorch {BF16}", layout, CORES, precision=BF16).items()
}
COMPILED_BF16 = {
    name: spec
    for layout in LAYOUTS
    for name, spec in _torch(f"torch.compile {BF16}", layout, CORES, compiled=True, precision=BF16).items()
}
JAX = {
    f"JAX, {threads} thread{'s' * (threads > 1)}": PeerSpec("byhand.bench.jax_peer", {"threads": threads}, ("jax",))
    for threads in THREADS
}
ONNX = {name: spec for threads in THREADS for name, spec in _onnxruntime(threads).items()}
INFERENCE = {
    **_onnxruntime(CORES),
    **_onnx_reader("OpenVINO", "openvino_peer", "openvino", CORES),
    **_onnx_reader(f"OpenVINO {DEFAULT}", "openvino_peer", "openvino", CORES, precision=DEFAULT),
    **_onnx_reader("OpenCV", "opencv_peer", "cv2", CORES),
}
ARTICLE = {
    f"the article's {hand}": PeerSpec("byhand.bench.article_peer", {"hand": hand}) for hand in ("loops", "arrays")
}
PACKAGES = {
    "PyTorch": PeerSpec("byhand.bench.torch_peer", {}, ("torch",)),
    "JAX": PeerSpec("byhand.bench.jax_peer", {}, ("jax",)),
}
BYHAND = "byhand"
BYHAND_BF16 = f"byhand {BF16}"
BYHAND_1_THREAD = "byhand, 1 thread"
PEERS = (
    PACKAGES | EAGER | COMPILED | EAGER_BF16 | COMPILED_BF16 | JAX | ONNX | INFERENCE | ARTICLE
    | {BYHAND_1_THREAD: PeerSpec("byhand.bench.byhand_peer", {"hand": "compiled", "threads": 1})}
)  # fmt: skip


def byhand(hand: str, precision: str = FLOAT32) -> PeerSpec:
    """Return byhand itself, with one of its hands."""
    return PeerSpec("byhand.bench.byhand_peer", {"hand": hand, "precision": precision})


def family(peer: str) -> str:
    """Return the framework of a peer, with its precision where that is not float32, or the peer itself.

    >>> family("torch.compile contiguous, 1 thread"), family("PyTorch bf16 contiguous, 2 threads")
    ('PyTorch', 'PyTorch bf16')
    >>> family("the article's loops")
    "the article's loops"
    """
    framework, *words = peer.replace("torch.compile", "PyTorch").replace(",", "").split()
    if framework not in FRAMEWORKS:
        return peer
    return " ".join([framework, *words[:1]]) if words[:1] in ([BF16], [DEFAULT]) else framework
