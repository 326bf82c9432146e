"""Hints: what to write in byhand for a name or a call of PyTorch, Keras or scikit-learn, and "did you mean" for a slip.

Tables first, by where a name stands. `unknown_attribute` makes the error of a module or an object that has no such attribute,
`hinted` that of a call whose arguments do not fit.
"""

from __future__ import annotations

import opcode
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import Parameter, signature
from typing import Any, ParamSpec, TypeVar

from byhand.errors import UnknownArgumentError, UnknownAttributeError, UnknownImportError, suggestion

P = ParamSpec("P")
R = TypeVar("R")

NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)

LOSSES = "a loss is a setting of the Trainer: bh.Trainer(model, bh.SGD(), loss='cross_entropy'), 'mse' or 'bce'"
BATCHES = "the Trainer makes the batches: bh.Trainer(model, bh.SGD(), batch_size=64).fit(train)"
TRANSFORMS = "the Trainer augments: bh.Trainer(..., augment=bh.data.Augment(flip=True)); uint8 images need no ToTensor"
CPU = "byhand computes on the CPU, with all of its cores: leave it out"
SCHEDULES = "bh.Trainer(..., schedule=bh.Cosine()), bh.OneCycle(), bh.StepDecay(), or a function of step or epoch"

# Attributes of byhand, byhand.nn, byhand.data and byhand.train, for which one of byhand's own stands.
MODULE_NAMES: dict[str, str] = {
    "Dense": "write nn.Linear(units); an activation is a layer of its own: nn.ReLU()",
    "Conv2D": "write nn.Conv2d(filters, kernel)",
    "Convolution2D": "write nn.Conv2d(filters, kernel)",
    "Conv2DTranspose": "write nn.ConvTranspose2d(filters, kernel)",
    "DepthwiseConv2D": "write nn.Conv2d(channels, kernel, groups=channels)",
    "MaxPooling2D": "write nn.MaxPool2d(kernel)",
    "AveragePooling2D": "write nn.AvgPool2d(kernel)",
    "GlobalAveragePooling2D": "write nn.GlobalAvgPool2d()",
    "AdaptiveAvgPool2d": "write nn.GlobalAvgPool2d(), the mean of the whole image",
    "BatchNorm1d": "write nn.BatchNorm(); the number of channels is read from its input",
    "BatchNorm2d": "write nn.BatchNorm(); the number of channels is read from its input",
    "BatchNormalization": "write nn.BatchNorm()",
    "LayerNormalization": "write nn.LayerNorm()",
    "LocalResponseNorm": "write nn.LRN()",
    "Dropout2d": "write nn.Dropout(rate)",
    "Activation": "write the layer: nn.ReLU(), nn.Sigmoid(), nn.Tanh()",
    "Hardswish": "write nn.HardSwish()",
    "Hardsigmoid": "write nn.HardSigmoid()",
    "LogSoftmax": "leave it out: a network ends in logits, and the loss holds the softmax",
    "Identity": "leave it out, or write a function: lambda x: x",
    "Concatenate": "write nn.Concat()",
    "ZeroPad2d": "write nn.Pad2d()",
    "ZeroPadding2D": "write nn.Pad2d()",
    "UpSampling2D": "write nn.Upsample()",
    "InputLayer": "write nn.Input(height, width, channels)",
    "Module": "a network is nn.Model(nn.Input(28, 28, 1), nn.Sequential(...)); a block is a function of a tensor",
    "ModuleList": "keep the layers in a list, and call them on a tensor",
    "Parameter": "layers make their parameters; a learned number a channel is nn.Scale()",
    "DataParallel": "byhand uses all cores; several machines: mpiexec -n 4 python train.py",
    "functional": "the functions are bh.relu, bh.conv2d, bh.softmax, ...",
    "CrossEntropyLoss": LOSSES,
    "NLLLoss": LOSSES,
    "MSELoss": LOSSES,
    "BCELoss": LOSSES,
    "BCEWithLogitsLoss": LOSSES,
    "losses": LOSSES,
    "metrics": "bh.Trainer(..., metrics={'name': function}) takes functions of (labels, probabilities)",
    "callbacks": "fit(..., callbacks=[function]) takes functions of an epoch's row",
    "layers": "the layers are in byhand.nn: nn.Conv2d, nn.Linear, nn.ReLU, ...",
    "optimizers": "write bh.SGD(), bh.Adam(), bh.AdamW(), bh.RMSprop() or bh.Muon()",
    "Adagrad": "write bh.RMSprop() or bh.Adam()",
    "Adadelta": "write bh.RMSprop() or bh.Adam()",
    "NAdam": "write bh.Adam() or bh.SGD(momentum=0.9, nesterov=True)",
    "lr_scheduler": SCHEDULES,
    "LambdaLR": SCHEDULES,
    "StepLR": SCHEDULES,
    "MultiStepLR": SCHEDULES,
    "CosineAnnealingLR": SCHEDULES,
    "OneCycleLR": SCHEDULES,
    "DataLoader": BATCHES,
    "ImageDataGenerator": BATCHES,
    "ImageFolder": "write train, test = bh.data.load('folder')",
    "TensorDataset": "write bh.data.Dataset(images, labels, classes)",
    "MNIST": "write train, test = bh.data.load('mnist')",
    "transforms": TRANSFORMS,
    "Compose": TRANSFORMS,
    "ToTensor": TRANSFORMS,
    "tensor": "byhand works on NumPy arrays: write np.array(...)",
    "Tensor": "byhand works on NumPy arrays; nn.Input(...) gives the symbolic input of a network",
    "no_grad": "leave it out: model.predict records nothing",
    "device": CPU,
    "cuda": CPU,
    "manual_seed": "write seed=...: bh.models.create(..., seed=0), bh.Trainer(..., seed=0)",
    "set_seed": "write seed=...: bh.models.create(..., seed=0), bh.Trainer(..., seed=0)",
    "save": "write model.save('digits.safetensors')",
    "load_model": "write bh.load('digits.safetensors')",
    "create_model": "write bh.models.create('resnet18')",
    "Sequential": "write nn.Sequential(...), and nn.Model(nn.Input(28, 28, 1), nn.Sequential(...)) for the network",
    "EarlyStopping": "write fit(..., validation=..., early_stopping=5)",
    "TensorBoard": "write byhand.train.tensorboard.TensorBoard('folder'), one of fit's callbacks",
    "SummaryWriter": "write byhand.train.tensorboard.TensorBoard('folder'), one of fit's callbacks",
}

