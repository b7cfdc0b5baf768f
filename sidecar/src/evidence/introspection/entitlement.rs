//! The alarm "caller not entitled": the issuer calls every token inactive, because of who asks and not because of the
//! token (Keycloak does so for a caller that is not in the token's `aud`).
//!
//! Counts only tokens whose signature holds and whose `exp` has not passed. An alarm, never a way in: such a token
//! stays refused.

use std::time::Duration;

use tokio::time::Instant;

/// Tokens in a row, of whatever software, that raise it.
const RUN: u32 = 5;
/// Most software counted; who was heard of longest ago makes room.
const PARTIES: usize = 64;
/// Longest name kept, in bytes.
const NAME_MAX: usize = 128;

/// The alarm, for the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entitlement {
    /// For how long it has been raised. `None`: it is not.
    pub alarm_for: Option<Duration>,
    /// Live tokens called inactive since the last one called active, for each `azp` heard of lately.
    pub inactive: Vec<(String, u32)>,
}

#[derive(Default)]
pub(super) struct Parties {
    run: u32,
    since: Option<Instant>,
    /// The one heard of last stands last.
    parties: Vec<(String, u32)>,
}

impl Parties {
    pub(super) fn active(&mut self, issuer: &str, party: Option<&str>) {
        self.heard(party, |_| 0);
        self.run = 0;
        if self.since.take().is_some() {
            tracing::info!(issuer, "introspection calls a token active again: the caller is entitled");
        }
    }

    pub(super) fn inactive(&mut self, issuer: &str, party: Option<&str>) {
        self.heard(party, |run| run.saturating_add(1));
        self.run = self.run.saturating_add(1);
        if self.run >= RUN && self.since.is_none() {
            self.since = Some(Instant::now());
            tracing::error!(
                issuer,
                run = self.run,
                "introspection calls every live token inactive: is this caller entitled to ask about them?"
            );
        }
    }

    pub(super) fn picture(&self) -> Entitlement {
        Entitlement { alarm_for: self.since.map(|since| since.elapsed()), inactive: self.parties.clone() }
    }

    fn heard(&mut self, party: Option<&str>, count: impl Fn(u32) -> u32) {
        let name = printable(party.unwrap_or("(none)"));
        let held = self.parties.iter().position(|(held, _)| *held == name).map(|at| self.parties.remove(at));
        if self.parties.len() >= PARTIES {
            self.parties.remove(0);
        }
        self.parties.push((name, count(held.map_or(0, |(_, run)| run))));
    }
}

/// A client id is printable by RFC 6749 appendix A.1; what is not does not reach a terminal.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).take(NAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://issuer.example.test";

    #[tokio::test(start_paused = true)]
    async fn it_is_raised_when_every_token_of_every_software_is_called_inactive() {
        let mut parties = Parties::default();
        for software in ["a", "b", "a", "c"] {
            parties.inactive(ISSUER, Some(software));
        }
        assert_eq!(parties.picture().alarm_for, None);
        parties.inactive(ISSUER, None);
        tokio::time::advance(Duration::from_secs(7)).await;
        let picture = parties.picture();
        assert_eq!(picture.alarm_for, Some(Duration::from_secs(7)));
        let expected = [("b", 1), ("a", 2), ("c", 1), ("(none)", 1)].map(|(name, run)| (name.to_owned(), run));
        assert_eq!(picture.inactive, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn one_active_token_lowers_it() {
        let mut parties = Parties::default();
        for _ in 0..20 {
            for _ in 0..RUN - 1 {
                parties.inactive(ISSUER, Some("a"));
            }
            parties.active(ISSUER, Some("b"));
        }
        assert_eq!(parties.picture().alarm_for, None);
        for _ in 0..RUN {
            parties.inactive(ISSUER, Some("a"));
        }
        assert!(parties.picture().alarm_for.is_some());
        parties.active(ISSUER, Some("a"));
        assert_eq!(parties.picture().alarm_for, None);
        assert!(parties.picture().inactive.contains(&("a".to_owned(), 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_bounded_in_number_length_and_kind() {
        let mut parties = Parties::default();
        for n in 0..1000 {
            parties.inactive(ISSUER, Some(&format!("{n}\n{}", "x".repeat(1000))));
        }
        let picture = parties.picture();
        assert_eq!(picture.inactive.len(), PARTIES);
        assert!(picture.inactive.iter().all(|(name, _)| name.len() <= NAME_MAX && !name.contains('\n')));
    }
}
