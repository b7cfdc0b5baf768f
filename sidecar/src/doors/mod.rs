//! The ways in: one file per door. A door parses its protocol, calls the gate and renders the answer; it never parses
//! a token or a claim.

pub mod admin;
mod admission;
pub mod answer;
pub mod delegation;
pub mod dovecot;
pub mod dovecot_introspection;
pub mod dovecot_policy;
pub mod dovecot_structures;
pub mod framing;
pub mod grpc;
pub mod handles;
pub mod http;
pub mod join;
pub mod loopback;
pub mod mailbox_set;
pub mod ports;
pub mod probe;
pub mod sasl;
pub mod streams;
pub mod unix;

#[cfg(test)]
mod hostile;
