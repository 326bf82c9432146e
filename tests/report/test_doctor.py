"""The doctor: each finding on a training that has the fault, and none on a healthy one."""

import dataclasses
from functools import cache

import numpy as np
import pytest

import byhand as bh
from byhand import nn
from byhand.data import Dataset
from byhand.ops import REGISTRY
from byhand.report import doctor
from byhand.report.diagnosis_input import DiagnosisInput, Finding, percent
from byhand.report.doctor import diagnose, examine, registered_checks, registry
from byhand.report.doctor.gradient_flow import RELUS, WEIGHTED_OPS, gradient_to_weight_ratios
from byhand.report.doctor.registry import STAGES

NAMES = ("ant", "bee", "cat", "dog")


def spots(images=400, seed=0, noise=40.0):
    """Return images of four classes, each a pattern in noise, class after class in turn."""
    rng = np.random.default_rng(seed)
    pattern = np.random.default_rng(99).integers(40, 215, (4, 8, 8, 1))
    labels = np.arange(images) % 4
    pixels = np.clip(pattern[labels] + rng.normal(0, noise, (images, 8, 8, 1)), 0, 255)
    return Dataset(pixels.astype(np.uint8), labels, NAMES, "spots")


def network(*layers, mean=0.5, std=0.25, size=8):
    x = nn.Input(size, size, 1)
    return nn.Model(x, nn.Sequential(nn.Flatten(), *layers, nn.Linear(4)), classes=NAMES, mean=mean, std=std)


def hidden(units=32):
    return nn.Linear(units), nn.ReLU()


def trained(model, train=None, test=None, lr=0.05, epochs=6, momentum=0.9):
    """Train; return the DiagnosisInput."""
    train, test = train or spots(), test or spots(1000, seed=1)
    trainer = bh.Trainer(model, bh.SGD(lr, momentum=momentum), batch_size=20)
    trainer.fit(train, test, epochs=epochs, quiet=True)
    return DiagnosisInput(model, test, model.logits_of(test.images), trainer.history, trainer.curve, train)


def found(inputs):
    """Return the findings by name."""
    return {finding.name: finding for finding in diagnose(inputs).findings}


@cache
def healthy():
    return trained(network(*hidden(), *hidden()))


# Healthy trainings ----------------------------------------------------------------------------------------------------


def test_a_healthy_training_has_nothing_to_complain_of():
    diagnosis = diagnose(healthy())
    assert (
        diagnosis.findings == []
        and diagnosis.skipped == {}
        and diagnosis.passed == [check.name for check in registered_checks()]
    )
    assert str(diagnosis) == f"no problems found by {len(registered_checks())} checks"
    inputs = healthy()
    assert examine(inputs.model, inputs.held_out, inputs.logits, history=inputs.history, train=inputs.train) == []


def test_a_training_of_lenet5_on_mnist_is_healthy():
    train, test = bh.data.load("mnist")
    train, test = train.take(3000), test.take(1000)
    model = bh.models.create("lenet5")
    trainer = bh.Trainer(model, bh.SGD(0.1, momentum=0.9), schedule=bh.OneCycle())
    trainer.fit(train, test, epochs=3, quiet=True)
    diagnosis = diagnose(
        DiagnosisInput(model, test, model.logits_of(test.images), trainer.history, trainer.curve, train)
    )
    assert not [finding for finding in diagnosis.findings if finding.severity != "note"], str(diagnosis)


def test_skipped_checks_are_listed():
    inputs = dataclasses.replace(healthy(), train=None, history=(), curve=())
    diagnosis = diagnose(inputs)
    assert diagnosis.findings == []
    assert set(diagnosis.skipped) == {
        "unstable loss",
        "small training set",
        "overfitting",
        "underfitting",
        "still improving",
    }
    assert str(diagnosis).endswith(f"{len(registered_checks()) - 5} checks")


