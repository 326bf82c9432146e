"""The table of architectures: expected sizes and settings, one row each."""

from dataclasses import dataclass, field, replace

import numpy as np

from byhand import models
from byhand.errors import ShapeError

TOLERANCE = 2e-5  # of the largest logit: float32, some hundred layers one after the other
GATED = 2e-4  # gates multiply rounding: PyTorch's own float32 is up to 8e-5 off its float64 here
DEEP = 1e-4  # PyTorch's own float32 is up to 1.4e-5 off its float64 there: logits reach 1e9
EXACT = 1e-11  # in float64, where nothing hides behind rounding


@dataclass(frozen=True)
class Logits:
    """A comparison of an architecture's logits with its PyTorch twin's.

    image: None for the architecture's own shape; classes: None for its own number, 10 where the image is given; limit: of the
    difference, relative to the largest logit; twin: the arguments that the twin takes besides; long: only in `make test-long`.
    """

    image: tuple[int, int, int] | None = None
    classes: int | None = None
    limit: float = TOLERANCE
    dtype: str = "float32"
    hand: str = "compiled"
    twin: dict[str, int] = field(default_factory=dict)
    long: bool = False

    def __str__(self):
        size = "own size" if self.image is None else "x".join(map(str, self.image))
        return " ".join([size, *([] if self.hand == "compiled" else [self.hand]), *self.twin])


@dataclass(frozen=True)
class Learning:
    """A training on four images, each of a class of its own: the loss falls below `factor` times the first."""

    image: tuple[int, int, int]
    steps: int = 8
    lr: float = 0.001
    factor: float = 0.5
    classes: int = 4

    def __str__(self):
        return "x".join(map(str, self.image))


@dataclass(frozen=True)
class TooSmall:
    """An image too small for an architecture: the layer that says so, the size of its window, the size of its input."""

    image: tuple[int, int, int]
    layer: str
    window: int
    size: int

    def __str__(self):
        return self.layer


@dataclass(frozen=True)
class Row:
    """An architecture: parameters at its own image and classes (with its auxiliary heads: `with_heads`), and its tests."""

    parameters: int
    logits: tuple[Logits, ...] = ()
    learning: tuple[Learning, ...] = ()
    too_small: TooSmall | None = None
    with_heads: int | None = None


OWN = Logits()
ODD = Logits((61, 40, 3))
ODD_EXACT = Logits((61, 40, 3), limit=EXACT, dtype="float64")
HALVED = Logits((45, 64, 3))  # odd sizes on the way down
# Of the same modules as a sister of theirs in the table, only more or wider: their parameters are counted in any case.
OWN_LONG, ODD_LONG, HALVED_LONG = (replace(case, long=True) for case in (OWN, ODD, HALVED))
PHOTO, QUARTER = (64, 64, 3), (32, 32, 3)
TEN_STEPS = Learning(PHOTO, steps=10, factor=0.3)


def squeezenet(parameters: int, too_small: TooSmall | None = None) -> Row:
    hanging = Logits((51, 64, 3))  # pools reach over the edge
    return Row(parameters, (OWN, hanging), (Learning(PHOTO, steps=80, lr=0.0001),), too_small)


def cifar(parameters: int, own: Logits, *more: Logits, learning: tuple[Learning, ...] = ()) -> Row:
    return Row(parameters, (own, *more), learning)


def hands(loops: tuple[int, int, int], arrays: tuple[int, int, int], classes: int) -> tuple[Logits, ...]:
    """Return a comparison of every hand, in float64."""
    images = {"loops": loops, "arrays": arrays, "compiled": arrays}
    return tuple(Logits(image, classes, EXACT, "float64", hand) for hand, image in images.items())


def small(parameters: int, *more: Logits) -> Row:
    gray, color, odd, narrow = (28, 28, 1), (32, 32, 3), (20, 24, 3), (9, 31, 1)
    logits = (Logits(image, twin={"channels": image[-1]}) for image in (gray, color, odd, narrow))
    return Row(
        parameters,
        (*logits, *more),
        tuple(Learning(image, factor=0.3) for image in (gray, color, odd)),
    )


VGG = Logits((32, 40, 3), twin={"maps": 1})
VGG_LEARNING = Learning(QUARTER, steps=20, lr=0.0001)
INCEPTION_LEARNING = Learning((75, 75, 3), steps=10)
PREACT = Logits((45, 64, 3), 7, DEEP)

