"""What is fuzzed: each parser of untrusted files and text, by its public door, with good files to mutate.

A target makes its good files once, in a folder of its own, and reads one mutant at a time. `read` returns "used" where the
mutant is a good file that was also used, else "loaded"; it raises a ByhandError where it is refused.
"""

import io
import json
import struct
import zipfile
from functools import cached_property

import numpy as np
from PIL import Image

from tests.fuzz.mutations import mutated, mutated_json

MAX_RUN_FLOPS = 1e7  # of a network that is also run
MAX_RUN_ELEMENTS = 1e6
SIDE = 12  # pixels of the images


class Target:
    """A parser; `good`: its good files."""

    def __init__(self, folder):
        self.folder = folder / type(self).__name__
        self.folder.mkdir()

    def mutant(self, random):
        return mutated(random.choice(self.good), random)

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path


def images(count=6):
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE), np.uint8)


class Npz(Target):
    """Archives, also of members that are mutated before they are packed."""

    @cached_property
    def arrays(self):
        labels, pixels = np.arange(6) % 2, images()
        return [
            {"images": pixels, "labels": labels},
            {"x_train": pixels / 255, "y_train": labels.astype(np.int8)},
            {
                "x": np.stack([pixels] * 3, -1),
                "y": np.array(["cat", "dog"])[labels],
                "classes": np.array(["cat", "dog"]),
            },
        ]

    def mutant(self, random):
        arrays, stored = random.choice(self.arrays), random.random() < 0.5
        spoiled = random.choice(sorted(arrays)) if stored else None
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as file:
            for name, array in arrays.items():
                member = io.BytesIO()
                np.save(member, array)
                data = member.getvalue()
                file.writestr(f"{name}.npy", mutated(data, random) if name == spoiled else data)
        return archive.getvalue() if stored else mutated(archive.getvalue(), random)

    def read(self, data):
        from byhand.data import load

        train, _ = load(self.write("set.npz", data))
        return "used" if len(train.images[:2]) else "loaded"


class Idx(Target):
    """IDX files, plain and zipped."""

    @cached_property
    def good(self):
        import gzip

        plain = b"\0\0\x08\x03" + struct.pack(">3I", 6, SIDE, SIDE) + images().tobytes()
        floats = b"\0\0\x0d\x01" + struct.pack(">I", 5) + np.arange(5, dtype=">f4").tobytes()
        return [plain, floats, gzip.compress(plain, mtime=0)]

    def read(self, data):
        from byhand.data import idx

        idx.read(self.write("images-idx3-ubyte", data))
        return "used"


class Pictures(Target):
    """Image files of all formats: inspected, and read as photos and as digits."""

    @cached_property
    def good(self):
        gray = Image.fromarray(images(1)[0])
        color = Image.merge("RGB", [gray, gray.rotate(90), gray.rotate(180)])
        deep = Image.fromarray(images(1)[0].astype(np.uint16) * 257)
        made = []
        for image, form, settings in (
            (gray, "PNG", {}),
            (color, "PNG", {}),
            (deep, "PNG", {}),
            (color.convert("P"), "PNG", {"transparency": 0}),
            (gray.convert("1"), "PNG", {}),
            (color, "JPEG", {}),
            (color, "JPEG", {"progressive": True, "exif": b"Exif\0\0" + exif(6)}),
            (color.convert("CMYK"), "JPEG", {}),
            (color, "GIF", {}),
            (color, "BMP", {}),
            (gray, "TIFF", {}),
            (deep, "TIFF", {"compression": "tiff_adobe_deflate"}),
            (Image.fromarray(images(1)[0] / np.float32(255)), "TIFF", {}),
            (color, "WEBP", {"lossless": True}),
            (gray, "PPM", {}),
        ):
            file = io.BytesIO()
            image.save(file, form, **settings)
            made.append(file.getvalue())
        return made

    def read(self, data):
        from byhand.data import digits, image_decoding, photos
        from byhand.errors import ByhandError

        path = self.write("picture.png", data)
        refusals = 0
        for read in (
            lambda: image_decoding.inspect_image(path, 4096),
            lambda: photos.from_file(path, (16, 24)),
            lambda: digits.from_file(path),
        ):
            try:
                read()
            except ByhandError as error:
                refusals, last = refusals + 1, error
        if refusals == 3:
            raise last
        return "used"


def exif(orientation):
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)


