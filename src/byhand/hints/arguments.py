"""What to write in byhand for an argument that a call of PyTorch, Keras, fastai or scikit-learn has."""

from byhand.hints.sentences import BATCHES, COMPILED, COUNTED, CPU, TRANSFORMS

# Losses of a Trainer.
LOSS_NAMES: dict[str, str] = {
    **dict.fromkeys(
        ("categorical_crossentropy", "sparse_categorical_crossentropy", "nll", "crossentropy", "ce"),
        "write loss='cross_entropy'",
    ),
    **dict.fromkeys(("binary_crossentropy", "binary_cross_entropy", "bce_with_logits"), "write loss='bce'"),
    **dict.fromkeys(("mean_squared_error", "MSE", "l2"), "write loss='mse'"),
    **dict.fromkeys(
        ("mae", "mean_absolute_error", "l1", "huber", "hinge", "focal"),
        "write a function (outputs, labels) -> (loss, gradient)",
    ),
}

# Precisions of a program.
PRECISION_NAMES: dict[str, str] = {
    **dict.fromkeys(("bfloat16", "bf16-mixed", "bf16-true", "mixed_bfloat16", "torch.bfloat16"), "write bf16"),
    **dict.fromkeys(
        ("float16", "fp16", "half", "16", "16-mixed", "16-true", "mixed_float16", "mixed", "amp"),
        "write bf16; CPUs have bfloat16 in place of float16",
    ),
    **dict.fromkeys(("fp32", "32", "32-true", "single", "float", "full", "none"), "write float32"),
}

# Keywords under their name elsewhere, and here; a hint where the call takes one of the latter.
RENAMED: dict[str, tuple[str, ...]] = {
    "kernel_size": ("kernel",),
    "pool_size": ("kernel",),
    "strides": ("stride",),
    "dilation_rate": ("dilation",),
    "out_channels": ("filters",),
    "out_features": ("units",),
    "use_bias": ("bias",),
    "kernel_initializer": ("initializer",),
    "p": ("rate",),
    "negative_slope": ("slope",),
    "scale_factor": ("scale", "scales"),
    "axis": ("axes",),
    "dim": ("axes", "axis"),
    "num_classes": ("classes",),
    "n_out": ("classes",),
    "learning_rate": ("lr", "learning_rate_init"),
    "max_lr": ("lr",),
    "beta_1": ("beta1",),
    "beta_2": ("beta2",),
    "rho": ("alpha",),
    "epsilon": ("eps",),
    "criterion": ("loss",),
    "loss_fn": ("loss",),
    "loss_func": ("loss",),
    "validation_split": ("validation_fraction",),
    "valid_pct": ("validation_fraction",),
    "random_state": ("seed",),
    "max_iter": ("epochs",),
    "epochs": ("max_iter",),  # of scikit-learn's classifiers
    "seed": ("random_state",),
    "lr": ("learning_rate_init",),
    "patience": ("n_iter_no_change",),
    "n_epochs": ("epochs",),
    "num_epochs": ("epochs",),
    "nb_epoch": ("epochs",),
    "bs": ("batch_size",),
    "cbs": ("callbacks",),
    "eta_min": ("final",),
    "batch_size": ("batch",),
    "gamma": ("factor",),
    "pct_start": ("warmup_fraction",),
}

