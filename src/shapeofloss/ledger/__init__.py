"""The fidelity ledger: every claim of the four sources, with its rule, our measurement and a verdict.

The files of `data/claims/` state the claims and fix the rules before anything is measured. A notebook hands over what
it measured with `record`; the rules alone pass the verdicts.
"""

from shapeofloss.ledger.claims import Claim, load_claims
from shapeofloss.ledger.record import record
from shapeofloss.ledger.rows import ClaimFailedError, Row, judged, summary
from shapeofloss.ledger.rules import Rule

__all__ = ["Claim", "ClaimFailedError", "Row", "Rule", "judged", "load_claims", "record", "summary"]
