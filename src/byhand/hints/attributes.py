"""What to write in byhand for an attribute that PyTorch, Keras, fastai or scikit-learn has: a table for each kind of object."""

from byhand.hints.sentences import (
    BATCHES,
    CPU,
    EVALUATED,
    FROZEN,
    LAYERS,
    LOSSES,
    METRICS,
    NETWORK,
    PARAMETERS,
    SCHEDULES,
    SPLIT,
    TRAINED,
    TRANSFORMS,
    VISION,
    WEIGHTS,
)

# Attributes of byhand, byhand.nn, byhand.data and byhand.train, for which one of byhand's own stands.
MODULE_NAMES: dict[str, str] = {
    # layers
    "Dense": "write nn.Linear(units); an activation is a layer of its own: nn.ReLU()",
    "Conv2D": "write nn.Conv2d(filters, kernel)",
    "Convolution2D": "write nn.Conv2d(filters, kernel)",
    "Conv2DTranspose": "write nn.ConvTranspose2d(filters, kernel)",
    **dict.fromkeys(("Conv1d", "Conv1D"), "write nn.Conv2d(filters, (1, kernel)) on images of height 1"),
    **dict.fromkeys(("Conv3d", "Conv3D"), "byhand has convolutions of images only: nn.Conv2d(filters, kernel)"),
    "DepthwiseConv2D": "write nn.Conv2d(channels, kernel, groups=channels)",
    "SeparableConv2D": "write nn.Conv2d(channels, kernel, groups=channels), then nn.Conv2d(filters, 1)",
    "MaxPooling2D": "write nn.MaxPool2d(kernel)",
    "AveragePooling2D": "write nn.AvgPool2d(kernel)",
    "GlobalAveragePooling2D": "write nn.GlobalAvgPool2d()",
    "AdaptiveAvgPool2d": "write nn.GlobalAvgPool2d(), the mean of the whole image",
    **dict.fromkeys(
        ("GlobalMaxPooling2D", "AdaptiveMaxPool2d"),
        "write a function in nn.Sequential: lambda x: bh.reduce_max(x, axes=(1, 2))",
    ),
    "BatchNorm1d": "write nn.BatchNorm(); the number of channels is read from its input",
    "BatchNorm2d": "write nn.BatchNorm(); the number of channels is read from its input",
    "BatchNormalization": "write nn.BatchNorm()",
    **dict.fromkeys(
        ("GroupNorm", "InstanceNorm2d", "GroupNormalization"), "the norms are nn.BatchNorm() and nn.LayerNorm()"
    ),
    "LayerNormalization": "write nn.LayerNorm()",
    "LocalResponseNorm": "write nn.LRN()",
    **dict.fromkeys(("Dropout2d", "SpatialDropout2D"), "write nn.Dropout(rate)"),
    "Activation": "write the layer: nn.ReLU(), nn.Sigmoid(), nn.Tanh()",
    "Hardswish": "write nn.HardSwish()",
    "Hardsigmoid": "write nn.HardSigmoid()",
    "PReLU": "write nn.LeakyReLU(0.1)",
    "Mish": "write a function in nn.Sequential: lambda x: x * bh.tanh(bh.softplus(x))",
    "LogSoftmax": "leave it out: a network ends in logits, and the loss holds the softmax",
    "Identity": "leave it out, or write a function: lambda x: x",
    "Lambda": "write the function itself: nn.Sequential(nn.Flatten(), lambda x: bh.abs(x))",
    "Unflatten": "write nn.Reshape(height, width, channels)",
    "PixelShuffle": "write nn.Reshape and nn.Transpose",
    "Concatenate": "write nn.Concat()",
    "ZeroPad2d": "write nn.Pad2d()",
    "ZeroPadding2D": "write nn.Pad2d()",
    "UpSampling2D": "write nn.Upsample()",
    "Rescaling": "leave it out: uint8 images are scaled by the model's mean and std",
    "InputLayer": "write nn.Input(height, width, channels)",
    **dict.fromkeys(("LSTM", "GRU", "RNN", "Embedding", "Transformer"), "byhand has networks of images only"),
    "Sequential": "write nn.Sequential(...), and nn.Model(nn.Input(28, 28, 1), nn.Sequential(...)) for the network",
    "Module": "a network is nn.Model(nn.Input(28, 28, 1), nn.Sequential(...)); a block is a function of a tensor",
    "ModuleList": "keep the layers in a list, and call them on a tensor",
    "Parameter": "layers make their parameters; a learned number a channel is nn.Scale()",
    "DataParallel": "byhand uses all cores; several machines: mpiexec -n 4 python train.py",
    **dict.fromkeys(("functional", "F"), "the functions are bh.relu, bh.conv2d, bh.softmax, ..."),
    "layers": "the layers are in byhand.nn: nn.Conv2d, nn.Linear, nn.ReLU, ...",
    **dict.fromkeys(
        ("torch", "keras", "tf"), "the layers are in byhand.nn, the functions in byhand, the data in byhand.data"
    ),
    # losses, metrics, optimizers, schedules
    **dict.fromkeys(
        (
            *("CrossEntropyLoss", "NLLLoss", "MSELoss", "BCELoss", "BCEWithLogitsLoss", "losses"),
            *("CategoricalCrossentropy", "SparseCategoricalCrossentropy", "BinaryCrossentropy", "nll_loss"),
            *("CrossEntropyLossFlat", "LabelSmoothingCrossEntropy"),
        ),
        LOSSES,
    ),
    **dict.fromkeys(("metrics", "Accuracy", "error_rate"), METRICS),
    **dict.fromkeys(("accuracy", "accuracy_score", "classification_report"), EVALUATED),
    "confusion_matrix": "write byhand.report.confusion_matrix(labels, predicted, classes)",
    "callbacks": "fit(..., callbacks=[function]) takes functions of an epoch's row",
    "optimizers": "write bh.SGD(), bh.Adam(), bh.AdamW(), bh.RMSprop() or bh.Muon()",
    **dict.fromkeys(("Adagrad", "Adadelta", "Adamax", "Ftrl", "Rprop"), "write bh.RMSprop() or bh.Adam()"),
    **dict.fromkeys(("NAdam", "Nadam", "RAdam"), "write bh.Adam() or bh.SGD(momentum=0.9, nesterov=True)"),
    **dict.fromkeys(("LBFGS", "Lion", "Lamb"), "write bh.AdamW() or bh.Muon()"),
    **dict.fromkeys(
        (
            *("lr_scheduler", "schedules", "LambdaLR", "StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR"),
            *("OneCycleLR", "LinearLR", "CosineDecay", "ExponentialDecay", "PiecewiseConstantDecay"),
            "LearningRateScheduler",
        ),
        SCHEDULES,
    ),
    "ReduceLROnPlateau": "a schedule is a function of step or epoch: bh.Trainer(..., schedule=bh.Cosine())",
    "EarlyStopping": "write fit(..., validation=..., early_stopping=5)",
    **dict.fromkeys(
        ("ModelCheckpoint", "SaveModelCallback"),
        "write fit(..., validation=..., run=bh.Run('folder')): it keeps the best epoch's network",
    ),
    "TensorBoard": "write byhand.train.tensorboard.TensorBoard('folder'), one of fit's callbacks",
    "SummaryWriter": "write byhand.train.tensorboard.TensorBoard('folder'), one of fit's callbacks",
    "CSVLogger": "write fit(..., run=bh.Run('folder')): its log.csv has a line per epoch",
    **dict.fromkeys(
        ("GradScaler", "autocast", "amp"), "write bh.Trainer(..., precision='bf16'), which needs no scaling"
    ),
    # data
    **dict.fromkeys(("DataLoader", "ImageDataGenerator", "get_worker_info"), BATCHES),
    **dict.fromkeys(("ImageFolder", "image_dataset_from_directory"), "write train, test = bh.data.load('folder')"),
    "TensorDataset": "write bh.data.Dataset(images, labels, classes)",
    **dict.fromkeys(
        ("random_split", "train_test_split", "Subset", "StratifiedKFold", "KFold"),
        f"{SPLIT}; dataset.rows(indices) is a part of one",
    ),
    **dict.fromkeys(("MNIST", "load_data"), "write train, test = bh.data.load('mnist')"),
    **dict.fromkeys(
        ("CIFAR10", "CIFAR100", "FashionMNIST", "EMNIST", "ImageNet"),
        "byhand downloads nothing: train, test = bh.data.load('folder') reads a folder of images, IDX files or an .npz",
    ),
    "datasets": "write train, test = bh.data.load('mnist'), or a folder, an .npz, a table",
    **dict.fromkeys(
        (
            *("transforms", "Compose", "ToTensor", "Normalize", "RandomHorizontalFlip", "RandomRotation"),
            *("RandomCrop", "RandomResizedCrop", "ColorJitter", "RandomFlip", "aug_transforms", "get_transforms"),
        ),
        TRANSFORMS,
    ),
    **dict.fromkeys(
        ("to_categorical", "one_hot"), "integer labels are taken as they are; else np.eye(classes)[labels]"
    ),
    "LabelEncoder": "leave it out: labels may be class names; model.fit finds the classes",
    # arrays and automatic differentiation
    "tensor": "byhand works on NumPy arrays: write np.array(...)",
    "Tensor": "byhand works on NumPy arrays; nn.Input(...) gives the symbolic input of a network",
    "Variable": "byhand works on NumPy arrays; nn.Input(...) gives the symbolic input of a network",
    "from_numpy": "leave it out: byhand works on NumPy arrays",
    **dict.fromkeys(("no_grad", "inference_mode"), "leave it out: model.predict records nothing"),
    **dict.fromkeys(
        ("autograd", "grad", "backward", "GradientTape"),
        "model.trace(images, labels) gives every gradient; an op has its own: bh.conv2d.backward(...)",
    ),
    **dict.fromkeys(("matmul", "mm", "dot"), "write bh.linear(x, weight)"),
    **dict.fromkeys(("cat", "concatenate", "stack"), "write bh.concat([x, y], axis=-1)"),
    **{name: f"write bh.reduce_{name}(x, axes=...)" for name in ("mean", "sum", "max", "min", "prod")},
    # machine and randomness
    **dict.fromkeys(("device", "cuda", "backends", "mps", "set_default_device"), CPU),
    **dict.fromkeys(
        ("compile", "jit", "script", "InferenceSession"),
        "leave it out: a model's program is compiled when it first runs; model.compile(batch=1) is for inference",
    ),
    **dict.fromkeys(
        ("manual_seed", "set_seed", "seed", "random"),
        "write seed=...: bh.models.create(..., seed=0), bh.Trainer(..., seed=0)",
    ),
    "set_num_threads": "set the environment variable BYHAND_THREADS before byhand is imported",
    # models and files
    **dict.fromkeys(("save", "save_model"), "write model.save('digits.safetensors')"),
    "load_model": "write bh.load('digits.safetensors')",
    "load_state_dict": "write bh.load('digits.safetensors'), or model.load_state_dict(arrays)",
    **dict.fromkeys(("create_model", "get_model", "applications"), "write bh.models.create('resnet18')"),
    **dict.fromkeys(("list_models", "list"), "write bh.models.names()"),
    "fit": "write model.fit(images, labels), or a bh.Trainer",
    "summary": "write print(model.summary())",
    **dict.fromkeys(
        ("CNNClassifier", "MLPClassifier"),
        "write from byhand.sklearn import CNNClassifier (pip install 'byhand[sklearn]')",
    ),
    **dict.fromkeys(("vision_learner", "cnn_learner", "Learner", "load_learner"), VISION),
    **dict.fromkeys(("ImageDataLoaders", "DataBlock", "DataLoaders", "untar_data"), VISION),
}