def test_the_model_and_the_data_stay_as_they_are():
    inputs = healthy()
    before = inputs.model.p.flat.copy(), inputs.logits.copy(), inputs.train.images.copy()
    diagnose(dataclasses.replace(inputs))
    for array, other in zip(before, (inputs.model.p.flat, inputs.logits, inputs.train.images)):
        assert np.array_equal(array, other)


def test_every_finding_has_its_evidence_in_numbers_and_a_cure():
    rng = np.random.default_rng(5)
    blank = Dataset(np.zeros((30, 8, 8, 1), np.uint8), rng.integers(0, 2, 30), NAMES)
    all_of_it = found(trained(network(*hidden(), std=255.0, mean=0.0), blank, blank, epochs=2))
    assert len(all_of_it) > 3
    for finding in all_of_it.values():
        assert any(letter.isdigit() for letter in finding.evidence) and len(finding.advice) > 20
        assert finding.severity in doctor.SEVERITIES
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding.name = "x"
    order = [doctor.SEVERITIES.index(finding.severity) for finding in all_of_it.values()]
    assert order == sorted(order), "what matters comes first"


# Activations and gradients --------------------------------------------------------------------------------------------


def test_dead_relus():
    model = network(*hidden(), *hidden())
    model.p.fc1_bias[...] = -100.0  # as a step that was too long leaves them
    inputs = trained(model, epochs=2)
    finding = found(inputs)["dead ReLUs"]
    assert (
        finding.severity == "serious"
        and "0 for all 64 images" in finding.evidence
        and "32 of 32 in relu1" in finding.evidence
    )
    assert not np.any(inputs.trace["grad_fc1_weight"]), "they really can't learn"
    model = network(*hidden(), *hidden())
    model.p.fc1_bias[:14] = -100.0  # 44 % of one layer
    finding = found(trained(model, epochs=4))["dead ReLUs"]
    assert (
        finding.severity == "warning"
        and "14 of 32 in relu1" in finding.evidence
        and "of all 64 units" in finding.evidence
    )


def test_relus_of_frozen_layers_are_left_out():
    pretrained = network(*hidden(), *hidden())
    pretrained.p.fc1_bias[...] = -100.0
    frozen = trained(pretrained.replace_head(NAMES), epochs=2)
    diagnosis = diagnose(frozen)
    assert "dead ReLUs" not in found(frozen)
    assert diagnosis.skipped["dead ReLUs"] == "the layers before the ReLUs are frozen"
    model = pretrained.replace_head(NAMES, unfreeze=1)
    name = next(name for name in vars(model.p) if name.endswith("bias"))
    vars(model.p)[name][...] = -100.0  # of the layer that is trained
    evidence = found(trained(model, epochs=2))["dead ReLUs"].evidence
    assert "32 of 32 in relu2" in evidence and "relu1" not in evidence


def test_a_channel_is_dead_only_if_it_is_nowhere_positive():
    def model(bias):
        x = nn.Input(8, 8, 1)
        y = nn.ReLU()(nn.Conv2d(4, 3, padding=1)(x))
        model = nn.Model(x, nn.Linear(4)(nn.Flatten()(y)), classes=NAMES, std=0.25)
        model.p.conv1_bias[:3] = bias
        return model

    assert "3 of 4 in relu1" in found(trained(model(-100.0), epochs=2))["dead ReLUs"].evidence
    assert "dead ReLUs" not in found(trained(model(0.0), epochs=2))


def test_few_images_say_nothing_about_relus():
    inputs = healthy()
    few = Dataset(inputs.train.images[:15], inputs.train.labels[:15], NAMES)
    assert diagnose(dataclasses.replace(inputs, train=few)).skipped["dead ReLUs"] == "fewer than 16 images"


def test_the_ops_that_are_checked_exist():
    """Every op that the checks look for has this name in the registry, and has weights where the check reads them."""
    assert set(RELUS) <= set(REGISTRY)
    assert all("weight" in REGISTRY[name].inputs for name in WEIGHTED_OPS)


