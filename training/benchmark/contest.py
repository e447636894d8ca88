"""Who takes part: margincast, the baselines and the peers, trained on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.market import MarketPanel
from models.typing import FloatArray
from training.benchmark.names import OURS
from training.benchmark.peers import Peer, fit_peers
from training.dataset import Dataset
from training.pipeline import Training, train_dataset, training_set
from training.settings import Stage, TrainSettings
from training.splits import split, windows_before

__all__ = ["Contestants", "fit_contestants"]


@dataclass(frozen=True, slots=True, eq=False)
class Contestants:
    """What was trained.

    Parameters
    ----------
    training : Training
        margincast, and the baselines B0 to B9.
    peers : dict of str to callable
        The peers.
    notes : list of str
        A line for each peer that is not installed.
    """

    training: Training
    peers: dict[str, Peer]
    notes: list[str]

    def forecasts(self, dataset: Dataset) -> dict[str, FloatArray]:
        """Predict with all of them.

        Parameters
        ----------
        dataset : Dataset
            n pairs, with the columns of the baselines.

        Returns
        -------
        dict of str to ndarray of float, shape (n, 4)
            Probabilities by name, margincast first.
        """
        out = {OURS: self.training.predictor.predict(dataset.x, dataset.prior)}
        if self.training.baselines is not None:
            out |= self.training.baselines.predict(dataset)
        return out | {name: peer(dataset) for name, peer in self.peers.items()}


def fit_contestants(
    panel: MarketPanel,
    start: int,
    until: int,
    settings: TrainSettings,
    peers: Sequence[str] | None = None,
    rounds: int = 200,
    progress: Stage | None = None,
) -> Contestants:
    """Train everything that takes part; nothing after ``until`` is read.

    Parameters
    ----------
    panel : MarketPanel
        Bars.
    start, until : int
        The training period, nanoseconds UTC.
    settings : TrainSettings
        Settings.
    peers : sequence of str, optional
        Which peers; all by default.
    rounds : int
        Most rounds of boosted peers.
    progress : callable, optional
        Called with (stage, done, in all).

    Returns
    -------
    Contestants
        The trained forecasts.
    """
    found = training_set(panel, start, until, settings, progress=progress)
    training = train_dataset(found.dataset, found.prior, found.first, found.finish, settings, progress)
    parts = split(found.dataset.as_of, windows_before(found.first, found.finish, found.finish))
    threads = settings.fit.num_threads
    fitted, notes = fit_peers(found.dataset, parts, peers, rounds, settings.seed, threads, progress)
    return Contestants(training, fitted, notes)
