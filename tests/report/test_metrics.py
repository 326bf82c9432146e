"""Metrics against scikit-learn, SciPy and their definitions as loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import byhand as bh
from byhand.report import confusion_matrix
from byhand.report import metrics as report_metrics
from byhand.report.metrics import (
    calibration,
    find_label_issues,
    most_uncertain,
    precision_recall_f1,
    predictions_of,
    wilson_interval,
    worst_mistakes,
)


def draw_logits(seed, images=200, classes=5, sure=2.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    logits = rng.standard_normal((images, classes)) * sure
    logits[np.arange(images), labels] += rng.choice([0.0, 3.0], images)
    return logits, labels


# Each image -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_image_against_scikit_learn(classes, dtype):
    metrics = pytest.importorskip("sklearn.metrics")
    logits, labels = draw_logits(0, classes=classes)
    logits = logits.astype(dtype)
    predictions = predictions_of(logits, labels)
    q = bh.softmax(logits.astype(np.float64), hand="loops")
    ordered = np.sort(q, 1)
    np.testing.assert_allclose(predictions.confidence, ordered[:, -1], rtol=1e-12)
    np.testing.assert_allclose(predictions.margin, ordered[:, -1] - ordered[:, -2], atol=1e-12)
    np.testing.assert_allclose(predictions.label_probability, q[np.arange(len(q)), labels], rtol=1e-12)
    assert predictions.predicted.tolist() == q.argmax(1).tolist()
    assert (q[np.arange(len(q)), predictions.runner_up] == ordered[:, -2]).all() and (
        predictions.runner_up != predictions.predicted
    ).all()
    assert predictions.loss.mean() == pytest.approx(metrics.log_loss(labels, q, labels=range(classes)), rel=1e-9)
    assert predictions.accuracy == metrics.accuracy_score(labels, predictions.predicted) == predictions.correct.mean()


def test_rows_are_judged_some_at_a_time(monkeypatch):
    logits, labels = draw_logits(1)
    whole, found = predictions_of(logits, labels), find_label_issues(logits, predictions_of(logits, labels))
    monkeypatch.setattr(report_metrics, "CHUNK_ELEMENTS", 35)  # seven rows
    parts = predictions_of(logits, labels)
    for name in vars(whole):
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name
    for expected, other in zip(found, find_label_issues(logits, parts)):
        assert np.array_equal(expected, other)


def test_wrong_metric_arguments_are_named():
    logits, labels = draw_logits(0)
    for logits_, labels_, says in (
        (logits[:, 0], labels, "expected \\(N, classes\\)"),
        (logits[:0], labels[:0], "expected \\(N, classes\\)"),
        (logits, labels[:3], "labels have the shape \\(3,\\); expected \\(200,\\)"),
        (logits, labels + 5, "there are 5 classes"),
        (np.where(logits > 3, np.nan, logits), labels, "NaN or infinity: the training diverged"),
    ):
        with pytest.raises(bh.ArgumentError, match=says):
            predictions_of(logits_, labels_)


def test_one_class_and_extreme_logits():
    predictions = predictions_of(np.array([[3.0], [-7.0]]), np.array([0, 0]))
    assert predictions.loss.tolist() == [0, 0] and predictions.margin.tolist() == [1, 1] and predictions.accuracy == 1
    assert not len(worst_mistakes(predictions, 5)) and not len(most_uncertain(predictions, 5))
    predictions = predictions_of(np.array([[1e4, -1e4, 0.0]], np.float32), np.array([1]))
    assert predictions.loss.tolist() == [2e4] and predictions.confidence.tolist() == [1]


def test_worst_are_wrong_and_uncertain_are_close():
    predictions = predictions_of(np.log([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.49, 0.51]]), np.array([1, 1, 1, 0]))
    assert worst_mistakes(predictions, 9).tolist() == [0, 2, 3] and worst_mistakes(predictions, 1).tolist() == [0]
    assert most_uncertain(predictions, 9).tolist() == [3, 2, 1, 0] and most_uncertain(predictions, 2).tolist() == [3, 2]


# Labels that look wrong -----------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32), classes=st.integers(2, 6))
def test_suspects_against_the_papers_definition(seed, classes):
    logits, labels = draw_logits(seed, 40, classes)
    q = bh.softmax(logits, hand="loops")
    threshold = [np.mean([q[n, j] for n in range(40) if labels[n] == j] or [np.inf]) for j in range(classes)]
    expected = {}
    for n in range(40):
        likely = [j for j in range(classes) if q[n, j] >= threshold[j] * (1 - 1e-12)]
        looks = max(likely, key=lambda j: q[n, j], default=labels[n])
        if looks != labels[n]:
            expected[n] = looks
    found, looks = find_label_issues(logits, predictions_of(logits, labels))
    assert dict(zip(found.tolist(), looks.tolist())) == expected
    losses = [-np.log(q[n, labels[n]]) for n in found]
    assert losses == sorted(losses, reverse=True)


def test_labels_that_were_changed_are_found():
    logits, labels = draw_logits(3, 500, 4, sure=0.5)
    logits[np.arange(500), labels] += 6
    changed = [7, 123, 400]
    labels[changed] = (labels[changed] + 1) % 4
    found, looks = find_label_issues(logits, predictions_of(logits, labels))
    assert sorted(found.tolist()) == changed
    assert looks.tolist() == ((labels[found] - 1) % 4).tolist()


# Each class -----------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32), classes=st.integers(2, 8), images=st.integers(1, 60))
def test_class_scores_against_scikit_learn(seed, classes, images):
    metrics = pytest.importorskip("sklearn.metrics")
    labels, taken = np.random.default_rng(seed).integers(0, classes, (2, images))
    mine = precision_recall_f1(confusion_matrix(labels, taken, classes))
    theirs = metrics.precision_recall_fscore_support(labels, taken, labels=range(classes), zero_division=np.nan)
    for name, expected in zip(("precision", "recall", "f1", "support"), theirs):
        np.testing.assert_allclose(getattr(mine, name), expected, rtol=1e-12, err_msg=name)


# Calibration ----------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32), bins=st.integers(1, 20))
def test_calibration_error_against_the_papers_sum(seed, bins):
    rng = np.random.default_rng(seed)
    confidence, right = rng.random(100), rng.random(100) < 0.6
    found, error = calibration(confidence, right, bins), 0.0
    for m in range(1, bins + 1):
        inside = [n for n in range(100) if (m - 1) / bins < confidence[n] <= m / bins]
        assert found.count[m - 1] == len(inside)
        if inside:
            acc, conf = np.mean(right[inside]), np.mean(confidence[inside])
            assert (found.accuracy[m - 1], found.confidence[m - 1]) == pytest.approx((acc, conf))
            error += len(inside) / 100 * abs(acc - conf)
    assert found.error == pytest.approx(error, abs=1e-9)
    assert found.overconfidence == pytest.approx(confidence.mean() - right.mean())


def test_calibration_against_scikit_learn():
    curve = pytest.importorskip("sklearn.calibration").calibration_curve
    rng = np.random.default_rng(0)
    confidence = rng.beta(4, 2, 5000)
    right = rng.random(5000) < confidence**2
    found = calibration(confidence, right)
    part, mean = curve(right, confidence, n_bins=15)
    held = found.count > 0
    np.testing.assert_allclose(found.accuracy[held], part)
    np.testing.assert_allclose(found.confidence[held], mean)
    assert found.error > 0.1 and found.overconfidence > 0.1
    assert calibration(confidence, rng.random(5000) < confidence).error < 0.03, "who keeps his word"


def test_calibration_of_the_ends_and_of_nothing():
    found = calibration(np.array([0.0, 1.0, 1.0]), np.array([False, True, True]))
    assert (found.count[0], found.count[-1], found.error) == (1, 2, 0)
    for confidence, right in (([], []), ([0.5], [True, False])):
        with pytest.raises(bh.ArgumentError, match="expected as many"):
            calibration(np.array(confidence), np.array(right))


@given(images=st.integers(1, 20000), part=st.floats(0, 1))
def test_interval_against_scipy(images, part):
    stats = pytest.importorskip("scipy.stats")
    right = round(part * images)
    expected = stats.binomtest(right, images).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, images) == pytest.approx((expected.low, expected.high), abs=1e-6)