# Attributes of a Model.
MODEL_NAMES: dict[str, str] = {
    "train": "model.fit(images, labels) or a bh.Trainer trains; there is no mode to switch: predict always infers",
    "training": "there is no mode to switch: predict always infers, a Trainer's step trains",
    **dict.fromkeys(("to", "cuda", "cpu", "device"), CPU),
    "float": "the type is set where a model is made: nn.Model(..., dtype=np.float32)",
    "double": "the type is set where a model is made: nn.Model(..., dtype=np.float64)",
    **dict.fromkeys(("float", "double", "type"), "parameters are float32 or float64: nn.Model(..., dtype=np.float32)"),
    **dict.fromkeys(
        ("half", "bfloat16"), "parameters stay float32: model.predict(images, precision='bf16') computes in bfloat16"
    ),
    **dict.fromkeys(
        ("optimizer", "loss", "loss_fn", "criterion"),
        "a Trainer holds optimizer and loss: model.fit(images, labels, optimizer=bh.Adam(), loss='cross_entropy')",
    ),
    "metrics": "write model.fit(images, labels, metrics={'name': function})",
    "history": "model.fit(...) returns a row per epoch",
    "stop_training": "a callback of fit that returns True ends the training",
    "predict_proba": "model.predict(images) gives the probability of each class",
    "predict_classes": "write model.predict(images).argmax(1)",
    "predict_on_batch": "write model.predict(images)",
    "predict_step": "write model.predict(images)",
    "train_on_batch": "write trainer = bh.Trainer(model, bh.SGD()), then trainer.step(images, labels)",
    "training_step": "write trainer = bh.Trainer(model, bh.SGD()), then trainer.step(images, labels)",
    "test_on_batch": "write model.evaluate(images, labels)",
    "validate": "write model.evaluate(images, labels)",
    "test": "write model.evaluate(images, labels)",
    "score": "write model.evaluate(images, labels)['accuracy']",
    **dict.fromkeys(("fit_generator", "fit_transform"), "write model.fit(images, labels)"),
    **dict.fromkeys(
        ("fit_one_cycle", "fine_tune"),
        "write model.fit(images, labels, epochs=5), one cycle by default; model.replace_head(classes) before it",
    ),
    "lr_find": "the command line finds it: byhand train DATA; model.fit has a default that suits AdamW",
    "show_results": "byhand train writes report.html with the mistakes",
    "forward": "write model(images), or model.logits_of(images)",
    "backward": "model.trace(images, labels) gives every gradient; a Trainer's step updates",
    "zero_grad": "leave it out: each step writes its gradients anew",
    **dict.fromkeys(("freeze", "requires_grad_", "requires_grad", "trainable", "freeze_to"), FROZEN),
    "unfreeze": "model.replace_head(classes, frozen=False) trains all layers; with_frozen returns a copy",
    **dict.fromkeys(("layers", "modules", "named_modules", "children", "named_children", "operations"), LAYERS),
    "get_layer": "model.trace(images)['conv1'] is a layer's output, model.parameters['conv1_weight'] its weight",
    "register_forward_hook": "model.trace(images)['conv1'] is a layer's output",
    **dict.fromkeys(("weights", "trainable_weights", "trainable_variables", "variables"), PARAMETERS),
    **dict.fromkeys(("buffers", "named_buffers"), "model.state holds the running statistics by name"),
    "get_weights": "write model.state_dict()",
    "set_weights": "write model.load_state_dict(arrays)",
    "save_weights": "write model.save('digits.safetensors')",
    **dict.fromkeys(("save_pretrained", "push_to_hub"), "write model.save('digits.safetensors')"),
    **dict.fromkeys(("load_weights", "load"), "write model.load_state_dict(arrays), or bh.load('digits.safetensors')"),
    "from_pretrained": "write bh.load('efficientnet_lite0'), or bh.load of a file",
    **dict.fromkeys(("export", "to_onnx"), "write byhand.onnx.save(model, 'model.onnx') after import byhand.onnx"),
    **dict.fromkeys(("to_json", "get_config", "to_yaml"), "model.save writes the graph and the weights to one file"),
    **dict.fromkeys(
        ("classifier", "fc", "head", "include_top"), "model.replace_head(classes) returns a model with a new last layer"
    ),
    "features": "write nn.Model(model.graph.input, tensor); model.trace(images) gives every layer's output",
    **dict.fromkeys(
        ("add", "append", "add_module"), "make a new network: nn.Model(nn.Input(...), nn.Sequential(model, ...))"
    ),
    "apply": "the initial values follow from seed=; model.load_state_dict(arrays) sets others",
    **dict.fromkeys(("count_params", "numel", "num_parameters"), "write model.parameter_count"),
    **dict.fromkeys(("input", "inputs"), "write model.graph.input"),
    "outputs": "write model.output",
    "output_shape": "write model.output.shape[1:]",
    "names": "write model.classes",
    "num_classes": "write len(model.classes)",
    **dict.fromkeys(("get_params", "set_params"), "byhand.sklearn.CNNClassifier is the estimator of scikit-learn"),
    "numpy": "write model.state_dict(): NumPy arrays by name",
    "share_memory": "each process opens the file: bh.load('digits.safetensors')",
}
# Attributes that a user may keep with a model; nothing would read the others.
FREE_NAMES = {"history", "metrics", "names", "device"}

