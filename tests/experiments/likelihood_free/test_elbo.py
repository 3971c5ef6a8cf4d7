"""The ELBO and its parts: closed forms, limits, and SciPy's normal distributions."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from shapeofloss.distributions.gaussians import kl_divergence
from shapeofloss.errors import UserError
from shapeofloss.experiments.likelihood_free.elbo import LinearGaussian, best_gaussian_prior, mean_elbo, parts

CODES = np.array([[-1.0, 0.5], [0.3, 0.8], [2.0, 0.4]])
STANDARD = [0.0, 1.0]


def square(z):
    """log p(x_i | z) = -(z - i)^2, whose mean under N(m, s^2) is -(m - i)^2 - s^2."""
    return -((z - np.arange(len(z))[:, None]) ** 2)


def linear(seed=0):
    rng = np.random.default_rng(seed)
    return LinearGaussian(rng.normal(size=(4, 2)), rng.normal(size=4), 0.7), rng.normal(size=4), rng


def test_the_mean_elbo_of_normal_codes_is_a_sum_of_closed_forms():
    m, s = CODES.T
    known = -((m - np.arange(3)) ** 2) - s**2
    kl = (m**2 + s**2 - 1) / 2 - np.log(s)
    assert mean_elbo(CODES, square, STANDARD) == pytest.approx((known - kl).mean(), abs=1e-11)


def test_reconstruction_of_a_polynomial_is_exact():
    m, s = CODES.T
    expected = (-((m - np.arange(3)) ** 2) - s**2).mean()
    assert parts(CODES, square, STANDARD).reconstruction == pytest.approx(expected, abs=1e-11)


def test_information_is_zero_for_equal_distributions_and_log_n_for_distant_ones():
    assert parts([[1.0, 0.5]] * 4, square, STANDARD).information == pytest.approx(0, abs=1e-11)
    distant = np.stack([50 * np.arange(5.0), np.ones(5)], axis=1)
    assert parts(distant, square, distant).information == pytest.approx(np.log(5), abs=1e-9)


def test_the_marginal_kl_of_one_code_distribution_is_that_of_two_gaussians():
    found = parts([[1.5, 0.6]], square, [0.2, 1.3]).marginal
    expected = kl_divergence(1.5, 0.6, 0.2, 1.3)
    assert found == pytest.approx(expected, abs=1e-10)


def test_the_parts_add_up_to_the_bound_for_a_mixture_prior():
    prior = [[-1.0, 0.7], [1.0, 0.9]]
    assert parts(CODES, square, prior).elbo == pytest.approx(mean_elbo(CODES, square, prior), abs=1e-9)


def test_the_aggregated_posterior_has_no_marginal_kl():
    assert parts(CODES, square, CODES).marginal == pytest.approx(0, abs=1e-11)


def test_the_best_gaussian_prior_has_the_moments_of_all_codes():
    m, s = CODES.T
    sigma = np.sqrt((s**2).mean() + m.var())
    assert best_gaussian_prior(CODES, square) == pytest.approx([m.mean(), sigma], abs=1e-8)


def test_the_elbo_of_the_exact_posterior_is_scipys_log_evidence():
    model, x, _ = linear()
    expected = multivariate_normal(*model.evidence()).logpdf(x)
    assert model.elbo(x, *model.posterior(x)) == pytest.approx(expected, abs=1e-11)


def test_the_posterior_is_bayes_rule():
    model, x, rng = linear(3)
    z, other = rng.normal(size=(2, 2))

    def joint(code):
        noise = multivariate_normal(model.W @ code + model.b, model.sigma**2 * np.eye(4))
        return noise.logpdf(x) + multivariate_normal(np.zeros(2)).logpdf(code)

    m, L = model.posterior(x)
    posterior = multivariate_normal(m, L @ L.T)
    assert posterior.logpdf(z) - posterior.logpdf(other) == pytest.approx(joint(z) - joint(other), abs=1e-10)


def test_another_code_distribution_is_below_by_its_kl_to_the_posterior():
    model, x, rng = linear(5)
    m, root = rng.normal(size=2), rng.normal(size=(2, 2))
    L = np.linalg.cholesky(root @ root.T + 0.1 * np.eye(2))
    missing = model.elbo(x, *model.posterior(x)) - model.elbo(x, m, L)
    assert missing == pytest.approx(kl_divergence(m, L, *model.posterior(x)), abs=1e-10)


def test_the_elbo_of_a_linear_model_agrees_with_quadrature_on_a_line():
    model = LinearGaussian(np.array([[1.3]]), np.array([0.2]), 0.8)

    def decoder(z):
        return -((0.5 - 1.3 * z - 0.2) ** 2) / (2 * 0.64) - np.log(0.8 * np.sqrt(2 * np.pi))

    expected = mean_elbo([[0.4, 0.9]], decoder, STANDARD)
    assert model.elbo(np.array([0.5]), np.array([0.4]), np.array([[0.9]])) == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("function", [mean_elbo, parts])
def test_a_single_pair_is_no_table_of_code_distributions(function):
    with pytest.raises(UserError, match="a row"):
        function([0.0, 1.0], square, STANDARD)


def test_a_negative_deviation_is_refused():
    with pytest.raises(UserError, match="standard deviation above 0"):
        mean_elbo([[0.0, -1.0]], square, STANDARD)


def test_no_distribution_and_no_numbers_are_refused():
    for call in (mean_elbo, parts):
        with pytest.raises(UserError, match="code distributions have shape"):
            call(np.zeros((0, 2)), np.zeros_like, [0.0, 1.0])
        for given in (lambda z: z * np.nan, lambda z: 0.0, lambda z: z + np.inf):
            with pytest.raises(UserError, match="What reconstruction gives"):
                call([[0.0, 1.0]], given, [0.0, 1.0])
        with pytest.raises(UserError, match="reconstruction is a float"):
            call([[0.0, 1.0]], 1.0, [0.0, 1.0])


def test_information_and_kl_are_not_negative_where_they_vanish():
    for sigma in (0.3, 1.0, 2.7, 11.0):
        found = parts([[0.1, sigma]], np.zeros_like, [0.1, sigma])
        assert found.information == 0 and 0 <= found.marginal < 1e-12
    with pytest.raises(UserError, match="sigma is 0"):
        LinearGaussian(np.ones((1, 1)), np.zeros(1), 0)
