//! `[throttle]`: what one client address may make the sidecar do for nothing, before it is slowed.

use std::net::IpAddr;
use std::num::NonZeroU32;

use super::reader::Section;
use super::sections::each;
use crate::throttle::Allowance;

/// Largest rate, a minute: far above what one core verifies.
const MAX_RATE: u64 = 6_000_000;

/// Reads the section.
pub(super) fn throttle(mut section: Section<'_, '_>) -> Allowance {
    let defaults = Allowance::default();
    let bad_signatures = rate(&mut section, "bad_signatures_per_minute", defaults.bad_signatures);
    let inactive_tokens = rate(&mut section, "inactive_tokens_per_minute", defaults.inactive_tokens);
    let unknown_keys = rate(&mut section, "unknown_keys_per_minute", defaults.unknown_keys);
    let exempt = section.list("exempt").map_or(defaults.exempt, |list| {
        each(
            section.report(),
            &list,
            "write the address alone, without a mask: of IPv6 its whole /64 is meant",
            |text| text.parse::<IpAddr>().map_err(|_| format!("expected an IP address, found {text:?}")),
        )
    });
    section.finish();
    Allowance { bad_signatures, inactive_tokens, unknown_keys, exempt }
}

/// A rate; 0 lifts the limit.
fn rate(section: &mut Section<'_, '_>, key: &'static str, default: Option<NonZeroU32>) -> Option<NonZeroU32> {
    let default = default.map_or(0, |rate| u64::from(rate.get()));
    u32::try_from(section.number(key, default, 0..=MAX_RATE)).ok().and_then(NonZeroU32::new)
}
