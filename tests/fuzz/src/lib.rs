//! Fuzz targets: what reads bytes from outside, held against a second, strict reading that was written for nothing
//! else.
//!
//! A target is a function of bytes that panics where a promise is broken. `make fuzz` lets libFuzzer look for such
//! bytes, guided by the code that they reach; `make test` runs the same functions over the seeds and over what a fixed
//! rule makes of them. Must never be loosened to let an answer pass: what the strict reading refuses, nothing may
//! accept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a target that panics has found something"
)]

mod certificate;
mod checkpassword;
mod delegation;
mod door;
mod dovecot;
mod framing;
mod image;
mod list;
mod message;
mod recipient;
mod sasl;
mod token;
mod trust_space;
mod vectors;

/// One thing that reads bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name on the command line.
    pub name: &'static str,
    /// What the search starts from: good input, and bad input of every kind that is told apart.
    pub seeds: &'static [&'static [u8]],
    /// Reads the bytes, and panics where a promise is broken.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "sasl", seeds: sasl::SEEDS, run: sasl::run },
    Target { name: "delegation", seeds: delegation::SEEDS, run: delegation::run },
    Target { name: "checkpassword", seeds: checkpassword::SEEDS, run: checkpassword::run },
    Target { name: "auth-policy", seeds: dovecot::POLICY_SEEDS, run: dovecot::policy },
    Target { name: "introspection", seeds: dovecot::INTROSPECTION_SEEDS, run: dovecot::introspection },
    Target { name: "message", seeds: message::SEEDS, run: message::run },
    Target { name: "token", seeds: token::SEEDS, run: token::run },
    Target { name: "trust-space", seeds: trust_space::SEEDS, run: trust_space::run },
    Target { name: "recipient", seeds: recipient::SEEDS, run: recipient::run },
    Target { name: "image", seeds: image::SEEDS, run: image::run },
    Target { name: "vectors", seeds: vectors::SEEDS, run: vectors::run },
    Target { name: "certificate", seeds: certificate::SEEDS, run: certificate::run },
    Target { name: "crl", seeds: list::SEEDS, run: list::run },
];

/// A place in these bytes, the same for the same bytes: where a target cuts them in two.
fn somewhere(bytes: &[u8]) -> usize {
    let mixed = bytes.iter().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    mixed % (bytes.len() + 1)
}

/// `bytes` with `with` wherever `what` stands.
fn replaced(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let (mut replaced, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    while let Some(at) = rest.windows(what.len()).position(|window| window == what) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(with);
        rest = &rest[at + what.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}