# Attributes of layers and of nn.Sequential, which are descriptions of a network, without parameters.
LAYER_NAMES: dict[str, str] = {
    **dict.fromkeys(
        (
            *("fit", "predict", "evaluate", "summary", "compile", "state_dict", "parameters", "eval", "train", "to"),
            *("load_state_dict", "save", "named_parameters", "cuda", "forward", "output", "input"),
        ),
        NETWORK,
    ),
    **dict.fromkeys(("weight", "weights", "kernel", "get_weights", "bias"), WEIGHTS),
    **dict.fromkeys(("trainable", "requires_grad_", "freeze"), "write model = model.with_frozen('conv1')"),
    **dict.fromkeys(
        ("add", "append", "add_module"), "a Sequential is made of all of its layers: nn.Sequential(*layers)"
    ),
}

# Attributes of a CompiledModel.
COMPILED_NAMES: dict[str, str] = {
    **dict.fromkeys(
        ("fit", "evaluate", "p", "parameters", "state", "state_dict", "load_state_dict", "trace"),
        "it is for inference: the model that it was compiled from has it",
    ),
    "save": "write model.save('digits.safetensors'), of the model that it was compiled from",
    "run": "write compiled.predict(images), or compiled.logits_of(images)",
    "program": "print(compiled) shows it",
}

