"""Habits of PyTorch, Keras, fastai and scikit-learn users that meet one line, which says what to write here."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import byhand as bh
from byhand import nn
from byhand.hints import arguments, attributes
from tests.train.small_training import network, stripes

DATA = stripes()
IMAGE = np.zeros((1, 8, 8, 1))
WEIGHT = np.zeros((3, 3, 1, 2))

TOLD = [
    (lambda: nn.Conv2d(1, 8, 3), r"Conv2d: got 3 values by position; .*nn.Conv2d\(filters, kernel"),
    (lambda: nn.Conv2d(8, kernel_size=3), "no argument 'kernel_size'; write kernel="),
    (lambda: nn.Conv2d(8, 3, strid=2), "no argument 'strid'; did you mean 'stride'"),
    (lambda: nn.Conv2d(in_channels=1, filters=8), "no argument 'in_channels'; leave it out"),
    (lambda: nn.Conv2d(8, 3, activation="relu"), "an activation is a layer of its own"),
    (nn.Conv2d, "missing a required argument: 'filters'"),
    (lambda: nn.Linear(400, 10), r"Linear: got 2 values by position; .*nn.Linear\(units\)"),
    (lambda: nn.MaxPool2d(2, 2), "give others by name: stride="),
    (lambda: nn.ReLU(inplace=True), "no argument 'inplace'; leave it out"),
    (lambda: nn.Softmax(dim=1), "no argument 'dim'; leave it out: it is over the last axis"),
    (lambda: nn.ReLU(True), "got 1 value by position; expected none; leave it out"),
    (lambda: nn.LayerNorm(64), "got 1 value by position; expected none; the size is read from the input"),
    (lambda: nn.BatchNorm(axis=-1), "leave it out: it is over all axes but the last"),
    (lambda: nn.ELU, "write bh.elu in its place: an op is a layer"),
    (lambda: nn.PReLU, r"write nn.LeakyReLU\(0.1\)"),
    (lambda: nn.GlobalMaxPooling2D, "lambda x: bh.reduce_max"),
    (lambda: nn.init.kaiming_normal_, "initializer='he'"),
    (lambda: nn.Sequential(nn.Flatten, nn.Linear(3)), r"got the class Flatten; write Flatten\(\)"),
    (lambda: nn.Input((28, 28, 1)), r"write nn.Input\(28, 28, 1\)"),
    (lambda: nn.Input(shape=(28, 28, 1)), r"write nn.Input\(height, width, channels\)"),
    (lambda: nn.Model(nn.Sequential(nn.Flatten())), r"write nn.Model\(nn.Input\(28, 28, 1\), nn.Sequential"),
    (lambda: nn.Model(nn.Input(6, 6, 1), [nn.Flatten()]), r"write nn.Sequential\(\*layers\)"),
    (type("Net", (nn.Model,), {}), r"Net: missing .*'inputs'; write nn.Model\("),
    (lambda: setattr(network(), "fc1", nn.Linear(2)), "nothing reads fc1; it is a layer: model.p.fc1_weight is its"),
    (lambda: network().fc1.weight, "model.p.fc1_weight is its weight"),
    (lambda: network().optimizer, "a Trainer holds optimizer and loss"),
    (lambda: network().train_on_batch, r"trainer.step\(images, labels\)"),
    (lambda: network().fine_tune(3), r"replace_head\(classes\)"),
    (lambda: network().predict(DATA.images, verbose=0), "leave it out"),
    (lambda: network().evaluate(DATA, batch_size=8), "^evaluate: .*changes no result"),
    (lambda: network().predict("cat.png"), "model.preprocessing.read"),
    (lambda: network().predict([Path("cat.png")]), "model.preprocessing.read"),
    (lambda: network().predict(Image.new("L", (6, 6))), r"hold Image of Pillow; .*numpy.asarray\(image\)"),
    (lambda: network().predict([DATA.images[0], DATA.images[1][:5]]), "images of several shapes"),
    (lambda: network().predict(None), "images hold NoneType"),
    (lambda: network().predict(DATA.images[0, ..., 0]), r"image\[None, ..., None\]"),
    (lambda: network().fit(DATA, DATA), r"write fit\(train, validation=test\)"),
    (lambda: network().fit(DATA, optimizer="adam"), r"optimizer is 'adam'; write bh.Adam\(lr=...\)"),
    (lambda: network().fit(DATA, schedule="cosine"), r"schedule is 'cosine'; write bh.Cosine\(\)"),
    (lambda: network().fit(DATA, steps_per_epoch=3), "leave it out: an epoch is a pass over all images"),
    (lambda: network().save("x.onnx"), "byhand.onnx.save"),
    (lambda: network().save("x.pt"), "byhand writes safetensors, and model.save x.safetensors"),
    (lambda: nn.Flatten(1), "got 1 value by position; expected none"),
    (lambda: nn.Dropout(p=0.5), "write rate="),
    (lambda: nn.Dense(10), r"byhand.nn has no attribute 'Dense'; write nn.Linear\(units\)"),
    (lambda: nn.BatchNorm2d(8), r"write nn.BatchNorm\(\)"),
    (lambda: nn.BatchNorm(8), r"the number of channels is read from the input: nn.BatchNorm\(\)$"),
    (lambda: nn.CrossEntropyLoss, "loss='cross_entropy'"),
    (lambda: bh.Conv2d(8, 3), "write nn.Conv2d, after from byhand import nn"),
    (lambda: bh.zeros(3), "byhand works on NumPy arrays: np.zeros"),
    (lambda: bh.vision_learner, "replace_head"),
    (lambda: bh.matmul, r"write bh.linear\(x, weight\)"),
    (lambda: bh.models.list_models, r"bh.models.names\(\)"),
    (lambda: bh.models.pretrained("resnet18"), "load_torchvision"),
    (lambda: bh.models.pretrained("efficientnet_lite0", 3), r"replace_head\(classes\)"),
    (lambda: bh.Trainer(network(), bh.SGD(), augment="flp"), "no augmentation 'flp'; did you mean 'flip'"),
    (lambda: bh.Trainer(network(), bh.SGD(), augment=["flip"]), "a text such as 'flip,shift=2'"),
    (lambda: bh.data.Augment("flip"), r"bh.data.Augment\(flip=True"),
    (lambda: bh.data.Dataset(DATA.images, DATA.labels), r"write bh.data.Dataset\(images, labels, classes\)"),
    (lambda: DATA.targets, "write dataset.labels"),
    (lambda: bh.SGD(0.1).step(), "a Trainer steps"),
    (lambda: bh.Adam(learning_rate=0.1), "no argument 'learning_rate'; write lr="),
    (lambda: bh.Cosine(T_max=10), "the length of the training is that of fit"),
    (lambda: bh.OneCycle(max_lr=0.1), "is the peak"),
    (lambda: bh.Trainer(network(), bh.SGD()).predict, "write trainer.model.predict"),
    (lambda: bh.Trainer(network(), bh.SGD()).step(DATA.images), r"write trainer.step\(images, labels\)"),
    (lambda: bh.Trainer(network(), bh.SGD(), epochs=3), "fit takes them"),
    (lambda: bh.softmax(IMAGE, axis=1), "^softmax: there is no argument 'axis'; leave it out"),
    (lambda: bh.conv2d(IMAGE, WEIGHT.transpose(3, 2, 0, 1)), r"weight.transpose\(2, 3, 1, 0\)"),
    (lambda: bh.conv2d(IMAGE.transpose(0, 3, 1, 2), WEIGHT), r"x.transpose\(0, 2, 3, 1\)"),
    (lambda: nn.Sequential([nn.ReLU()]), r"nn.Sequential\(\*layers\)"),
    (lambda: nn.Sequential(nn.ReLU()).fit, "make a network of the layers"),
    (lambda: nn.Conv2d(8).weight, "model.p.conv1_weight"),
    (lambda: nn.relu, "did you mean 'ReLU'"),
    (lambda: nn.Module, "nn.Model"),
    (lambda: bh.convd2d, "did you mean 'conv2d'"),
    (lambda: bh.optim.RMSProp, "did you mean 'RMSprop'"),
    (lambda: bh.data.DataLoader, "Trainer makes the batches"),
    (lambda: bh.train.lr_scheduler, "schedule="),
    (lambda: bh.models.resnet18, r"bh.models.create\('resnet18'\)"),
    (lambda: bh.models.create("resnet18", pretrained=True), r"bh.models.pretrained\("),
    (lambda: bh.SGD(learning_rate=0.1), "write lr="),
    (lambda: bh.SGD([], lr=0.1), "the Trainer gives the optimizer its parameters"),
    (lambda: bh.conv2d(IMAGE, WEIGHT, strid=2), "did you mean 'stride'"),
    (lambda: bh.conv2d(IMAGE, WEIGHT, strides=2), "write stride="),
    (lambda: network().to("cuda"), "computes on the CPU"),
    (lambda: network().cuda(), "computes on the CPU"),
    (lambda: network().train(), "no mode to switch"),
    (lambda: network().compile(optimizer="adam", loss="mse"), r"'optimizer'; compile is for inference; model.fit\("),
    (lambda: network().compile("adam", "mse"), r"got 2 values by position; .*model.fit\("),
    (lambda: network().compile("adam"), r"batch is 'adam'; expected a number of images; .*model.fit\("),
    (lambda: network().compile(batch_size=1), "write batch="),
    (lambda: network().compile().fit, "it is for inference"),
    (lambda: network().predict_proba, "model.predict"),
    (lambda: network().prediict, "did you mean 'predict'"),
    (lambda: network().freeze("conv1"), "with_frozen"),
    (lambda: network().with_frozen("conv9"), "no layer with parameters 'conv9'; did you mean 'conv1'"),
    (lambda: network().fit(DATA, validation_data=1), "write validation="),
    (lambda: network().predict(np.zeros((2, 1, 6, 6))), r"transpose\(0, 2, 3, 1\)"),
    (lambda: bh.Trainer(network(), bh.SGD(), criterion="mse"), "write loss="),
    (lambda: bh.Trainer(network(), bh.SGD(), loss="mes"), "did you mean 'mse'"),
    (lambda: bh.Trainer(network(), bh.SGD(), loss="binary_crossentropy"), "write loss='bce'"),
    (lambda: network().fit(x=DATA.images, y=DATA.labels), "missing a required argument: 'images'"),
    (lambda: bh.Trainer(network(), bh.SGD(), schedule=lambda t: 1), "name its argument epoch or step"),
    (lambda: bh.Trainer(network(), bh.SGD(), metrics=["f1"]), "expected a function"),
    (lambda: bh.Trainer(network(), bh.SGD(), class_weight="balanced"), "numpy.bincount"),
    (lambda: bh.Trainer(network(), bh.SGD()).fit(DATA, callbacks=[1]), "expected functions of an epoch's row"),
    (lambda: bh.Trainer(network(), bh.SGD()).fit(DATA, on_epoch=print), "write callbacks="),
    (lambda: bh.Trainer(network(), bh.SGD()).fit(DATA.images), "without labels"),
]


@pytest.mark.parametrize(("habit", "line"), TOLD, ids=[line for _, line in TOLD])
def test_a_habit_is_told_what_to_write_here(habit, line):
    with pytest.raises(bh.ByhandError, match=line) as error:
        habit()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["Dense", "Conv2D", "relu"])
def test_an_import_is_told_what_to_write(name):
    with pytest.raises(ImportError, match=r"write|did you mean"):
        exec(f"from byhand.nn import {name}")
    assert not hasattr(nn, name)


OWN_NAMES = {
    "MODULE_NAMES": {*nn.__all__, *bh.__all__, *bh.data.__all__} - {"Sequential"},
    "MODEL_NAMES": set(dir(bh.Model)),
    "LAYER_NAMES": set(dir(nn.Sequential)) | set(dir(nn.Conv2d)),
    "OPTIMIZER_NAMES": set(dir(bh.SGD)) | set(dir(bh.Adam)),
    "TRAINER_NAMES": set(dir(bh.Trainer)),
    "DATASET_NAMES": set(dir(bh.data.Dataset)) | set(bh.data.Dataset.__dataclass_fields__),
}


@pytest.mark.parametrize("table", [*OWN_NAMES, "KEYWORDS", "CALL_KEYWORDS", "POSITIONS"])
def test_no_hint_hides_a_name_of_byhands_own(table):
    entries = getattr(attributes if table in OWN_NAMES else arguments, table)
    assert not entries.keys() & OWN_NAMES.get(table, set())
    for text in entries.values():
        assert text and "\n" not in text
        for called in re.findall(r"\b(bh|nn)\.(\w+)\(", text):
            module, name = called
            assert hasattr({"bh": bh, "nn": nn}[module], name), text