def test_vanishing_gradients():
    sigmoids = [layer for _ in range(8) for layer in (nn.Linear(16, initializer="glorot"), nn.Sigmoid())]
    inputs = trained(network(*sigmoids), epochs=3)
    finding = found(inputs)["vanishing gradients"]
    assert (
        finding.severity == "serious"
        and "fc1, the first of 9 layers" in finding.evidence
        and "times per layer" in finding.evidence
    )
    first, *_, last = gradient_to_weight_ratios(inputs).values()
    assert first < 1e-3 * last
    relus = [layer for _ in range(8) for layer in hidden(16)]
    assert "vanishing gradients" not in found(trained(network(*relus), lr=0.01, epochs=3)), (
        "as deep, with ReLU and He's values"
    )


def test_exploding_gradients():
    def deep(factor):
        model = network(*(layer for _ in range(6) for layer in hidden()))
        model.p.flat[...] *= factor
        return trained(model, lr=1e-9, epochs=2)

    finding = found(deep(6.0))["exploding gradients"]
    assert finding.severity == "serious" and "clip_norm=1" in finding.advice
    assert "exploding gradients" not in found(deep(1.0))


def test_ratios_against_plain_formulas():
    inputs = healthy()
    data = inputs.train
    chosen = np.sort(np.random.default_rng(0).permutation(len(data))[:64])
    traced = inputs.model.trace(data.images[chosen], data.labels[chosen], hand="arrays")
    expected = {
        name: np.sqrt((traced[f"grad_{name}_weight"] ** 2).mean() / (traced[f"{name}_weight"] ** 2).mean())
        for name in ("fc1", "fc2", "fc3")
    }
    assert gradient_to_weight_ratios(inputs) == pytest.approx(expected, rel=1e-3)


def test_large_networks_are_traced_on_few_images():
    x = nn.Input(64, 64, 1)
    y = nn.ReLU()(nn.Conv2d(128, 3, padding=1)(x))
    model = nn.Model(x, nn.Linear(2)(nn.GlobalAvgPool2d()(y)))
    rng = np.random.default_rng(0)
    data = Dataset(rng.integers(0, 256, (80, 64, 64, 1), dtype=np.uint8), rng.integers(0, 2, 80), ("0", "1"))
    inputs = DiagnosisInput(model, data, model.logits_of(data.images))
    assert 2 <= len(inputs.trace["labels"]) < 16
    looked_at = [len(traced["relu1"]) for traced in inputs.activations()]
    assert len(looked_at) > 1 and 16 <= sum(looked_at) < 32 and len(set(looked_at)) == 1
    seen = np.concatenate([traced["images"][:, :2, :2].reshape(-1, 4) for traced in inputs.activations()])
    assert len(np.unique(seen, axis=0)) == len(seen), "each image once"
    assert sum(v.size for k, v in inputs.trace.items() if "relu" in k or "conv" in k) < 2**26


# Learning curves ------------------------------------------------------------------------------------------------------


def test_a_loss_stuck_at_ln_classes():
    inputs = trained(network(*hidden(), std=255.0, mean=0.0), lr=1e-6, epochs=3)
    finding = found(inputs)["loss stuck at ln(4)"]
    assert (
        finding.severity == "serious"
        and "ln 4 = 1.386" in finding.evidence
        and "nothing was learned" in finding.evidence
    )
    assert "underfitting" not in found(inputs), "said once"


def test_guessing_knows_how_frequent_classes_are():
    """With 90 % of one class, 0.325 is what guessing has: that loss is no success."""
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(400) < 0.9, 0, 1)
    data = Dataset(rng.integers(0, 256, (400, 8, 8, 1), dtype=np.uint8), labels, NAMES)
    fraction = (labels == 0).mean()
    inputs = trained(network(std=2.0), data, data, lr=0.01, epochs=3, momentum=0)
    assert inputs.chance_loss == pytest.approx(-fraction * np.log(fraction) - (1 - fraction) * np.log(1 - fraction))


