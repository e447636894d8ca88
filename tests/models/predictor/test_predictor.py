"""The predictor as one object: coherent, refusing other columns, stored as data and read back bit by bit."""

import json
from dataclasses import replace

import numpy as np
import pytest

from models.errors import InputError, ModelError, SchemaMismatchError
from models.predictor import Calibration, MarginCallPredictor
from models.predictor.explain import PARTS
from models.predictor.novelty import NoveltyModel
from models.predictor.predictor import logit
from models.predictor.store import FILES
from tests.models.predictor.bundles import NAMES, predictor, rows

GROUPED = ("horizon", "prior_logit", "distance_sigma", "gross_leverage", "rv_24h")


@pytest.fixture(scope="module")
def model():
    return predictor()


def test_the_residual_is_added_to_the_logit_of_the_prior(model):
    x, prior = rows(50)
    trees = model.booster.predict(x, raw_score=True).reshape(-1, 4)
    np.testing.assert_array_equal(model.raw_logit(x, prior), logit(prior) + trees)


def test_probabilities_never_fall_over_the_horizons(model):
    x, prior = rows(3000, seed=4)
    p = model.predict(x, prior)
    assert p.shape == (3000, 4)
    assert (np.diff(p, axis=1) >= 0).all()
    assert ((p > 0) & (p < 1)).all()


def test_a_higher_prior_never_gives_a_lower_probability(model):
    x, prior = rows(500)
    assert (model.predict(x, np.minimum(prior * 1.2, 1.0)) >= model.predict(x, prior)).all()


def test_an_unknown_prior_gives_an_unknown_answer(model):
    x, prior = rows(3)
    prior[1] = np.nan
    assert np.isnan(model.predict(x, prior)).all(axis=1).tolist() == [False, True, False]


def test_many_rows_and_few_give_the_same_bits(model):
    x, prior = rows(20_000)
    whole = model.predict(x, prior)
    part = model.predict(x[4 * 7 : 4 * 9], prior[7:9])
    np.testing.assert_array_equal(whole[7:9], part)


def test_a_bundle_reads_back_bit_by_bit(model, tmp_path):
    x, prior = rows(400)
    copy = MarginCallPredictor.load(model.save(tmp_path / "bundle"), NAMES)
    np.testing.assert_array_equal(copy.predict(x, prior), model.predict(x, prior))
    assert (copy.calibration, copy.size, copy.metadata) == (model.calibration, model.size, model.metadata)
    assert copy.version == model.version
    for name, array in model.prior.to_arrays().items():
        np.testing.assert_array_equal(copy.prior.to_arrays()[name], array)


def test_a_bundle_holds_data_only(model, tmp_path):
    folder = model.save(tmp_path / "bundle")
    assert sorted(f.name for f in folder.iterdir()) == sorted(FILES)
    assert json.loads((folder / "bundle.json").read_text())["feature_names"] == list(NAMES)


def test_a_bundle_of_the_first_format_still_loads(model, tmp_path):
    watched = replace(model, novelty=NoveltyModel.fit(rows(500)[0], NAMES))
    folder = watched.save(tmp_path / "bundle")
    record = json.loads((folder / "bundle.json").read_text())
    del record["parts_sha256"]
    (folder / "bundle.json").write_text(json.dumps(record | {"format": 1}))
    (folder / "parts.json").unlink()
    x, prior = rows(400)
    old = MarginCallPredictor.load(folder, NAMES)
    np.testing.assert_array_equal(old.predict(x, prior), model.predict(x, prior))
    assert np.isnan(old.novelty_of(x)[0]).all()
    (folder / "bundle.json").write_text(json.dumps(record | {"format": 3}))
    with pytest.raises(ModelError, match="format 1 or 2, was 3"):
        MarginCallPredictor.load(folder)


