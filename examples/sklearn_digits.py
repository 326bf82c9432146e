"""Classify scikit-learn's digits with a convolutional network, inside scikit-learn: cross-validation and a grid search."""

import tempfile
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split

import byhand as bh
from byhand.sklearn import CNNClassifier

digits = load_digits()  # images (1797, 8, 8) with values from 0 to 16
network = CNNClassifier(max_iter=6, early_stopping=True, random_state=0)
scores = cross_val_score(network, digits.images, digits.target, cv=3)
print("accuracy in each of three folds:", *(f"{score:.1%}" for score in scores))

images, test, labels, truth = train_test_split(digits.images, digits.target, random_state=0, stratify=digits.target)
rates = {"learning_rate_init": [0.001, 0.01]}
search = GridSearchCV(network, rates, cv=2)
search.fit(images, labels)
best = search.best_estimator_
print(f"learning rate {best.learning_rate_init} is the better of two, after {best.n_iter_} epochs")
accuracy = search.score(test, truth)
print(f"accuracy on {len(test)} other images: {accuracy:.1%}")

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "digits.safetensors")
    best.model_.save(path)  # from here on without scikit-learn
    restored = bh.load(path)
print(restored)
assert (restored.predict(test[..., None]).argmax(1) == search.predict(test)).all()
assert accuracy > 0.95 and min(scores) > 0.9
