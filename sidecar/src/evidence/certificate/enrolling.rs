//! What an operator hands in to be enrolled: looked at as a whole, every problem told with its place and its remedy.

use std::collections::HashMap;

use super::enrolled::{Enrolled, MAX_ENROLLED, Set};
use super::{BadCertificate, BadStructure, Certificate, Chains, Fingerprint, NotOfChain};
use crate::clock::UnixSeconds;

/// Largest import, bytes, all files together.
pub const MAX_IMPORT: usize = 1024 * 1024;

/// A file as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Its name, for people.
    pub name: String,
    /// PEM with one or more certificates, or one in DER.
    pub content: Vec<u8>,
}

/// What is wrong, where, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file; empty: all files together.
    pub file: String,
    /// Which certificate of the file, from 1; 0: the file as a whole.
    pub position: u32,
    /// Subject of the certificate, where it could be read.
    pub subject: String,
    /// What is wrong.
    pub problem: String,
    /// How to mend it; empty where the problem says it.
    pub remedy: String,
}

/// What a certificate is held against.
pub struct Surroundings<'a> {
    /// What is enrolled already.
    pub present: &'a Set,
    /// The configured chains.
    pub chains: &'a Chains,
    /// Now.
    pub now: UnixSeconds,
}

/// Reads the files: the certificates to enrol, in their order, or every problem. Blocks for the signatures.
///
/// # Errors
/// Nothing of the files is to be enrolled.
pub fn examine(files: &[Submitted], around: &Surroundings<'_>) -> Result<Vec<Enrolled>, Vec<Problem>> {
    let whole = |problem: String, remedy: &str| {
        let (file, subject, remedy) = (String::new(), String::new(), remedy.to_owned());
        vec![Problem { file, position: 0, subject, problem, remedy }]
    };
    let bytes: usize = files.iter().map(|file| file.content.len()).sum();
    if bytes > MAX_IMPORT {
        return Err(whole(format!("the files have more than {MAX_IMPORT} bytes"), "import them in several parts"));
    }
    let mut found = Found::default();
    for file in files {
        match Certificate::read_all(&file.content) {
            Ok(all) => {
                for (position, certificate) in (1..).zip(all) {
                    found.take(file, position, certificate, around);
                }
            }
            Err(bad) => found.unreadable(file, &bad),
        }
    }
    if found.good.is_empty() && found.problems.is_empty() {
        return Err(whole("there is no certificate".to_owned(), "name at least one file with a certificate"));
    }
    let total = around.present.all().len() + found.good.len();
    if total > MAX_ENROLLED {
        let problem =
            format!("{total} certificates would be kept, at most {MAX_ENROLLED} are, those withdrawn included");
        found.problems.extend(whole(problem, "enrol those alone that open a mailbox"));
    }
    if found.problems.is_empty() { Ok(found.good) } else { Err(found.problems) }
}

/// What was found on the way.
#[derive(Default)]
struct Found {
    good: Vec<Enrolled>,
    problems: Vec<Problem>,
    /// Where each certificate stands first.
    seen: HashMap<Fingerprint, String>,
}

impl Found {
    fn unreadable(&mut self, file: &Submitted, bad: &BadCertificate) {
        self.problems.push(Problem {
            file: file.name.clone(),
            position: 0,
            subject: String::new(),
            problem: bad.to_string(),
            remedy: String::new(),
        });
    }

    fn take(&mut self, file: &Submitted, position: u32, certificate: Certificate, around: &Surroundings<'_>) {
        let mut problems = Vec::new();
        if certificate.is_ca() {
            let problem = "it is the certificate of an authority, which opens no mailbox";
            problems
                .push((problem.to_owned(), "leave it out here; it belongs into ca_files of a [[chain]]".to_owned()));
        } else {
            self.known(&certificate, around, &mut problems);
            if let Some(enrolled) = usable(certificate.clone(), around, &mut problems) {
                self.good.push(enrolled);
            }
        }
        self.seen.entry(certificate.fingerprint()).or_insert_with(|| format!("{}, certificate {position}", file.name));
        let subject = certificate.subject();
        self.problems.extend(problems.into_iter().map(|(problem, remedy)| Problem {
            file: file.name.clone(),
            position,
            subject: subject.to_owned(),
            problem,
            remedy,
        }));
    }