def test_a_diverging_loss_is_diagnosed():
    train, test = spots(noise=120), spots(1000, seed=1, noise=120)
    first = trained(network(*hidden()), train, test, lr=0.02)
    again = trained(first.model, train, test, lr=2.0, epochs=3)  # a hundred times the rate
    history = [*first.history, *(row | {"epoch": row["epoch"] + 6} for row in again.history)]
    inputs = DiagnosisInput(again.model, test, again.logits, history, train=train)
    finding = found(inputs)["diverging training loss"]
    assert finding.severity == "serious" and f"ended at {history[-1]['loss']:.3f}" in finding.evidence
    assert "label noise" not in found(inputs), "a diverged network reports no label noise"
    calm = DiagnosisInput(first.model, test, first.logits, first.history, train=train)
    assert "diverging training loss" not in found(calm)


def test_a_loss_that_jumps():
    rng = np.random.default_rng(5)
    data = Dataset(rng.integers(0, 256, (100, 4, 4, 1), dtype=np.uint8), rng.integers(0, 4, 100), NAMES)
    finding = found(trained(network(size=4), data, data, lr=10.0, epochs=40))["unstable training loss"]
    assert "of 39 steps from one epoch to the next" in finding.evidence
    assert "unstable training loss" not in found(trained(network(size=4), data, data, lr=0.03, epochs=40))


