//! Tokens of the live probe: proof that a mail server asks this sidecar, and does what it answers.
//!
//! A probe token opens the canary mailbox and nothing else. It may be shown twice within a minute, once for each half
//! of the probe: the canary's login, which must succeed, and the non-member's, which must not. Only its hash is kept.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::time::Instant;

use crate::evidence::directory::MailboxAddress;
use crate::secret::Token;

/// Probes at one moment: operators are few, and each waits for the end of theirs.
const MAX: usize = 16;
/// How long a token is good for.
const LIFE: Duration = Duration::from_secs(60);
/// How often it may be shown: once for each half.
const SHOWINGS: u8 = 2;
/// What every probe token begins with: no access token does.
const PREFIX: &str = "octroi-probe-";

/// The table of probe tokens.
pub struct Probes {
    canary: MailboxAddress,
    non_member: MailboxAddress,
    table: Mutex<Vec<Slot>>,
}

struct Slot {
    hash: [u8; 32],
    until: Instant,
    left: u8,
}

/// Why no token was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Sixteen probes run already.
    #[error("too many probes at once: wait a minute")]
    TooMany,
    /// The generator of random bytes failed.
    #[error("no random bytes")]
    Random,
}

impl Probes {
    /// An empty table for two addresses, neither of them anybody's mailbox.
    #[must_use]
    pub const fn new(canary: MailboxAddress, non_member: MailboxAddress) -> Self {
        Self { canary, non_member, table: Mutex::new(Vec::new()) }
    }

    /// The address that a probe token opens.
    #[must_use]
    pub const fn canary(&self) -> &MailboxAddress {
        &self.canary
    }

    /// The address that it must not open.
    #[must_use]
    pub const fn non_member(&self) -> &MailboxAddress {
        &self.non_member
    }

    /// A new token.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn issue(&self) -> Result<Token, ProbeError> {
        use fmt::Write as _;
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| ProbeError::Random)?;
        let token = random.iter().fold(PREFIX.to_owned(), |mut token, byte| {
            // Writing to a String can't fail.
            let _ = write!(token, "{byte:02x}");
            token
        });
        let now = Instant::now();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|slot| now < slot.until);
        if table.len() >= MAX {
            return Err(ProbeError::TooMany);
        }
        table.push(Slot { hash: hash(token.as_bytes()), until: now + LIFE, left: SHOWINGS });
        Ok(Token::new(token))
    }

    /// The canary, if `token` is a probe token that may still be shown: the only member of the answer. `None`: not one
    /// of ours, or spent; judge it like any other.
    #[must_use]
    pub fn take(&self, token: &[u8]) -> Option<&MailboxAddress> {
        if !token.starts_with(PREFIX.as_bytes()) {
            return None;
        }
        let shown = hash(token);
        let now = Instant::now();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|slot| now < slot.until && slot.left > 0);
        let slot = table.iter_mut().find(|slot| slot.hash == shown)?;
        slot.left -= 1;
        Some(&self.canary)
    }
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes").field("canary", &self.canary).finish_non_exhaustive()
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    // SHA-256 has 32 bytes: nothing is cut, nothing is left.
    hash.iter_mut().zip(digest(&SHA256, token).as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probes() -> Probes {
        let address = |text| MailboxAddress::parse(text).unwrap();
        Probes::new(address("canary@x.test"), address("nobody@x.test"))
    }

    #[tokio::test]
    async fn a_probe_token_is_good_for_the_two_halves_and_no_more() {
        let probes = probes();
        let token = probes.issue().unwrap();
        assert_eq!(probes.take(token.expose()), Some(probes.canary()));
        assert_eq!(probes.take(token.expose()), Some(probes.canary()));
        assert_eq!(probes.take(token.expose()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_token_is_good_for_a_minute() {
        let probes = probes();
        let token = probes.issue().unwrap();
        tokio::time::advance(LIFE).await;
        assert_eq!(probes.take(token.expose()), None);
    }

    #[tokio::test]
    async fn no_other_token_is_a_probe() {
        let probes = probes();
        let token = probes.issue().unwrap();
        for other in [&b""[..], b"octroi-probe-", b"octroi-probe-00000000000000000000000000000000", b"eyJ.x.y"] {
            assert_eq!(probes.take(other), None);
        }
        let mut longer = token.expose().to_vec();
        longer.push(b'0');
        assert_eq!(probes.take(&longer), None);
        assert!(probes.take(token.expose()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded_and_frees_itself() {
        let probes = probes();
        for _ in 0..MAX {
            probes.issue().unwrap();
        }
        assert_eq!(probes.issue().unwrap_err(), ProbeError::TooMany);
        tokio::time::advance(LIFE).await;
        probes.issue().unwrap();
    }
}
