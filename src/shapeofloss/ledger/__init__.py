"""The fidelity ledger: every claim of the four sources, with its rule, our measurement and a verdict.

`data/claims.toml` states the claims and fixes the rules before anything is measured. A notebook hands over what it
measured with `record`; the rule alone passes the verdict.
"""

from shapeofloss.ledger.claims import Claim, load_claims
from shapeofloss.ledger.rows import ClaimFailedError, Row, record, summary
from shapeofloss.ledger.rules import Rule

__all__ = ["Claim", "ClaimFailedError", "Row", "Rule", "load_claims", "record", "summary"]