class Table(Target):
    """CSV files beside two images."""

    @cached_property
    def good(self):
        for name in ("a.png", "b.png", "c.png"):
            Image.fromarray(images(1)[0] + ord(name[0])).save(self.folder / name)
        rows = ("a.png,cat", "b.png,dog", "c.png,cat")
        numbered = (f"{i};{row.replace(',', ';')};train" for i, row in enumerate(rows))
        pixels = ("label,pixel0,pixel1,pixel2,pixel3", "1,0,255,3,4", "0,9,9,9,9", "1,1,2,3,4", "0,4,3,2,1")
        return [
            "\n".join(("path,label", *rows)).encode(),
            "\r\n".join(("id;image;label;split", *numbered)).encode("utf-8-sig"),
            "\n".join(rows).encode("utf-16"),
            "\n".join(pixels).encode(),
        ]

    def read(self, data):
        from byhand.data import load

        load(self.write("table.csv", data))
        return "used"


class Safetensors(Target):
    """Models and checkpoints: bytes, and the header's JSON with a right length."""

    @cached_property
    def good(self):
        import byhand as bh
        from tests.train.test_hostile import rich

        trainer = bh.Trainer(rich(), bh.AdamW(), clip_norm=1.0, batch_size=2, hand="arrays", schedule=bh.Warmup(0.1))
        path = self.folder / "model"
        trainer.model.save(path)
        made = [path.read_bytes()]
        trainer.save(path)
        return [*made, path.read_bytes()]

    def mutant(self, random):
        data = random.choice(self.good)
        if random.random() < 0.4:
            return mutated(data, random)
        (length,) = struct.unpack("<Q", data[:8])
        header, numbers = json.loads(data[8 : 8 + length]), data[8 + length :]
        if random.random() < 0.25:
            head = mutated_json(header, random)
        else:
            about = mutated_json(json.loads(header["__metadata__"]["byhand"]), random)
            header["__metadata__"]["byhand"] = about.decode("latin-1")
            head = json.dumps(header).encode()
        return struct.pack("<Q", len(head)) + head + numbers

    def read(self, data):
        import byhand as bh
        from byhand.errors import ByhandError

        path = self.write("model.safetensors", data)
        try:
            bh.Trainer.load(path)
        except ByhandError:
            return run(bh.load(path))
        return run(bh.load(path))


def run(model):
    """Run a network on an image where it is small."""
    calls = model.graph.plan(1, training=False)[0].values()
    size = sum(np.prod(shape, dtype=object) for call in calls for shape in call.shapes.values())
    taps = sum(np.prod(call.window.kernel, dtype=object) for call in calls if call.window is not None)
    if model.summary().flops > MAX_RUN_FLOPS or size + model.parameter_count > MAX_RUN_ELEMENTS or taps > 5000:
        return "loaded"
    with np.errstate(all="ignore"):
        model.predict(np.zeros((1, *model.input_shape), np.float32), hand="arrays")
    return "used"


class StateDict(Target):
    """Weights by torchvision's names."""

    @cached_property
    def model(self):
        from byhand import nn

        x = nn.Input(8, 8, 3)
        y = nn.ReLU()(nn.BatchNorm(name="bn")(nn.Conv2d(4, 3, name="conv")(x)))
        return nn.Model(x, nn.Linear(3, name="fc")(nn.GlobalAvgPool2d()(y)))

    @cached_property
    def good(self):
        from safetensors.numpy import save

        shapes = {
            "conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "bn.weight": (4,), "bn.bias": (4,), "bn.running_mean": (4,),
            "bn.running_var": (4,), "fc.weight": (3, 4), "fc.bias": (3,),
        }  # fmt: skip
        return [save({name: np.ones(shape, np.float32) for name, shape in shapes.items()})]

    def read(self, data):
        from byhand.nn import torchvision

        torchvision.load(self.model, self.write("weights.safetensors", data))
        return "used"


class Onnx(Target):
    """ONNX models: mutants of the message, as in tests/onnx/mutate.py, and of its bytes."""

    @cached_property
    def good(self):
        from tests.onnx.seeds import seeds

        (self.folder / "numbers.bin").write_bytes(bytes(4096))
        return [model.SerializeToString() for model in seeds()]

    def mutant(self, random):
        from tests.onnx.mutate import mutant

        return mutant(random) if random.random() < 0.7 else mutated(random.choice(self.good), random)

    def read(self, data):
        from byhand import onnx

        return run(onnx.load(self.write("model.onnx", data)))