# Other keywords.
KEYWORDS: dict[str, str] = {
    "in_channels": COUNTED,
    "in_features": COUNTED,
    "num_features": COUNTED,
    "input_dim": COUNTED,
    "input_shape": "a layer reads it from its input: nn.Input(28, 28, 1) begins the network",
    "input_size": "write input_shape=(height, width, channels)",
    "activation": "an activation is a layer of its own: nn.ReLU() after it",
    "bias_initializer": "leave it out: a bias begins at 0",
    "kernel_regularizer": "write bh.SGD(weight_decay=1e-4)",
    "data_format": "leave it out: channels come last",
    "padding_mode": "padding is with zeros; nn.Pad2d before it pads otherwise",
    "inplace": "leave it out",
    "return_indices": "leave it out",
    "start_dim": "leave it out: it flattens all but the batch",
    "affine": "leave it out: the norm has gamma and beta",
    "track_running_stats": "leave it out: the norm keeps them",
    "pretrained": "write bh.models.pretrained('efficientnet_lite0'), then .replace_head(classes) for other classes",
    "weights": "write bh.models.pretrained('efficientnet_lite0'), or model.load_torchvision(file)",
    "include_top": "write model.replace_head(classes), which keeps the layers below",
    "params": "the Trainer gives the optimizer its parameters: bh.Trainer(model, bh.SGD(lr=0.1))",
    "learning_rate": "the optimizer has the learning rate: bh.SGD(lr=0.1)",
    "lr": "the optimizer has the learning rate: bh.SGD(lr=0.1)",
    "weight_decay": "the optimizer has it: bh.SGD(lr=0.1, weight_decay=1e-4)",
    "momentum": "the optimizer has it: bh.SGD(lr=0.1, momentum=0.9)",
    "betas": "write beta1=0.9, beta2=0.999",
    "amsgrad": "leave it out",
    "epochs": "fit takes them: trainer.fit(train, epochs=5)",
    "max_epochs": "fit takes them: trainer.fit(train, epochs=5)",
    "step_size": "write milestones=(0.5, 0.75), points of the training from 0 to 1",
    "T_max": "leave it out: the length of the training is that of fit",
    "total_steps": "leave it out: the length of the training is that of fit",
    "validation_data": "write validation=(images, labels)",
    "valid_data": "write validation=(images, labels)",
    "verbose": "write quiet=True for a training that prints nothing",
    "on_epoch": "write callbacks=[function]",
    "optim": "write optimizer=bh.Adam()",
    "sample_weight": "class_weight= weights the images of a class",
    "shuffle": "leave it out: the order is drawn anew each epoch, from seed=",
    "steps_per_epoch": "leave it out: an epoch is a pass over all images",
    "initial_epoch": "leave it out: a bh.Trainer that came from a checkpoint resumes",
    **dict.fromkeys(
        ("validation_steps", "validation_batch_size", "validation_freq"),
        "leave it out: each epoch ends with all of them",
    ),
    "patience": "write early_stopping=, in epochs",
    "transform": TRANSFORMS,
    "target_transform": TRANSFORMS,
    "item_tfms": TRANSFORMS,
    "batch_tfms": TRANSFORMS,
    "drop_last": BATCHES,
    "batch_size": BATCHES,
    "root": "write bh.data.load('folder')",
    "download": "leave it out: byhand downloads nothing; mnist is inside the package",
    "hflip": "write flip=True",
    "image_size": "bh.data.find('folder').sets((height, width)) resizes",
    **dict.fromkeys(
        ("num_workers", "workers", "pin_memory", "prefetch", "use_multiprocessing", "persistent_workers"),
        "leave it out: images are prefetched by a thread",
    ),
    **dict.fromkeys(("device", "accelerator", "gpus", "devices", "map_location"), CPU),
    "precision": "leave it out: bh.Trainer, fit, evaluate, predict and program take precision='bf16'",
    **dict.fromkeys(
        ("amp", "fp16", "bf16", "mixed_precision", "half"), "write precision='bf16' for bh.Trainer, fit or predict"
    ),
    "callback": "write callbacks=[function]",
}

# Keywords whose meaning depends on the call.
CALL_KEYWORDS: dict[tuple[str, str], str] = {
    ("Input", "shape"): "write nn.Input(height, width, channels)",
    ("Input", "input_shape"): "write nn.Input(height, width, channels)",
    ("Input", "batch_shape"): "write nn.Input(height, width, channels), without the batch",
    ("load", "train"): "leave it out: bh.data.load returns the training set and the one held out",
    ("predict", "verbose"): "leave it out: it prints nothing",
    ("evaluate", "verbose"): "leave it out: it prints nothing",
    ("evaluate", "batch_size"): "leave it out: the size of a batch changes no result",
    **dict.fromkeys(
        (("softmax", "dim"), ("softmax", "axis"), ("Softmax", "dim"), ("Softmax", "axis")),
        "leave it out: it is over the last axis",
    ),
    **dict.fromkeys(
        (("compile", "optimizer"), ("compile", "loss"), ("compile", "metrics"), ("compile", "run_eagerly")),
        COMPILED,
    ),
    **dict.fromkeys((("compile", "backend"), ("compile", "mode"), ("compile", "fullgraph")), "leave it out"),
    ("OneCycle", "max_lr"): "the optimizer has it: bh.SGD(lr=0.1) is the peak",
    (
        "LayerNorm",
        "normalized_shape",
    ): "leave it out: it is over the last axis, the channels; axes=3 takes height and width too",
    ("BatchNorm", "axis"): "leave it out: it is over all axes but the last, the channels",
    ("Sequential", "name"): "a layer has a name: nn.Conv2d(8, 3, name='stem')",
}

# Calls with more values by position than there are places for, or without one that they need.
POSITIONS: dict[str, str] = {
    "Model": "write nn.Model(nn.Input(28, 28, 1), nn.Sequential(...))",
    "Input": "write nn.Input(height, width, channels)",
    "Trainer": "write bh.Trainer(model, bh.SGD(lr=0.1))",
    "Trainer.step": "write trainer.step(images, labels)",
    "Model.compile": COMPILED,
    "Model.fit": "give others by name: epochs=5, batch_size=64",
    "Conv2d": "the input's channels are read from the input: nn.Conv2d(filters, kernel, stride=2)",
    "ConvTranspose2d": "the input's channels are read from the input: nn.ConvTranspose2d(filters, kernel, stride=2)",
    "Linear": "the size of the input is read from the input: nn.Linear(units)",
    "BatchNorm": "the number of channels is read from the input: nn.BatchNorm()",
    "LayerNorm": "the size is read from the input: nn.LayerNorm(), over the channels; axes=3 takes height and width too",
    "ReLU": "leave it out: inplace changes no result",
    "pretrained": "write bh.models.pretrained('efficientnet_lite0').replace_head(classes)",
    **dict.fromkeys(("SGD", "Adam", "AdamW", "RMSprop", "Muon"), "the Trainer gives the optimizer its parameters"),
    "Dataset": "write bh.data.Dataset(images, labels, classes)",
    "Augment": "write bh.data.Augment(flip=True, rotate=10)",
}
