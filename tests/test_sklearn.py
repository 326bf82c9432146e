"""CNNClassifier: scikit-learn's checks, pipelines, searches and image inputs."""

import copy
import pickle
import signal
import subprocess
import sys
import warnings
from functools import partial

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import byhand as bh
from byhand import nn
from byhand.data.stratified_split import stratified_split
from byhand.kernels.runtime.cpu import vector_unit
from byhand.sklearn import CNNClassifier

DIGITS = load_digits()
PIXELS = (DIGITS.images * 15).astype(np.uint8)  # 0 to 240
FIRST_IMAGES = slice(300)
TEST = slice(300, 600)


def quick_classifier(**settings):
    return CNNClassifier(**{"random_state": 0, "max_iter": 3} | settings)


def fitted(images=PIXELS, **settings):
    return quick_classifier(**settings).fit(images[FIRST_IMAGES], DIGITS.target[FIRST_IMAGES])


@parametrize_with_checks([CNNClassifier(), CNNClassifier(early_stopping=True)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.skipif(not vector_unit().bfloat16, reason="this CPU has no bfloat16")
def test_precision_is_that_of_fit_and_of_predict():
    half, whole = fitted(precision="bf16"), fitted()
    assert (half.predict(PIXELS[TEST]) == whole.predict(PIXELS[TEST])).mean() > 0.9
    assert not np.array_equal(half.predict_proba(PIXELS[TEST]), whole.predict_proba(PIXELS[TEST]))
    assert not np.array_equal(
        half.predict_proba(PIXELS[TEST]), half.set_params(precision="float32").predict_proba(PIXELS[TEST])
    )


# accuracy, pipelines and searches -------------------------------------------------------------------------------------


def test_the_defaults_read_digits_in_cross_validation():
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(CNNClassifier(random_state=0), DIGITS.images, DIGITS.target, cv=folds)
    assert scores.mean() >= 0.98


def test_the_defaults_read_mnist():
    train, test = bh.data.load("mnist")
    classifier = CNNClassifier(random_state=0).fit(train.images[:1000], train.labels[:1000])
    assert classifier.score(test.images[:1000], test.labels[:1000]) > 0.95
    assert classifier.model_.name == "tiny"


def test_the_defaults_tell_wines_from_their_features():
    wine = load_wine()
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    assert cross_val_score(CNNClassifier(random_state=0), wine.data, wine.target, cv=folds).mean() > 0.95


def test_in_a_pipeline_rows_are_scaled_or_made_images():
    scaled = make_pipeline(StandardScaler(), quick_classifier()).fit(
        DIGITS.data[FIRST_IMAGES], DIGITS.target[FIRST_IMAGES]
    )
    assert scaled.score(DIGITS.data[TEST], DIGITS.target[TEST]) > 0.8
    assert scaled[-1].image_shape_ == (8, 8, 1)
    images = FunctionTransformer(lambda rows: rows.reshape(-1, 8, 8, 1))
    shaped = make_pipeline(images, quick_classifier()).fit(DIGITS.data[FIRST_IMAGES], DIGITS.target[FIRST_IMAGES])
    assert shaped.score(DIGITS.data[TEST], DIGITS.target[TEST]) > 0.8


def test_a_grid_search_in_two_processes_finds_the_rate_that_learns():
    search = GridSearchCV(quick_classifier(), {"learning_rate_init": [1e-6, 0.01]}, cv=2, n_jobs=2, error_score="raise")
    search.fit(PIXELS[FIRST_IMAGES], DIGITS.target[FIRST_IMAGES])
    worse, better = search.cv_results_["mean_test_score"]
    assert search.best_params_ == {"learning_rate_init": 0.01} and worse < 0.3 and better > 0.7
    alone = clone(search.best_estimator_).fit(PIXELS[FIRST_IMAGES], DIGITS.target[FIRST_IMAGES])
    assert (search.predict(PIXELS[TEST]) == alone.predict(PIXELS[TEST])).all()


# attributes after fit -------------------------------------------------------------------------------------------------


def test_a_curve_has_a_loss_an_epoch():
    classifier = fitted(max_iter=5)
    assert classifier.n_iter_ == len(classifier.loss_curve_) == 5
    assert classifier.loss_ == classifier.loss_curve_[-1] < classifier.loss_curve_[0] / 2
    assert classifier.validation_scores_ is None and classifier.best_validation_score_ is None


def test_early_stopping_ends_early_and_keeps_the_best_epoch():
    classifier = fitted(early_stopping=True, max_iter=100, n_iter_no_change=3, validation_fraction=0.2)
    scores = classifier.validation_scores_
    assert len(scores) == len(classifier.loss_curve_) == classifier.n_iter_ < 100
    assert classifier.best_validation_score_ == max(scores) > 0.8
    assert max(scores[-3:]) <= max(scores[:-3])  # three epochs in a row did no better
    seed = np.random.RandomState(0).randint(2**31 - 1)
    _, aside = stratified_split(DIGITS.target[FIRST_IMAGES], 0.2, seed)
    assert len(aside) == 60
    assert classifier.score(PIXELS[aside], DIGITS.target[aside]) == max(scores)


@pytest.mark.parametrize("kind", [str, object, np.float64, np.uint8, bool])
def test_labels_of_any_type_come_back(kind):
    words = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    few = DIGITS.target < 2 if kind is bool else DIGITS.target < 10
    images, numbers = PIXELS[few], DIGITS.target[few]
    labels = words[numbers].astype(kind) if kind in (str, object) else numbers.astype(kind)
    classifier = quick_classifier().fit(images[FIRST_IMAGES], labels[FIRST_IMAGES])
    got = classifier.predict(images[TEST])
    assert got.dtype == classifier.classes_.dtype == labels.dtype
    assert accuracy_score(labels[TEST], got) == classifier.score(images[TEST], labels[TEST]) > 0.8
    assert classifier.classes_.tolist() == sorted(set(labels.tolist()))
    assert classifier.model_.classes == tuple(map(str, classifier.classes_.tolist()))


def test_probabilities_are_of_the_classes_in_order():
    classifier = fitted()
    probabilities = classifier.predict_proba(PIXELS[TEST])
    assert probabilities.shape == (300, 10) and probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-12)
    assert (classifier.classes_[probabilities.argmax(1)] == classifier.predict(PIXELS[TEST])).all()


@pytest.mark.parametrize("images", [PIXELS, DIGITS.images], ids=["uint8", "float"])
def test_the_network_is_saved_whole(images, tmp_path):
    """Whoever loads it need not know of the scaling."""
    classifier = fitted(images)
    classifier.model_.save(tmp_path / "digits.safetensors")
    loaded = bh.load(tmp_path / "digits.safetensors").predict(images[TEST][..., None])
    np.testing.assert_allclose(loaded, classifier.predict_proba(images[TEST]), atol=1e-6)
    assert (loaded.argmax(1) == classifier.predict(images[TEST])).all()


def by_pickle(classifier, folder):
    return pickle.loads(pickle.dumps(classifier))


def by_joblib(classifier, folder):
    joblib.dump(classifier, folder / "it.joblib")
    return joblib.load(folder / "it.joblib")


def by_copy(classifier, folder):
    return copy.deepcopy(classifier)


@pytest.mark.parametrize("way", [by_pickle, by_joblib, by_copy])
def test_a_copy_predicts_the_same_and_holds_no_programs(way, tmp_path):
    classifier = fitted(early_stopping=True)
    expected = classifier.predict_proba(PIXELS[TEST])
    assert classifier.model_._programs
    other = way(classifier, tmp_path)
    assert not other.model_._programs and classifier.model_._programs
    assert (other.predict_proba(PIXELS[TEST]) == expected).all()
    assert other.get_params() == classifier.get_params() and other.loss_curve_ == classifier.loss_curve_
    other.model_.p.flat[...] = 0  # still one buffer
    np.testing.assert_allclose(other.predict_proba(PIXELS[TEST]), 0.1)
    assert (classifier.predict_proba(PIXELS[TEST]) == expected).all()


def test_parameters_are_got_set_and_cloned():
    classifier = CNNClassifier("lenet5", batch_size=8, augment=bh.data.Augment(flip=True))
    assert classifier.get_params()["model"] == "lenet5"
    other = clone(classifier.set_params(max_iter=7))
    assert other.get_params() == classifier.get_params() and other.max_iter == 7
    assert clone(fitted()).fit(PIXELS[FIRST_IMAGES], DIGITS.target[FIRST_IMAGES]).loss_curve_ == fitted().loss_curve_
    with pytest.raises(NotFittedError):
        other.predict(PIXELS)


def test_an_int_gives_the_same_network_and_a_generator_goes_on():
    assert fitted().loss_curve_ == fitted().loss_curve_ != fitted(random_state=1).loss_curve_
    generator = np.random.RandomState(0)
    first, second = (fitted(random_state=generator).loss_curve_ for _ in range(2))
    assert first == fitted().loss_curve_ != second  # the generator's first draw is that of the int


def test_the_first_weights_come_from_the_random_state():
    zero, again, other = (fitted(random_state=seed, learning_rate_init=0).model_.p.flat for seed in (0, 0, 1))
    assert (zero == again).all() and (zero != other).any()


# input shapes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "settings", "expected"),
    [
        ((12, 10), {}, (12, 10, 1)),
        ((12, 10, 3), {}, (12, 10, 3)),
        ((64,), {}, (8, 8, 1)),
        ((49,), {}, (1, 1, 49)),  # too small to be taken for an image
        ((65,), {}, (1, 1, 65)),
        ((64,), {"image_shape": (1, 1, 64)}, (1, 1, 64)),
        ((49,), {"image_shape": (7, 7)}, (7, 7, 1)),
        ((300,), {"image_shape": [10, 10, 3]}, (10, 10, 3)),
        ((40,), {"image_shape": (1, 40)}, (1, 40, 1)),
        ((6, 6), {"image_shape": (6, 6)}, (6, 6, 1)),
        ((1,), {}, (1, 1, 1)),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_input_shapes_that_are_images(shape, settings, expected, dtype):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    X = (rng.integers(0, 60, (40, *shape)) + 120 * labels.reshape(-1, *[1] * len(shape))).astype(dtype)
    classifier = quick_classifier(max_iter=10, **settings).fit(X, labels)
    assert classifier.image_shape_ == classifier.model_.input_shape == expected
    assert classifier.n_features_in_ == np.prod(shape)
    assert classifier.score(X, labels) == 1
    rows = X.reshape(40, -1)
    np.testing.assert_allclose(classifier.predict_proba(rows), classifier.predict_proba(X), atol=1e-12)
    np.testing.assert_allclose(classifier.predict_proba(rows[:1]), classifier.predict_proba(X[:1]), atol=1e-12)


@pytest.mark.parametrize("there", [np.uint8, np.float64])
@pytest.mark.parametrize("here", [np.uint8, np.float32, np.int64])
def test_the_same_numbers_are_the_same_images_in_any_type(there, here):
    classifier = fitted(PIXELS.astype(there))
    expected = classifier.predict_proba(PIXELS[TEST].astype(there))
    np.testing.assert_allclose(classifier.predict_proba(PIXELS[TEST].astype(here)), expected, atol=1e-5)
    np.testing.assert_allclose(classifier.predict_proba(PIXELS[TEST].astype(here).tolist()), expected, atol=1e-5)


def test_features_are_standardized_inside_as_scikit_learn_does_it():
    wine = load_wine()
    classifier = quick_classifier().fit(wine.data, wine.target)
    inside = classifier.model_.trace(wine.data.reshape(-1, 1, 1, 13))["standardize"]
    np.testing.assert_allclose(inside.reshape(-1, 13), StandardScaler().fit_transform(wine.data), atol=1e-4)


@pytest.mark.parametrize("noise", [0, 1e-7])
def test_a_channel_that_never_changed_does_no_harm(noise):
    """Rounding is no change; blown up to a variance of 1, it would drown the rest."""
    still = 7 * (1 + noise * np.random.default_rng(0).standard_normal(DIGITS.images.shape))
    classifier = fitted(np.stack([DIGITS.images, still], 3))
    assert classifier.score(np.stack([DIGITS.images, still + 1e-3], 3)[TEST], DIGITS.target[TEST]) > 0.8


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_features_may_be_of_any_size(scale):
    wine = load_wine()
    sizes = [quick_classifier().fit(wine.data * factor, wine.target).loss_curve_ for factor in (1, scale)]
    np.testing.assert_allclose(*sizes, rtol=1e-3)


def test_an_epoch_may_leave_one_image_over():
    """Alone in a batch, its batch norms would know no variance."""
    assert quick_classifier(model="tiny", batch_size=16).fit(PIXELS[:17], DIGITS.target[:17]).n_iter_ == 3


def one_layer(images, classes):
    return nn.Linear(classes)(nn.Flatten()(images))


def test_the_network_may_be_a_name_or_a_function():
    assert fitted(model=one_layer).model_.parameter_count == 8 * 8 * 10 + 10
    assert fitted(model=one_layer).model_.name == "one_layer"
    assert fitted(model=partial(one_layer)).model_.name == "cnn"
    large = np.repeat(np.repeat(PIXELS[FIRST_IMAGES], 4, 1), 4, 2)
    assert quick_classifier(model="lenet5", max_iter=1).fit(large, DIGITS.target[FIRST_IMAGES]).model_.name == "lenet5"


def test_images_are_varied_while_training():
    curves = [fitted(augment=augment).loss_curve_ for augment in ("none", "shift=2", bh.data.Augment(shift=2))]
    assert curves[0] != curves[1] == curves[2]


def test_verbose_prints_each_epoch(capsys):
    fitted()
    assert capsys.readouterr().out == ""
    fitted(verbose=True)
    assert capsys.readouterr().out.count("epoch ") == 3


# errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_shape": (4, 4)}, r"image_shape is \(4, 4\), but X has the shape \(300, 8, 8\)"),
        ({"image_shape": 64}, r"image_shape is 64; expected \(H, W\) or \(H, W, C\)"),
        ({"image_shape": (8, -8)}, "image_shape is -8; expected a whole number, 1 or more"),
        ({"max_iter": 0}, "max_iter is 0; expected a whole number, 1 or more"),
        ({"batch_size": "all"}, "batch_size is 'all'; expected a whole number"),
        ({"learning_rate_init": -1}, "learning_rate_init is -1; expected a number, 0 or more"),
        ({"early_stopping": True, "n_iter_no_change": 0}, "n_iter_no_change is 0; expected a whole number"),
        (
            {"early_stopping": True, "validation_fraction": 1},
            "validation_fraction is 1; expected a number, from 0 up to 1",
        ),
        ({"early_stopping": True, "validation_fraction": 0}, "validation_fraction 0 of 300 images is none"),
        ({"model": 5}, r"model is 5; expected a name or a function \(images, classes\) -> logits"),
        ({"model": "lenet5"}, "use a smaller kernel"),
        ({"augment": 5}, "augment is 5; expected a bh.data.Augment"),
        ({"augment": "shift=9"}, "shift is 9 pixels, but the images have 8 x 8"),
        ({"random_state": "x"}, "'x' cannot be used to seed"),
        ({"precision": "fp16"}, "there is no precision 'fp16'; write bf16"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message) as told:
        fitted(**settings)
    assert "\n" not in str(told.value)


def test_an_unknown_network_name_is_refused():
    with pytest.raises(bh.UnknownNameError, match="there is no model 'smal'; did you mean 'small'"):
        fitted(model="smal")
    with pytest.raises(bh.ArgumentError, match=r"augment is shift=2, which is for uint8; X holds float32"):
        fitted(DIGITS.images, augment="shift=2")


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((2, 8, 9), np.uint8), r"X holds images of \(8, 9\); expected \(8, 8, 1\), as in fit"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"X holds images of \(8, 8, 3\); expected \(8, 8, 1\), as in fit"),
        (np.zeros((2, 8, 8, 1, 1), np.uint8), r"X holds images of \(8, 8, 1, 1\); expected"),
        (PIXELS[0], r"X has the shape \(8, 8\); for one image, give X\[None\]"),
        (np.zeros((2, 63), np.uint8), "X has 63 features, but CNNClassifier is expecting 64"),
        (np.full((2, 8, 8), np.nan), "Input X contains NaN"),
        (np.zeros((0, 8, 8)), r"Found array with 0 sample\(s\)"),
    ],
)
def test_images_that_do_not_fit_the_network(X, message):
    with pytest.raises(ValueError, match=message):
        fitted().predict(X)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (PIXELS[:4], [1, 1, 1, 1], "y has 1 class, 1; expected two or more"),
        (PIXELS[:4], [0, 1, 0], "inconsistent numbers of samples"),
        (PIXELS[:4], [0.5, 1.7, 0.1, 3], "Unknown label type: continuous"),
        (
            PIXELS[:4].reshape(4, 2, 2, 2, 8),
            [0, 1, 0, 1],
            r"X has the shape \(4, 2, 2, 2, 8\); expected \(N, H, W, C\)",
        ),
        (np.zeros((4, 8, 0)), [0, 1, 0, 1], r"X has the shape \(4, 8, 0\); expected"),
    ],
)
def test_unusable_images_and_labels_are_refused(X, y, message):
    with pytest.raises(ValueError, match=message):
        quick_classifier().fit(X, y)