def test_a_loss_is_read_from_the_curve_where_epochs_are_few():
    bouncing = [(i / 100, 2.0 if i // 10 % 2 else 0.5, 0.5) for i in range(100)]
    rows = [{"epoch": 1, "loss": 1.25, "accuracy": 0.5}]
    large = Dataset(np.repeat(spots().images, 20, 0), np.repeat(spots().labels, 20), NAMES)
    inputs = dataclasses.replace(healthy(), history=rows, curve=bouncing, train=large)
    assert inputs.training_losses == [0.5, 2.0] * 5
    assert "tenth of the training" in found(inputs)["unstable training loss"].evidence
    few = dataclasses.replace(inputs, train=spots())
    assert few.training_losses == [1.25], "a tenth of 400 images says nothing"


def test_overfitting():
    rng = np.random.default_rng(5)
    train, test = (
        Dataset(rng.integers(0, 256, (n, 8, 8, 1), dtype=np.uint8), rng.integers(0, 4, n), NAMES) for n in (60, 1000)
    )
    finding = found(trained(network(*hidden(64)), train, test, epochs=30))["overfitting"]
    assert (
        "the accuracy is 100.0% on training images" in finding.evidence
        and "loss was best after epoch" in finding.evidence
    )


def test_a_gap_within_chance_is_no_overfitting():
    """Of ten images eight right, where training has 100 %, says nothing yet."""
    rows = [{"epoch": 1, "loss": 0.01, "accuracy": 1.0, "val_loss": 0.2, "val_accuracy": 0.8}]
    test = spots(10, seed=3)
    logits = 5.0 * np.eye(4)[test.labels]
    logits[:2] = -logits[:2]
    inputs = DiagnosisInput(healthy().model, test, logits, rows)
    assert inputs.predictions.accuracy == 0.8 and "overfitting" not in found(inputs)
    many = spots(500, seed=3)
    logits = 5.0 * np.eye(4)[many.labels]
    logits[:100] = -logits[:100]
    assert (
        "80.0% on validation images"
        in found(DiagnosisInput(healthy().model, many, logits, rows))["overfitting"].evidence
    )


def test_underfitting_and_an_end_that_came_too_early():
    train, test = spots(2000, noise=90), spots(1000, seed=1, noise=90)
    both = found(trained(network(*hidden()), train, test, lr=0.0005, epochs=2, momentum=0))
    finding = both["underfitting"]
    assert "pseudo R² 0." in finding.evidence and finding.severity == "warning"
    finding = both["still improving"]
    assert finding.severity == "note" and finding.advice == "train longer: try 4 epochs"
    longer = found(trained(network(*hidden()), train, test, lr=0.02, epochs=8))
    assert not {"underfitting", "still improving"} & longer.keys()


# Images and labels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "std", "says"), [(0, 1 / 255, "serious"), (0, 255, "serious"), (0.5, 3, "warning")])
def test_a_wrong_input_scale(mean, std, says):
    finding = found(trained(network(*hidden(), mean=mean, std=std), lr=1e-6, epochs=1))["wrong input scale"]
    assert finding.severity == says and "expected about 0 and 1" in finding.evidence
    pixels = spots().images / 255
    assert f"mean={pixels.mean():.3f}"[:-1] in finding.advice and f"std={pixels.std():.3f}"[:-1] in finding.advice, (
        "what to set"
    )


@pytest.mark.parametrize(("mean", "std"), [(0.5, 1.0), (0.0, 1.0), (0.5, 0.25)])
def test_usual_input_scales_are_right(mean, std):
    assert "wrong input scale" not in found(trained(network(*hidden(), mean=mean, std=std), epochs=1))


def test_unscaled_float_images_are_diagnosed():
    train, test = (
        Dataset(dataset.images.astype(np.float32), dataset.labels, NAMES) for dataset in (spots(), spots(100, 1))
    )
    with pytest.warns(UserWarning, match="images in floating point go up to 255"):
        run = trained(network(*hidden()), train, test, lr=1e-6, epochs=1)
    finding = found(run)["wrong input scale"]
    assert "from 0 to 255" in finding.evidence and "floating point images bypass" in finding.advice


def test_images_of_one_color():
    train, test = spots(), spots(1000, seed=1)
    images = test.images.copy()
    images[5], images[77] = 0, 255
    test = Dataset(images, test.labels, NAMES)
    finding = found(trained(network(*hidden()), train, test))["blank images"]
    assert finding.evidence == "2 of 1,000 test images are one color all over"
    assert finding.images == (("evaluation", 5, "labeled bee"), ("evaluation", 77, "labeled bee"))


def test_rare_classes_and_what_they_lose():
    train = spots(noise=60)
    keep = (train.labels != 2) | (np.arange(400) < 12)
    train = Dataset(train.images[keep], train.labels[keep], NAMES)
    finding = found(trained(network(*hidden()), train, epochs=2))["class imbalance"]
    assert finding.severity == "warning"
    assert finding.evidence.startswith("'cat' has 3 training images, 'ant' has 100, 33 times as many; recall is")
    half = (spots().labels != 2) | (np.arange(400) < 200)
    train = Dataset(spots().images[half], spots().labels[half], NAMES)
    assert "class imbalance" not in found(trained(network(*hidden()), train)), "twice as many do no harm"


def test_classes_without_an_image():
    train = spots()
    keep = train.labels != 3
    inputs = trained(network(*hidden()), Dataset(train.images[keep], train.labels[keep], NAMES))
    finding = found(inputs)["classes without images"]
    assert finding.severity == "serious" and finding.evidence == "1 of 4 classes have no training image: 'dog'"


def test_classes_that_are_hardly_found():
    train, test = spots(), spots(1000, seed=1)
    hidden_away = np.where(train.labels == 3, 1, train.labels)  # who labeled took dogs for bees, save ten
    hidden_away[np.flatnonzero(train.labels == 3)[::10]] = 3
    findings = found(trained(network(*hidden()), Dataset(train.images, hidden_away, NAMES), test, epochs=2))
    said = findings["classes with low recall"].evidence
    assert said.endswith("predicted as 'bee'; the recall of 1 of 4 classes is below chance (25.0%)")
    assert "250 test images of 'dog' are recognized" in said


def test_labels_that_look_wrong_are_named():
    train, test = spots(), spots(1000, seed=1)
    wrong_train, wrong_test = train.labels.copy(), test.labels.copy()
    wrong_train[[3, 50, 77]] = (wrong_train[[3, 50, 77]] + 1) % 4
    wrong_test[[10, 20]] = (wrong_test[[10, 20]] + 2) % 4
    inputs = trained(
        network(*hidden()), Dataset(train.images, wrong_train, NAMES), Dataset(test.images, wrong_test, NAMES), epochs=3
    )
    finding = found(inputs)["label noise"]
    assert {i for kind, i, _ in finding.images if kind == "evaluation"} == {10, 20}
    assert {i for kind, i, _ in finding.images if kind == "training"} <= {3, 50, 77}
    says = next(says for kind, i, says in finding.images if (kind, i) == ("evaluation", 10))
    assert says.startswith("labeled ant (") and "looks like cat (" in says
    assert "2 of 1,000 test images" in finding.evidence


def test_few_images():
    train = spots(40, noise=90)
    bad = found(trained(network(*hidden()), train, spots(60, 1, noise=90), epochs=8, lr=0.01))
    assert bad["small training set"].evidence.startswith("40 training images are 10 per class")
    assert "of 60 test images are correct: the accuracy is between" in bad["small evaluation set"].evidence
    assert "small training set" not in found(trained(network(*hidden()), spots(40))), "they are enough if it works"


def test_images_of_one_class_alone():
    x = nn.Input(8, 8, 1)
    model = nn.Model(x, nn.Linear(2)(nn.Flatten()(x)), classes=("ant", "bee"))
    data = Dataset(spots(3).images, np.zeros(3, int), model.classes)
    inputs = DiagnosisInput(model, data, model.logits_of(data.images), train=data)
    assert "small evaluation set" in found(inputs)


def test_a_probability_that_is_not_quite_certain_does_not_look_it():
    assert [percent(fraction) for fraction in (0, 0.0004, 0.5, 0.9996, 1)] == ["0%", "<0.1%", "50.0%", ">99.9%", "100%"]
    assert percent(float("nan")) == "–"


def test_untrusted_names_stay_in_one_line():
    names = ("a\nb", "x" * 300, "\x1b[2J", "\u202edog")
    inputs = healthy()
    model = nn.Model(x := nn.Input(8, 8, 1), nn.Linear(4)(nn.Flatten()(x)), classes=names)
    logits = np.zeros((1000, 4))
    for finding in diagnose(DiagnosisInput(model, inputs.held_out, logits, inputs.history)).findings:
        assert isinstance(finding, Finding) and finding.evidence.isprintable() and len(finding.evidence) < 400


# The registry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", registered_checks(), ids=lambda check: check.name)
def test_every_check_is_documented_and_silent_about_a_healthy_training(check):
    assert check.stage in STAGES
    assert check.summary.endswith((".", ":")) and len(check.summary) > 20
    assert check.run(healthy()) is None


def test_causes_come_before_effects():
    stages = [STAGES.index(check.stage) for check in registered_checks()]
    assert stages == sorted(stages) and set(stages) == set(range(len(STAGES)))


def test_a_check_is_a_function_with_a_decorator(monkeypatch):
    monkeypatch.setattr(registry, "_CHECKS", dict(registry._CHECKS))

    @registry.check("grayscale", stage="input")
    def grayscale(inputs):
        """Say that the images are gray. Source: none."""
        return Finding(
            "gray images", "note", f"{len(inputs.held_out)} images have 1 channel", "color photos, if there are any"
        )

    assert "gray images" in found(healthy())
    with pytest.raises(bh.ArgumentError, match="the name 'grayscale' is taken"):
        registry.check("grayscale", stage="input")(grayscale)
    with pytest.raises(bh.ArgumentError, match="stage is 'attic'; expected one of input, gradients"):
        registry.check("attic", stage="attic")
    with pytest.raises(bh.ArgumentError, match="has no docstring"):
        registry.check("silent", stage="input")(lambda inputs: None)
