//! Has the token verified with the keys of another configured issuer than the one that the token names.

use octroi_guests::{Attempt, Hostile, Inquiry, Refusal, Seconds, honest_open, hostile};

struct AnotherIssuer;

impl Hostile for AnotherIssuer {
    fn open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
        let mut inquiry = honest_open(settings.clone(), attempt, now)?;
        let known = octroi_rules::Settings::prepared(&settings);
        let other = known.as_ref().and_then(|known| known.issuers().find(|issuer| *issuer != inquiry.issuer));
        inquiry.issuer = other.unwrap_or("https://another-issuer.example.test").into();
        Ok(inquiry)
    }
}

hostile!(AnotherIssuer);