def test_unusual_input_draws_the_forecast_to_the_prior(model, tmp_path):
    x, prior = rows(400)
    watched = replace(model, novelty=NoveltyModel.fit(x, NAMES))
    copy = MarginCallPredictor.load(watched.save(tmp_path / "bundle"), NAMES)
    np.testing.assert_array_equal(copy.predict(x, prior), watched.predict(x, prior))
    far = x.copy()
    far[:, NAMES.index("noise")] += 40.0
    trees = model.raw_logit(far, prior) - logit(prior)
    weighted = copy.raw_logit(far, prior) - logit(prior)
    novelty = copy.novelty_of(far[::4])[0]
    assert (novelty > 3).all()
    np.testing.assert_allclose(weighted, trees / novelty[:, None], rtol=1e-9, atol=1e-9)
    assert (copy.unusual(far[::4])[:, 0] == NAMES.index("noise")).all()
    taken_back = (
        replace(copy, feature_names=GROUPED, novelty=replace(copy.novelty, columns=GROUPED))
        .explain(far, prior)
        .parts[:, :, PARTS.index("novelty")]
    )
    np.testing.assert_allclose(taken_back, weighted - trees, atol=1e-9)


def test_exchanged_parts_are_refused(model, tmp_path):
    folder = model.save(tmp_path / "bundle")
    (folder / "parts.json").write_text("{}")
    with pytest.raises(ModelError, match=r"parts\.json"):
        MarginCallPredictor.load(folder)


def test_an_exchanged_prior_is_refused_and_a_bundle_that_names_none_loads(model, tmp_path):
    folder = model.save(tmp_path / "bundle")
    (folder / "prior.npz").write_bytes((folder / "prior.npz").read_bytes() + b" ")
    with pytest.raises(ModelError, match=r"prior\.npz"):
        MarginCallPredictor.load(folder)
    record = json.loads((folder / "bundle.json").read_text())
    del record["prior_sha256"]
    (folder / "bundle.json").write_text(json.dumps(record))
    assert MarginCallPredictor.load(folder).version == model.version


def test_a_day_of_expiry_is_kept_and_must_have_a_zone(model, tmp_path):
    until = 1_751_328_000_000_000_000
    assert model.expires_ns is None
    loaded = MarginCallPredictor.load(model.expiring(until).save(tmp_path / "bundle"))
    assert (loaded.expires_ns, loaded.metadata["expires_at"]) == (until, "2025-07-01T00:00:00+00:00")
    for wrong in ("2025-07-01T00:00:00", "soon", 7):
        with pytest.raises(InputError, match=r"metadata\.expires_at: expected a time with a zone"):
            replace(model, metadata={"expires_at": wrong})


def test_other_columns_are_refused_by_name(model, tmp_path):
    folder = model.save(tmp_path / "bundle")
    with pytest.raises(SchemaMismatchError, match="without 'noise', with 'other' in excess"):
        MarginCallPredictor.load(folder, (*NAMES[:-1], "other"))
    with pytest.raises(SchemaMismatchError, match="in another order"):
        MarginCallPredictor.load(folder, NAMES[::-1])


def test_a_matrix_of_another_width_or_length_is_refused(model):
    x, prior = rows(4)
    with pytest.raises(SchemaMismatchError, match="expected 5 columns"):
        model.predict(x[:, :3], prior)
    with pytest.raises(InputError, match="prior_p"):
        model.predict(x, prior[:3])


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(model, tmp_path, name):
    folder = model.save(tmp_path / "bundle")
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        MarginCallPredictor.load(folder)


def test_exchanged_trees_and_a_broken_record_are_refused(model, tmp_path):
    folder = model.save(tmp_path / "bundle")
    with (folder / "booster.txt").open("a") as file:
        file.write("\n")
    with pytest.raises(ModelError, match=r"booster\.txt"):
        MarginCallPredictor.load(folder)
    (folder / "bundle.json").write_text("{")
    with pytest.raises(ModelError, match="expected JSON"):
        MarginCallPredictor.load(folder)


def test_names_that_do_not_fit_the_trees_are_refused(model):
    with pytest.raises(SchemaMismatchError, match="expected 5 names"):
        MarginCallPredictor(model.booster, model.prior, NAMES[:4], Calibration())
