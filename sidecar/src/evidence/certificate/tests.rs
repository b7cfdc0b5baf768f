//! What is read and what is refused, with certificates made for the purpose.

mod chain;
mod crl;
mod dovecot;
mod revocations;
mod server;
mod suspensions;
mod x509;

use std::path::PathBuf;

use octroi_igc::{Igc, Names};

use super::{Chain, ChainKind};

/// A stand-in with the test names, as of a fixed moment.
pub(super) const NOW: u64 = 1_780_000_000;

pub(super) fn igc() -> Igc {
    Igc::at(Names::Test, NOW).unwrap()
}

pub(super) fn files(contents: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    contents.iter().map(|content| (PathBuf::from("ca.pem"), content.as_bytes().to_vec())).collect()
}

/// The chain of a stand-in.
pub(super) fn chain(igc: &Igc) -> Chain {
    let domains = vec!["bal.example.test".to_owned()];
    Chain::new("igc-test", ChainKind::Test, domains, vec!["192.0.2.10".parse().unwrap()], &files(&[&igc.bundle()]))
        .unwrap()
}
