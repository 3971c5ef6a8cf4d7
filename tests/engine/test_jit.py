"""Compiled loops where nothing can be kept: plain Python says what they compute."""

from shapeofloss.engine import jit


def test_a_loop_is_compiled_even_if_there_is_no_place_to_keep_it(monkeypatch):
    import numba

    real = numba.njit

    def refuses(*args, **options):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return real(*args, **options)

    monkeypatch.setattr(numba, "njit", refuses)

    @jit.njit(error_model="numpy")
    def total(n):
        result = 0.0
        for k in range(n):
            result += k
        return result

    assert total(9) == sum(range(9)) and total.signatures
