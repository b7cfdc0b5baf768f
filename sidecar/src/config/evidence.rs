//! `[keys]` and `[introspection]`: how every issuer's keys are held, and how it is asked about tokens.

use std::time::Duration;

use super::reader::Section;

/// `[keys]`: how the signing keys of every issuer are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHolding {
    /// `max_stale_seconds`: how long keys stay in use after they should have been refreshed; past it their tokens are
    /// `unavailable`, never denied. Default 14 400 (four hours), 0 to 86 400.
    pub max_stale: Duration,
    /// `refresh_seconds`: time between two fetches where the issuer does not say. Default 600, 60 to 3600.
    pub refresh: Duration,
    /// `refresh_min_seconds`, `refresh_max_seconds`: bounds of what the issuer may say about it (RFC 9111 section
    /// 5.2.2.1). Defaults 60 and 3600, 60 to 3600.
    pub refresh_bounds: (Duration, Duration),
    /// `refetch_floor_seconds`: least time between two fetches for a key that is not there. Default 30, 5 to 300.
    pub refetch_floor: Duration,
}

/// `[introspection]`: how every issuer is asked about tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    /// `max_degraded_seconds`: how long mode `preferred` may do without answers. Default 14 400 (four hours), 0 to
    /// 86 400.
    pub max_degraded: Duration,
    /// `remember_active_seconds`: how long a yes is remembered, never beyond the token's `exp`; 0 switches every memory
    /// of answers off. Default 10, 0 to 300.
    pub remember_active: Duration,
    /// `remember_inactive_seconds`: how long a no is remembered. Default 30, 0 to 300.
    pub remember_inactive: Duration,
    /// `deadline_milliseconds`: one question, from waiting for its turn to the end of the answer. Default 1500, 100 to
    /// 3000: with the wait for a key (1.5 s at most) it stays below the 5 s that the shipped Dovecot files wait.
    pub deadline: Duration,
    /// `max_in_flight`: most questions to one issuer at a moment. Default 32, 1 to 1024.
    pub in_flight: usize,
}

/// Reads `[keys]`.
pub(super) fn keys(mut section: Section<'_, '_>) -> KeyHolding {
    let max_stale = seconds(&mut section, "max_stale_seconds", 14_400, 0..=86_400);
    let refresh = seconds(&mut section, "refresh_seconds", 600, 60..=3600);
    let least = seconds(&mut section, "refresh_min_seconds", 60, 60..=3600);
    let most = seconds(&mut section, "refresh_max_seconds", 3600, 60..=3600);
    let refetch_floor = seconds(&mut section, "refetch_floor_seconds", 30, 5..=300);
    if !(least..=most).contains(&refresh) {
        section.place().complain(
            section.report(),
            "expected refresh_seconds between refresh_min_seconds and refresh_max_seconds",
            "correct one of the three; left out they are 600, 60 and 3600",
        );
    }
    section.finish();
    KeyHolding { max_stale, refresh, refresh_bounds: (least, most), refetch_floor }
}

/// Reads `[introspection]`.
pub(super) fn introspection(mut section: Section<'_, '_>) -> Asking {
    let max_degraded = seconds(&mut section, "max_degraded_seconds", 14_400, 0..=86_400);
    let remember_active = seconds(&mut section, "remember_active_seconds", 10, 0..=300);
    let remember_inactive = seconds(&mut section, "remember_inactive_seconds", 30, 0..=300);
    let deadline = Duration::from_millis(section.number("deadline_milliseconds", 1500, 100..=3000));
    let in_flight = section.number("max_in_flight", 32, 1..=1024);
    section.finish();
    let in_flight = usize::try_from(in_flight).unwrap_or(usize::MAX);
    Asking { max_degraded, remember_active, remember_inactive, deadline, in_flight }
}

fn seconds(
    section: &mut Section<'_, '_>,
    key: &'static str,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Duration {
    Duration::from_secs(section.number(key, default, range))
}