class RunFolder(Target):
    """run.json and log.jsonl of a run that is resumed."""

    @cached_property
    def settings(self):
        import byhand as bh

        np.savez(self.folder / "data.npz", images=images(), labels=np.arange(6) % 2)
        return {
            "model": "tiny" if "tiny" in bh.models.names() else "article",
            "data": str(self.folder / "data.npz"),
            "epochs": 1,
            "batch_size": 2,
            "lr": 0.1,
            "seed": 0,
            "hand": "arrays",
            "augment": "none",
            "unfreeze": 0,
            "preprocessing": {"reader": "picture", "crop_pct": 1.0, "pixel_range": None, "mean": [0.5], "std": [0.25]},
            "pixel_range": None,
            "size": None,
            "optimizer": {"kind": "SGD", "lr": 0.1},
            "schedule": {"kind": "Warmup", "fraction": 0.1, "then": {"kind": "Cosine"}},
            "data_sha256": bh.data.find(self.folder / "data.npz").sets().digest(),
        }

    def mutant(self, random):
        row = {"epoch": 1, "loss": 0.5, "accuracy": 0.5}
        log = json.dumps(row).encode() + b"\n"
        return mutated_json(self.settings, random) + b"\0log" + (mutated(log, random) if random.random() < 0.3 else log)

    def read(self, data):
        from byhand.cli.progress_bar import ProgressBar
        from byhand.cli.training_setup import resume
        from byhand.train import Run

        settings, _, log = data.partition(b"\0log")
        self.write("log.jsonl", log)
        self.write("run.json", settings)
        Run(self.folder).rows()
        resume({}, self.folder, ProgressBar(quiet=True), lambda lines: None)
        return "used"


class Text(Target):
    """Options of the command line: augmentations, image sizes, normalization."""

    good = (
        b"flip,crop=0.3,rotate=10,shift=2", b"cutout=4,mixup=0.2,color=0.4", b"224x224", b"0.5,0.4,0.3", b"1/255",
    )  # fmt: skip

    @cached_property
    def network(self):
        from byhand import nn

        x = nn.Input(2, 2, 3)
        return nn.Model(x, nn.Linear(3)(nn.Flatten()(x)), mean=0.0)

    def read(self, data):
        from byhand.cli.model_argument import parse_image_size, resolve_preprocessing
        from byhand.data import Augment
        from byhand.errors import ByhandError

        text = data.decode("utf-8", "surrogateescape")
        for read in (
            lambda: str(Augment.parse(text)),
            lambda: parse_image_size(text),
            lambda: resolve_preprocessing(self.network, "model", text, None),
            lambda: resolve_preprocessing(self.network, "model", None, text),
        ):
            try:
                read()
            except ByhandError as error:
                last = error
            else:
                return "used"
        raise last


class ClassNames(Target):
    """Files of class names: text, JSON, CSV, Python literals."""

    good = (
        b"cat\ndog\nbird\n", b'["cat", "dog", "bird"]', b'{"0": "cat", "1": "dog", "2": "bird"}', b"0 cat\n1 dog\n2 bird",
        b"id,name\n0,cat\n1,dog\n", b"{0: 'cat', 1: 'dog'}", b"n01440764 tench\nn01443537 goldfish\n",
    )  # fmt: skip

    def read(self, data):
        from byhand.data.label_map import read_class_names

        for suffix in ("txt", "csv", "json"):
            names = read_class_names(self.write(f"names.{suffix}", data), [])
            assert all(isinstance(name, str) for name in names)
        return "used"


class MetadataNames(Target):
    """Names, sizes and numbers that other exporters write into ONNX metadata."""

    good = (
        b"{0: 'cat', 1: 'dog'}",
        b'["cat", "dog"]',
        b'{"0": "cat", "1": "dog"}',
        b"cat,dog",
        b"[0.5, 0.4, 0.3]",
        b"224",
    )

    def read(self, data):
        import onnx

        from byhand.onnx.metadata import read_metadata

        text = data.decode("utf-8", "replace")
        keys = ("names", "labels", "id2label", "mean", "std", "imgsz")
        proto = onnx.ModelProto(metadata_props=[onnx.StringStringEntryProto(key=key, value=text) for key in keys])
        return "used" if read_metadata(proto) else "loaded"


TARGETS = (
    Npz,
    Idx,
    Pictures,
    Pictures,
    Table,
    Safetensors,
    StateDict,
    Onnx,
    RunFolder,
    Text,
    ClassNames,
    MetadataNames,
)