    /// Whether it was enrolled before, or stands in these files twice.
    fn known(&self, certificate: &Certificate, around: &Surroundings<'_>, problems: &mut Vec<(String, String)>) {
        let fingerprint = certificate.fingerprint();
        if let Some(first) = self.seen.get(&fingerprint) {
            problems.push((format!("it stands here twice, first in {first}"), "leave one of the two out".to_owned()));
        }
        let new_key = || "ask the authority for a new certificate, with a new key".to_owned();
        if around.present.is_withdrawn(&fingerprint) {
            problems.push(("it was withdrawn, and what was withdrawn is not enrolled again".to_owned(), new_key()));
        } else if around.present.by_fingerprint(&fingerprint).is_some() {
            problems.push(("it is enrolled already".to_owned(), "leave it out".to_owned()));
        } else if around.present.is_key_withdrawn(certificate.public_key()) {
            let problem = "its key is that of a certificate that was withdrawn";
            problems.push((problem.to_owned(), new_key()));
        }
    }
}

/// The certificate as it is to be enrolled, where there is no problem.
fn usable(
    certificate: Certificate,
    around: &Surroundings<'_>,
    problems: &mut Vec<(String, String)>,
) -> Option<Enrolled> {
    let structure = certificate.structure().map_err(|bad| problems.push(structure(&bad))).ok();
    if certificate.not_after() < around.now {
        problems.push(("it has expired".to_owned(), "ask the authority for a new one".to_owned()));
    }
    let found = around.chains.find(&certificate);
    let issuer = found.as_ref().and_then(|(_, path)| path.issuer()).map(Certificate::fingerprint);
    let chain = found.map(|(chain, _)| chain.name().to_owned());
    if chain.is_none() {
        problems.push(not_vouched(&certificate, around.chains));
    }
    let (structure, chain) = (structure?, chain?);
    let (enrolled_at, withdrawn_at) = (around.now, None);
    let enrolled = Enrolled { certificate, structure, chain: Some(chain), issuer, enrolled_at, withdrawn_at };
    problems.is_empty().then_some(enrolled)
}

/// Why no configured chain vouches for it, and how to mend it.
fn not_vouched(certificate: &Certificate, chains: &Chains) -> (String, String) {
    let mut reasons = chains.0.iter().filter_map(|chain| chain.path(certificate).err());
    // What is wrong with the certificate itself says more than that some chain does not know its issuer.
    let reason = reasons.find(|reason| *reason != NotOfChain::UnknownIssuer).unwrap_or(NotOfChain::UnknownIssuer);
    let (problem, remedy) = match reason {
        NotOfChain::UnknownIssuer => (
            format!("no configured chain vouches for it, its issuer is {}", certificate.issuer()),
            "name the authorities of this issuer in ca_files of a [[chain]] and restart, if it is to be trusted",
        ),
        NotOfChain::Signature => (
            reason.to_string(),
            "do not trust it, unless ca_files of that [[chain]] hold an old certificate of the authority",
        ),
        NotOfChain::Purpose => (reason.to_string(), "order a certificate of the kind ORG AUTH_CLI"),
        NotOfChain::Authority | NotOfChain::UnknownCritical => (reason.to_string(), "order another from the authority"),
    };
    (problem, remedy.to_owned())
}

/// What is wrong with the structure, and how to mend it.
fn structure(bad: &BadStructure) -> (String, String) {
    let remedy = match bad {
        BadStructure::NoUnit => "order a certificate of the structure (ORG AUTH_CLI)",
        BadStructure::Ambiguous(_) | BadStructure::NotAnIdentifier(_) => {
            "order a certificate of the kind ORG AUTH_CLI: its only OU is a digit for the type and the identifier"
        }
    };
    (bad.to_string(), remedy.to_owned())
}

#[cfg(test)]
mod tests;
