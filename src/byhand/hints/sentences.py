"""Sentences that several hints share."""

LOSSES = "a loss is a setting of the Trainer: bh.Trainer(model, bh.SGD(), loss='cross_entropy'), 'mse' or 'bce'"
BATCHES = "the Trainer makes the batches: bh.Trainer(model, bh.SGD(), batch_size=64).fit(train)"
TRANSFORMS = "the Trainer augments: bh.Trainer(..., augment=bh.data.Augment(flip=True)); uint8 images need no ToTensor"
CPU = "byhand computes on the CPU, with all of its cores: leave it out"
SCHEDULES = "bh.Trainer(..., schedule=bh.Cosine()), bh.OneCycle(), bh.StepDecay(), or a function of step or epoch"
METRICS = "bh.Trainer(..., metrics={'name': function}) takes functions of (labels, probabilities)"
EVALUATED = "write model.evaluate(images, labels), which returns loss and accuracy"
SPLIT = "write model.fit(images, labels, validation_fraction=0.2)"
VISION = (
    "write train, test = bh.data.load('folder'), and "
    "bh.models.pretrained('efficientnet_lite0').replace_head(train.classes).fit(train, validation=test)"
)
FROZEN = "write model = model.with_frozen('conv1'), with names or patterns of layers"
LAYERS = "print(model.summary()) lists the layers, model.parameters holds their weights by name"
PARAMETERS = "model.parameters holds the weights by name"
NETWORK = "make a network of the layers: nn.Model(nn.Input(28, 28, 1), layers)"
WEIGHTS = "a model holds the parameters: model.p.conv1_weight"
TRAINED = "trainer.step(images, labels) computes the gradients anew and updates"
COUNTED = "leave it out: it is read from the layer's input"
INITIAL = "write nn.Conv2d(filters, kernel, initializer='he'): a name of nn.INITIALIZERS, or a function of (rng, shape)"
COMPILED = (
    "compile is for inference; model.fit(images, labels, optimizer=bh.Adam(), loss='cross_entropy', metrics={}) trains"
)