# The parameters are those that torchvision publishes; of mobilenet_v1 the trainable ones that Keras counts.
ROWS = {
    "article": Row(3 * 3 * 1 * 8 + 1352 * 10 + 10),
    "lenet5": Row(156 + 2_416 + 48_120 + 10_164 + 850),
    "lenet5_1998": Row(156 + 2_416 + 48_120 + 10_164 + 850),
    "alexnet": Row(
        61_100_840,
        (OWN, Logits((224, 415, 3))),  # feature maps of 6x12, which are averaged
        (Learning(PHOTO, steps=20, lr=0.0001),),
        TooSmall((62, 50, 3), "pool3", 3, 2),
    ),
    "zfnet": Row(
        62_357_608,
        (OWN, Logits((75, 96, 3), twin={"maps": 1 * 2})),
        (Learning((75, 75, 3), steps=30, lr=0.0003),),
        TooSmall((20, 64, 3), "conv2", 5, 4),
    ),
    "nin": Row(
        966_986,
        (OWN, Logits((21, 18, 3)), Logits((11, 8, 3), 3, dtype="float64", hand="arrays")),
        (Learning((16, 16, 3), steps=40), Learning((32, 32, 3), steps=80)),
        TooSmall((2, 32, 3), "pool1", 3, 2),
    ),
    "vgg11": Row(132_863_336, (), (VGG_LEARNING,), TooSmall((16, 32, 3), "features_20", 2, 1)),
    "vgg13": Row(133_047_848, (VGG,)),
    "vgg16": Row(138_357_544, (OWN,)),
    "vgg19": Row(143_667_240, (replace(VGG, long=True),)),
    "vgg11_bn": Row(132_868_840, (VGG,), (VGG_LEARNING,)),
    "vgg13_bn": Row(133_053_736),
    "vgg16_bn": Row(138_365_992),
    "vgg19_bn": Row(143_678_248),
    "googlenet": Row(  # at its own size: in the test of the auxiliary heads
        6_624_904, (ODD, Logits((61, 40, 3), twin={"heads": True})), (INCEPTION_LEARNING,), with_heads=13_004_888
    ),
    "inception_v3": Row(
        23_834_568,
        (Logits((75, 83, 3)), Logits((75, 83, 3), twin={"heads": True})),
        (INCEPTION_LEARNING,),
        TooSmall((60, 60, 3), "Mixed_7a_branch3x3_2_conv", 3, 2),
        with_heads=27_161_264,
    ),
    "resnet18": Row(11_689_512, (OWN,), (Learning(PHOTO),)),
    "resnet34": Row(21_797_672, (HALVED,)),
    "resnet50": Row(25_557_032, (OWN,), (Learning(PHOTO),)),
    "resnet101": Row(44_549_160, (HALVED_LONG,)),
    "resnet152": Row(60_192_808, (HALVED_LONG,)),
    # odd sizes: the last pixel stays
    "resnet20_cifar": cifar(
        269_722, OWN, *hands((5, 3, 3), (13, 18, 3), 10), learning=(Learning(QUARTER, classes=10),)
    ),
    "resnet32_cifar": cifar(464_154, OWN_LONG),
    "resnet44_cifar": cifar(658_586, OWN_LONG),
    "resnet56_cifar": cifar(853_018, OWN_LONG),
    "resnet110_cifar": cifar(1_727_962, OWN, learning=(Learning(QUARTER, classes=10),)),
    "preact_resnet18": Row(11_687_720, (PREACT,), (Learning(QUARTER, steps=12),)),
    "preact_resnet50": Row(25_549_352, (OWN, PREACT), (Learning(QUARTER, steps=12),)),
    "preact_resnet164_cifar": Row(
        1_703_258,
        (Logits(limit=DEEP), Logits((13, 18, 3), 7, DEEP)),
        (Learning(QUARTER, steps=12, lr=0.003),),
    ),
    "squeezenet1_0": squeezenet(1_248_424, TooSmall((6, 32, 3), "features_0", 7, 6)),
    "squeezenet1_1": squeezenet(1_235_496),
    "densenet121": Row(7_978_856, (OWN,), (Learning(PHOTO),), TooSmall((16, 32, 3), "features_transition3_pool", 2, 1)),
    "densenet169": Row(14_149_480, (HALVED,)),
    "densenet201": Row(20_013_928, (HALVED_LONG,)),
    "mobilenet_v1": Row(4_231_976, (OWN, ODD), (TEN_STEPS,)),
    "mobilenet_v2": Row(3_504_872, (OWN, ODD), (TEN_STEPS,)),
    "mobilenet_v3_large": Row(5_483_032, (Logits(limit=GATED), ODD_EXACT), (TEN_STEPS,)),
    "mobilenet_v3_small": Row(2_542_856, (Logits(limit=GATED), ODD_EXACT), (TEN_STEPS,)),
    "shufflenet_v2_x0_5": Row(1_366_792, (ODD,), (TEN_STEPS,)),
    "shufflenet_v2_x1_0": Row(2_278_604, (OWN, ODD), (TEN_STEPS,)),
    "shufflenet_v2_x1_5": Row(3_503_624, (ODD_LONG,)),
    "shufflenet_v2_x2_0": Row(7_393_996, (ODD_LONG,)),
    "efficientnet_b0": Row(5_288_548, (Logits(limit=GATED), ODD_EXACT), (Learning(PHOTO, steps=10),)),
    "efficientnet_lite0": Row(4_652_008, (OWN, ODD_EXACT), (Learning(PHOTO, steps=10),)),
    "convnext_tiny": Row(28_589_128, (OWN, ODD), (TEN_STEPS,)),
    "small": small(1_849_930),
    "tiny": small(116_890, *hands((8, 9, 3), (20, 24, 3), 4)),
}

SIZES = (8, 16, 32, 64, 96, 128, 224, 299)  # images' sides, the first that an architecture takes
PHOTO_SIDE = 64  # the least side for an architecture made for photos: a norm over a few numbers magnifies rounding
ONE_OF_EACH = (  # an architecture of each family
    "article", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_lite0", "googlenet", "inception_v3", "lenet5",
    "lenet5_1998", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "nin", "preact_resnet18", "resnet18", "resnet20_cifar",
    "resnet50", "shufflenet_v2_x0_5", "squeezenet1_1", "vgg11",
)  # fmt: skip
# Image sides that loops train on within a minute.
LOOPS = {"article": 8, "lenet5": 16, "lenet5_1998": 16, "resnet20_cifar": 8}


def smallest(name):
    """Return a model for the smallest images that an architecture takes, in double precision."""
    height, _, channels = models.ARCHITECTURES[name].image
    for size in (size for size in SIZES if height < 200 or size >= PHOTO_SIDE):
        try:
            return models.create(name, 3, (size, size, channels), dtype=np.float64)
        except ShapeError:
            continue
    raise AssertionError(f"{name} takes no size of {SIZES}")