# Attributes of a Model.
MODEL_NAMES: dict[str, str] = {
    "train": "model.fit(images, labels) or a bh.Trainer trains; there is no mode to switch: predict always infers",
    "to": CPU,
    "cuda": CPU,
    "cpu": CPU,
    "float": "the type is set where a model is made: nn.Model(..., dtype=np.float32)",
    "double": "the type is set where a model is made: nn.Model(..., dtype=np.float64)",
    "half": "parameters are float32 or float64",
    "compile": "model.fit(images, labels, optimizer=bh.Adam(), loss='cross_entropy', metrics={}) takes what compile takes",
    "predict_proba": "model.predict(images) gives the probability of each class",
    "predict_classes": "write model.predict(images).argmax(1)",
    "score": "write model.evaluate(images, labels)['accuracy']",
    "forward": "write model(images), or model.logits_of(images)",
    "backward": "model.trace(images, labels) gives every gradient; a Trainer's step updates",
    "zero_grad": "leave it out: each step writes its gradients anew",
    "freeze": "write model = model.with_frozen('conv1'), with names or patterns of layers",
    "requires_grad_": "write model = model.with_frozen('conv1'), with names or patterns of layers",
    "trainable": "write model = model.with_frozen('conv1'), with names or patterns of layers",
    "layers": "print(model.summary()) lists the layers, model.parameters holds their weights by name",
    "modules": "print(model.summary()) lists the layers, model.parameters holds their weights by name",
    "named_modules": "print(model.summary()) lists the layers, model.parameters holds their weights by name",
    "children": "print(model.summary()) lists the layers, model.parameters holds their weights by name",
    "get_layer": "model.trace(images)['conv1'] is a layer's output, model.parameters['conv1_weight'] its weight",
    "register_forward_hook": "model.trace(images)['conv1'] is a layer's output",
    "weights": "model.parameters holds the weights by name",
    "trainable_weights": "model.parameters holds the weights by name",
    "get_weights": "write model.state_dict()",
    "set_weights": "write model.load_state_dict(arrays)",
    "save_weights": "write model.save('digits.safetensors')",
    "load_weights": "write model.load_state_dict(arrays), or bh.load('digits.safetensors')",
    "classifier": "model.replace_head(classes) returns a model with a new last layer",
    "fc": "model.replace_head(classes) returns a model with a new last layer",
    "count_params": "write model.parameter_count",
    "numel": "write model.parameter_count",
    "input": "write model.graph.input",
}

