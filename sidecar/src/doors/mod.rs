//! The ways in: one file per door. A door parses its protocol, calls the gate and renders the answer; it never parses
//! a token or a claim.