def test_a_diverging_learning_rate_is_reported():
    with pytest.raises(bh.DivergedError, match="is too large for this network"), np.errstate(all="ignore"):
        fitted(model=one_layer, learning_rate_init=1e38)


def test_ctrl_c_leaves_a_network_and_goes_on_up(monkeypatch):
    """So that a search ends, and what was learned is there."""
    evaluate = bh.Trainer.evaluate

    def interrupted(trainer, data):
        signal.raise_signal(signal.SIGINT)
        return evaluate(trainer, data)

    monkeypatch.setattr(bh.Trainer, "evaluate", interrupted)
    classifier = quick_classifier(early_stopping=True, max_iter=50)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(PIXELS[FIRST_IMAGES], DIGITS.target[FIRST_IMAGES])
    assert classifier.n_iter_ == 1 and classifier.predict(PIXELS[TEST]).shape == (300,)


# imports --------------------------------------------------------------------------------------------------------------


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_import_byhand_brings_no_scikit_learn():
    done = python("import sys, byhand, byhand.cli; print('sklearn' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


def test_without_scikit_learn_it_says_what_to_install():
    done = python("import sys; sys.modules['sklearn'] = None; import byhand; import byhand.sklearn")
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: byhand.sklearn needs scikit-learn: run  pip install 'byhand[sklearn]'"
    )


def test_a_builder_returns_logits():
    def build(x, classes):
        return nn.Sigmoid()(nn.Linear(classes)(nn.Flatten()(x)))

    with pytest.raises(bh.ArgumentError, match="build returns labels after sigmoid; return the logits"):
        CNNClassifier(build, max_iter=1).fit(np.zeros((4, 8, 8), np.float32), [0, 1, 2, 0])


@pytest.mark.parametrize(("fitted", "given"), [(1, 255), (255, 1), (16, 1), (np.uint8(255), 1)])
def test_images_of_another_scale_are_told(fitted, given):
    rng, y = np.random.default_rng(0), np.arange(8) % 2
    X = rng.random((8, 8, 8))
    X_fitted = (X * fitted).astype(np.uint8 if isinstance(fitted, np.uint8) else np.float32)
    network = CNNClassifier(max_iter=1, random_state=0).fit(X_fitted, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.predict(X_fitted)
    with pytest.warns(UserWarning, match="scale (it|them) alike"):
        network.predict((X * given).astype(np.float32))