# Attributes of layers and of nn.Sequential, which are descriptions of a network, without parameters.
NETWORK = "make a network of the layers: nn.Model(nn.Input(28, 28, 1), layers)"
LAYER_NAMES: dict[str, str] = {
    **dict.fromkeys(
        ("fit", "predict", "evaluate", "summary", "compile", "state_dict", "parameters", "eval", "train", "to"), NETWORK
    ),
    **dict.fromkeys(("weight", "weights", "kernel"), "a model holds the parameters: model.p.conv1_weight"),
    **dict.fromkeys(("trainable", "requires_grad_", "freeze"), "write model = model.with_frozen('conv1')"),
    **dict.fromkeys(("add", "append"), "a Sequential is made of all of its layers: nn.Sequential(*layers)"),
}

# Losses of a Trainer.
LOSS_NAMES: dict[str, str] = {
    **dict.fromkeys(
        ("categorical_crossentropy", "sparse_categorical_crossentropy", "nll"), "write loss='cross_entropy'"
    ),
    **dict.fromkeys(("binary_crossentropy", "binary_cross_entropy", "bce_with_logits"), "write loss='bce'"),
    **dict.fromkeys(("mean_squared_error", "MSE", "l2"), "write loss='mse'"),
    **dict.fromkeys(
        ("mae", "mean_absolute_error", "l1", "huber", "hinge", "focal"),
        "write a function (outputs, labels) -> (loss, gradient)",
    ),
}

COUNTED = "leave it out: it is read from the layer's input"
# Keywords of calls.
KEYWORDS: dict[str, str] = {
    "kernel_size": "write kernel=",
    "pool_size": "write kernel=",
    "strides": "write stride=",
    "dilation_rate": "write dilation=",
    "in_channels": COUNTED,
    "in_features": COUNTED,
    "num_features": COUNTED,
    "input_dim": COUNTED,
    "out_channels": "write filters=",
    "out_features": "write units=",
    "use_bias": "write bias=",
    "activation": "an activation is a layer of its own: nn.ReLU() after it",
    "kernel_initializer": "write initializer=",
    "padding_mode": "padding is with zeros; nn.Pad2d before it pads otherwise",
    "p": "write rate=",
    "negative_slope": "write slope=",
    "inplace": "leave it out",
    "affine": "leave it out: the norm has gamma and beta",
    "num_classes": "write classes=",
    "pretrained": "write bh.models.pretrained('efficientnet_lite0'), then .replace_head(classes) for other classes",
    "weights": "write bh.models.pretrained('efficientnet_lite0'), or model.load_torchvision(file)",
    "params": "the Trainer gives the optimizer its parameters: bh.Trainer(model, bh.SGD(lr=0.1))",
    "learning_rate": "the optimizer has the learning rate: bh.SGD(lr=0.1)",
    "lr": "the optimizer has the learning rate: bh.SGD(lr=0.1)",
    "betas": "write beta1=0.9, beta2=0.999",
    "beta_1": "write beta1=",
    "beta_2": "write beta2=",
    "rho": "write alpha=",
    "epsilon": "write eps=",
    "criterion": "write loss=",
    "loss_fn": "write loss=",
    "validation_data": "write validation=(images, labels)",
    "validation_split": "write validation_fraction=",
    "verbose": "write quiet=True for a training that prints nothing",
    "on_epoch": "write callbacks=[function]",
    "sample_weight": "class_weight= weights the images of a class",
    "shuffle": "leave it out: the order is drawn anew each epoch, from seed=",
    "random_state": "write seed=",
    "max_iter": "write epochs=",
    "n_epochs": "write epochs=",
    "num_epochs": "write epochs=",
    "patience": "write early_stopping=, in epochs",
    "transform": TRANSFORMS,
    "num_workers": "leave it out: images are prefetched by a thread",
    "device": CPU,
}

