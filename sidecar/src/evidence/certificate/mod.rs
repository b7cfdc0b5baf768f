//! Client certificates (IGC-Sante ORG AUTH_CLI): read, held against the configured chains of authorities, and looked up
//! in the revocation lists. A certificate names a structure, never a person. No policy, no protocol of a door.

mod chain;
mod crl;
mod der;
pub mod enrolled;
pub mod enrolling;
mod known;
mod name;
mod revocations;
mod x509;

pub use chain::{Authority, BadChain, Chain, ChainKind, Chains, NotOfChain, Path};
pub use crl::{BadCrl, Crl, Number};
pub use known::{Certificates, Known, RevocationState, Shown, Told};
pub use revocations::{
    DovecotFiles, ListError, ListState, ListStatus, Revocation, RevocationSettings, Revocations, RevocationsStatus,
    SUSPENSION_MAX, SourceStatus, Suspension, SuspensionError,
};
pub use x509::{BadCertificate, BadStructure, Certificate, Fingerprint, Serial, StructureId};

#[cfg(test)]
mod tests;
