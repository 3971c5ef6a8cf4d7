"""The directional sign loss: how many finite differences of two arrays disagree in sign, made differentiable.

The loss itself needs PyTorch and NumPy alone; with Numba installed it is as quick as a squared error, or nearly so.
"""

from shapeofloss.signloss.loss import DirectionalSignLoss, directional_sign_loss, exact_sign_mismatch

__all__ = ["DirectionalSignLoss", "directional_sign_loss", "exact_sign_mismatch"]
