//! Enrolled certificates as an operator is told of them.

use std::sync::Arc;

use crate::clock::UnixSeconds;
use crate::evidence::certificate::enrolled::{DAY, Enrolled, Standing};
use crate::evidence::certificate::enrolling::Problem;
use crate::evidence::certificate::{Chain, Chains, Revocation, Revocations};
use crate::evidence::directory::{Mailbox, Snapshot};
use crate::proto;

/// Mailboxes of one certificate that are named; the rest is counted.
const MAX_MAILBOXES: usize = 20;
/// The state of what an authority revoked.
const REVOKED: &str = "revoked";
/// Longest name of a file, characters.
const MAX_NAME: usize = 200;

/// What is looked at to tell of certificates.
pub(super) struct Teller<'a> {
    pub(super) directory: Arc<Snapshot>,
    pub(super) chains: &'a Chains,
    pub(super) revocations: Option<&'a Revocations>,
    pub(super) now: UnixSeconds,
}

impl Teller<'_> {
    /// One certificate.
    pub(super) fn entry(&self, enrolled: &Enrolled) -> proto::CertificateEntry {
        let mut entry = self.facts(enrolled);
        if enrolled.withdrawn_at.is_none() && self.is_revoked(enrolled) {
            REVOKED.clone_into(&mut entry.state);
        }
        entry
    }

    /// Whether its authority, or one above, revoked it.
    fn is_revoked(&self, enrolled: &Enrolled) -> bool {
        self.revocations.is_some_and(|revocations| {
            let path = self.chain(enrolled).and_then(|chain| chain.path_by(&enrolled.certificate, enrolled.issuer?));
            path.is_some_and(|path| revocations.verdict(&path, self.now) == Revocation::Revoked)
        })
    }

    fn chain(&self, enrolled: &Enrolled) -> Option<&Chain> {
        self.chains.by_name(enrolled.chain.as_deref()?)
    }

    /// The mailboxes that a certificate opens while it may be used.
    fn opens(&self, enrolled: &Enrolled) -> impl Iterator<Item = &Mailbox> {
        let domains = self.chain(enrolled).map_or(&[][..], |chain| chain.mailbox_domains());
        let listed = self.directory.of_structure(enrolled.structure.as_str());
        listed.filter(move |mailbox| {
            mailbox.certificates.admit(&enrolled.certificate)
                && domains.iter().any(|domain| domain == mailbox.address.domain())
        })
    }

    /// What a withdrawal means over IMAP, where the mail server does not tell which certificate is shown.
    pub(super) fn closed_to_imap(&self, withdrawn: &Enrolled) -> Option<String> {
        let open = self.chain(withdrawn).is_some_and(|chain| !chain.listen().is_empty())
            && withdrawn.certificate.is_valid_at(self.now)
            && !self.is_revoked(withdrawn);
        open.then(|| {
            format!(
                "over IMAP every certificate of structure {} is refused from now on, for the mail server does not tell \
                 which one is shown: until its authority's list has this one, or it expires",
                withdrawn.structure
            )
        })
    }

    fn facts(&self, enrolled: &Enrolled) -> proto::CertificateEntry {
        let (certificate, now) = (&enrolled.certificate, self.now);
        let mailboxes: Vec<&Mailbox> = self.opens(enrolled).collect();
        proto::CertificateEntry {
            fingerprint: certificate.fingerprint().to_string(),
            public_key: certificate.public_key().to_string(),
            structure: enrolled.structure.to_string(),
            organization: certificate.organization().unwrap_or_default().to_owned(),
            common_name: certificate.common_name().unwrap_or_default().to_owned(),
            subject: certificate.subject().to_owned(),
            issuer: certificate.issuer().to_owned(),
            serial: certificate.serial().to_string(),
            not_before: certificate.not_before().0,
            not_after: certificate.not_after().0,
            days_left: days_left(certificate.not_after(), now),
            chain: enrolled.chain.clone().unwrap_or_default(),
            state: enrolled.standing(now).code().to_owned(),
            enrolled_at: enrolled.enrolled_at.0,
            withdrawn_at: enrolled.withdrawn_at.map_or(0, |at| at.0),
            mailboxes: mailboxes.iter().take(MAX_MAILBOXES).map(|mailbox| mailbox.address.to_string()).collect(),
            mailbox_count: mailboxes.len() as u64,
        }
    }
}

/// Whole days until the end; once it is over, days since then, negative.
fn days_left(to: UnixSeconds, now: UnixSeconds) -> i64 {
    let days = |seconds: u64| i64::try_from(seconds / DAY).unwrap_or(i64::MAX);
    if now <= to { days(to.since(now)) } else { -days(now.since(to)) - 1 }
}

/// What should be looked at of certificates that are good enough to be enrolled.
pub(super) fn remarks(enrolled: &[Enrolled], teller: &Teller<'_>) -> Vec<String> {
    let each = enrolled.iter().flat_map(|enrolled| {
        let name = format!("certificate {enrolled:.16}", enrolled = enrolled.certificate.fingerprint().to_string());
        let structure = &enrolled.structure;
        let nothing = teller.opens(enrolled).next().is_none().then(|| {
            format!("{name} opens no mailbox: the directory lists structure {structure} at none that lets it in")
        });
        let standing = match enrolled.standing(teller.now) {
            Standing::NotYetValid => Some(format!("{name} is not valid yet")),
            Standing::ExpiresSoon => Some(format!("{name} expires soon")),
            Standing::Good | Standing::Expired | Standing::Withdrawn | Standing::ChainUnknown => None,
        };
        nothing.into_iter().chain(standing)
    });
    each.collect()
}

/// What is wrong with one.
pub(super) fn problem(problem: Problem) -> proto::CertificateProblem {
    let Problem { file, position, subject, problem, remedy } = problem;
    proto::CertificateProblem { file, position, subject, problem, remedy }
}

/// A name of a file as it may be shown again.
pub(super) fn line(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(MAX_NAME).collect()
}
