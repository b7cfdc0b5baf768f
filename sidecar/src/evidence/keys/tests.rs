//! Keys under a provider that does what each test tells it, in simulated time; and over HTTP (`issuer`), in real time.

mod copies;
mod documents;
mod issuer;
mod outages;
mod provider;
mod rotation;

/// A key of a set of its own.
pub(super) fn key() -> std::sync::Arc<super::VerifyingKey> {
    let set = super::jwk::parse(&provider::document(&[&provider::Signer::new("k")])).unwrap();
    std::sync::Arc::clone(&set.keys()[0])
}
