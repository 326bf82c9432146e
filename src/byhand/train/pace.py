"""The pace of a training: images per second of the recent steps, and the time that is left at that pace.

A step that compiles a kernel says nothing about those to come, and the first step of a process loads programs and memory: both
are left out. The mean is weighted exponentially, so that the forecast follows a machine that becomes busy or idle.
"""

from math import exp

MEMORY_SECONDS = 8.0  # the weight of a step falls to 1 / e in that time
EVALUATION_COST = 1 / 3  # of a training step, per image: forward without backward
RETELL_FACTOR = 1.5  # a forecast that is off by so much is told again
RETELL_SECONDS = 10.0  # between two forecasts


class Pace:
    """The recent pace, and the forecast that was told last.

    >>> pace = Pace()
    >>> pace.add(100, 1.0)
    >>> round(pace.images_per_second), round(pace.seconds_left(400, evaluations=2))
    (100, 4)
    """

    def __init__(self, evaluation_images: int = 0) -> None:
        self.evaluation_images = evaluation_images  # after each epoch
        self.images, self.seconds = 0, 0.0  # of all steps that were timed
        self._weighted_images, self._weighted_seconds = 0.0, 0.0
        self._evaluation_seconds: float | None = None
        self._told_at, self._told_end = 0.0, 0.0

    def add(self, images: int, seconds: float) -> None:
        """Add a step, or several that ran together.

        A weight decays while the step goes on: of t seconds, T (1 - exp(-t / T)) count, and as great a part of the images.
        """
        decay = exp(-seconds / MEMORY_SECONDS)
        counted = MEMORY_SECONDS * (1 - decay)
        self._weighted_images = self._weighted_images * decay + (images * counted / seconds if seconds > 0 else images)
        self._weighted_seconds = self._weighted_seconds * decay + counted
        self.images, self.seconds = self.images + images, self.seconds + seconds

    def add_evaluation(self, seconds: float) -> None:
        """Add an evaluation after an epoch."""
        self._evaluation_seconds = seconds

    @property
    def images_per_second(self) -> float:
        """The recent images per second; 0 as long as no step is timed."""
        return self._weighted_images / self._weighted_seconds if self._weighted_seconds > 0 else 0.0

    def seconds_left(self, images: int, evaluations: int) -> float:
        """Return the seconds that so many images and evaluations take; 0 as long as no step is timed."""
        if not self.images_per_second:
            return 0.0
        evaluation = self._evaluation_seconds
        if evaluation is None:
            evaluation = EVALUATION_COST * self.evaluation_images / self.images_per_second
        return images / self.images_per_second + evaluations * evaluation

    def tell(self, now: float, left: float) -> None:
        """Note that a forecast was told: at this time, so many seconds left."""
        self._told_at, self._told_end = now, now + left

    def differs(self, now: float, left: float) -> bool:
        """Return whether a new forecast is far from the one that was told, and not soon after it."""
        if now - self._told_at < RETELL_SECONDS:
            return False
        told, new = max(self._told_end - self._told_at, 1.0), max(now + left - self._told_at, 1.0)
        return max(told / new, new / told) > RETELL_FACTOR