# Calls with more values by position than there are places for.
POSITIONS: dict[str, str] = {
    "Conv2d": "the input's channels are read from the input: nn.Conv2d(filters, kernel, stride=2)",
    "ConvTranspose2d": "the input's channels are read from the input: nn.ConvTranspose2d(filters, kernel, stride=2)",
    "Linear": "the size of the input is read from the input: nn.Linear(units)",
    "BatchNorm": "the number of channels is read from the input: nn.BatchNorm()",
    **dict.fromkeys(("SGD", "Adam", "AdamW", "RMSprop", "Muon"), "the Trainer gives the optimizer its parameters"),
    "Dataset": "write bh.data.Dataset(images, labels, classes)",
}


def unknown_attribute(
    owner: str, name: str, known: Iterable[str], hints: Mapping[str, str] = MODULE_NAMES
) -> AttributeError | ImportError:
    """Return the error for an attribute that `owner` does not have: `__getattr__` raises it.

    It is an ImportError where the caller's caller runs `from owner import name`, which hides the text of an AttributeError.
    """
    text = f"{owner} has no attribute '{name}'"
    if name.startswith("_"):  # Python asks for those, and expects a plain answer
        return AttributeError(text)
    hint = f"; {hints[name]}" if name in hints else suggestion(name, known)
    frame = sys._getframe(2)
    if frame.f_code.co_code[frame.f_lasti] == opcode.opmap["IMPORT_FROM"]:
        return UnknownImportError(f"{text}{hint}")
    return UnknownAttributeError(f"{text}{hint}")


def hinted(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function, or a constructor, whose call with wrong arguments raises a hint.

    >>> @hinted
    ... def layer(filters, *, stride=1):
    ...     return filters
    >>> layer(8, strides=2)
    Traceback (most recent call last):
    byhand.errors.UnknownArgumentError: layer: there is no argument 'strides'; write stride=
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            problem = _call_problem(function, args, kwargs)
            if problem is None:  # raised within the call
                raise
        raise UnknownArgumentError(problem)

    return call


def _call_problem(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the arguments of a call, and what to write; None where they fit."""
    parameters = dict(signature(function).parameters)
    try:
        signature(function).bind(*args, **kwargs)
    except TypeError as error:
        wrong = str(error)
    else:
        return None
    name, open_ended = function.__name__, any(value.kind is Parameter.VAR_KEYWORD for value in parameters.values())
    if next(iter(parameters), "") == "self":
        owner = type(args[0]).__name__
        name, args = owner if name == "__init__" else f"{owner}.{name}", args[1:]
        del parameters["self"]
    parameters = {key: value for key, value in parameters.items() if value.kind in NAMED}
    unknown = [keyword for keyword in kwargs if keyword not in parameters and not open_ended]
    places = [key for key, parameter in parameters.items() if parameter.kind is Parameter.POSITIONAL_OR_KEYWORD]
    if unknown:
        return unknown_keyword(name, unknown[0], parameters)
    if len(args) > len(places):
        by_name = [key for key in parameters if key not in places]
        hint = POSITIONS.get(name) or f"give others by name: {', '.join(f'{key}=' for key in by_name)}"
        taken = f"expected at most {len(places)} ({', '.join(places)})" if places else "expected none"
        return f"{name}: got {len(args)} values by position; {taken}" + (f"; {hint}" if by_name else "")
    return f"{name}: {wrong}{f'; {POSITIONS[name]}' if name in POSITIONS else ''}"


def unknown_keyword(owner: str, keyword: str, known: Iterable[str]) -> str:
    """Return the message for a keyword that a call does not take."""
    hint = f"; {KEYWORDS[keyword]}" if keyword in KEYWORDS else suggestion(keyword, known)
    return f"{owner}: there is no argument '{keyword}'{hint}" + ("" if hint else f"; expected {', '.join(known)}")