# Attributes of optimizers, which are hyperparameters.
OPTIMIZER_NAMES: dict[str, str] = {
    **dict.fromkeys(
        ("step", "minimize", "apply_gradients"),
        "a Trainer steps: bh.Trainer(model, bh.SGD(lr=0.1)).step(images, labels), or its fit",
    ),
    "zero_grad": "leave it out: each step writes its gradients anew",
    **dict.fromkeys(
        ("param_groups", "learning_rate", "defaults"), "the learning rate is optimizer.lr, which a schedule scales"
    ),
    **dict.fromkeys(("state_dict", "load_state_dict"), "trainer.save('checkpoint') keeps the optimizer's arrays too"),
}

# Attributes of a Trainer.
TRAINER_NAMES: dict[str, str] = {
    "train": "write trainer.fit(train, validation=..., epochs=5)",
    **dict.fromkeys(
        ("fit_one_cycle", "fine_tune"), "write bh.Trainer(..., schedule=bh.OneCycle()).fit(train, epochs=5)"
    ),
    "predict": "write trainer.model.predict(images)",
    **dict.fromkeys(("validate", "test", "score"), "write trainer.evaluate(test)"),
    **dict.fromkeys(("scheduler", "lr_scheduler"), "write trainer.schedule"),
    **dict.fromkeys(("zero_grad", "backward"), TRAINED),
    "train_step": "write trainer.step(images, labels)",
    "save_model": "write trainer.model.save('digits.safetensors')",
    "lr_find": "write byhand.train.lr_finder.find_learning_rate(trainer, train, steps=80)",
    "device": CPU,
}

# Attributes of a Dataset.
DATASET_NAMES: dict[str, str] = {
    **dict.fromkeys(("data", "x", "X", "image", "imgs", "samples"), "write dataset.images"),
    **dict.fromkeys(("targets", "y", "label", "target"), "write dataset.labels"),
    **dict.fromkeys(("class_to_idx", "class_names", "vocab", "c"), "write dataset.classes, the names in order"),
    **dict.fromkeys(("batch", "prefetch", "cache", "repeat", "shuffle"), BATCHES),
    **dict.fromkeys(("map", "transform", "augment"), TRANSFORMS),
    **dict.fromkeys(("split", "random_split", "train_test_split"), f"{SPLIT}; dataset.rows(indices) is a part of it"),
    **dict.fromkeys(("show", "show_batch", "plot"), "byhand data DATA draws a sheet of the images"),
    **dict.fromkeys(("head", "sample", "subset"), "write dataset.take(10), or dataset[indices]"),
    "size": "write len(dataset)",
}

# By the name of the class.
OBJECT_NAMES = {
    "CompiledModel": COMPILED_NAMES,
    "Optimizer": OPTIMIZER_NAMES,
    "Trainer": TRAINER_NAMES,
    "Dataset": DATASET_NAMES,
}
