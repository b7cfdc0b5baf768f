//! The way of a certificate's vector through a policy.

use std::io::Write;

use super::{line, section, told};
use crate::cli::mailbox::moment;
use crate::clock::UnixSeconds;
use crate::policy::Release;
use crate::trial;
use crate::trial::certificates::{Certificate, Facts, Opening, Wanted};

pub(super) fn explain(release: &Release, shown: &Certificate, output: &mut impl Write) -> anyhow::Result<()> {
    section(output, "1. The certificate, as far as the mail server tells")?;
    facts(&shown.certificate, output)?;
    section(output, "2. The mailbox")?;
    match &shown.mailbox {
        Some(mailbox) => wanted(mailbox, output)?,
        None => line(output, "address", "the directory has none of this name")?,
    }
    section(output, "3. The verdict: judge")?;
    let found = trial::certificate(release, shown);
    match &found {
        Opening::Allow => line(output, "allow", "the certificate opens the mailbox")?,
        Opening::Deny(reason) => line(output, "deny", told(reason.code(), reason.message()))?,
        Opening::Unavailable(reason) => line(output, "unavailable", told(reason.code(), reason.message()))?,
    }
    section(output, "Afterwards")?;
    writeln!(
        output,
        "  The sidecar's rails come after this, and only ever remove: the directory's structures, the chain and its \
         domains, validity, revocation."
    )?;
    line(output, "expected", &shown.expect)?;
    line(output, "found", &found)?;
    Ok(())
}

fn facts(facts: &Facts, output: &mut impl Write) -> anyhow::Result<()> {
    let untold = "the mail server does not tell";
    let at = |moment_at: Option<u64>| match moment_at {
        Some(at) => moment(UnixSeconds(at).0),
        None => untold.to_owned(),
    };
    line(output, "structure (OU)", if facts.units.is_empty() { "none".to_owned() } else { facts.units.join(", ") })?;
    line(output, "CN", facts.common_name.as_deref().unwrap_or(untold))?;
    line(output, "issuer", facts.issuer.as_deref().unwrap_or(untold))?;
    line(output, "fingerprint", facts.fingerprint.as_deref().unwrap_or(untold))?;
    line(output, "not before", at(facts.not_before))?;
    line(output, "not after", at(facts.not_after))?;
    line(output, "chain", format_args!("{:?}, for {}", facts.chain, list(&facts.mailbox_domains)))?;
    line(output, "revocation", format_args!("{:?}", facts.revocation))
}

fn wanted(mailbox: &Wanted, output: &mut impl Write) -> anyhow::Result<()> {
    line(output, "address", format_args!("{}, {:?}", mailbox.address, mailbox.kind))?;
    line(output, "structures", list(&mailbox.structures))?;
    for (name, list) in [
        ("only these CNs", &mailbox.common_names),
        ("only by issuers", &mailbox.issuers),
        ("only these", &mailbox.fingerprints),
    ] {
        if !list.is_empty() {
            line(output, name, list.join(", "))?;
        }
    }
    Ok(())
}

fn list(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}
