//! A policy tried without mail: what it answers to vectors, before any rail. No key is asked for and nothing is
//! recorded.

pub mod certificates;
mod shown;
pub mod vectors;

use std::fmt;

use tokio::time::Instant;
use wasmparser::{Parser, Payload};

use self::certificates::{Certificate, Opening};
use self::vectors::{Answer, Judgement, Login, Submission, VectorError, Vectors};
use crate::policy::wit::login::{Inquiry, Verdict};
use crate::policy::wit::{certificate, submission};
use crate::policy::{Fault, LoadError, Release};
use crate::reason::DenyReason;

/// Custom section of a component that holds its own vectors.
pub const SECTION: &str = octroi_encode::VECTORS;

/// Most differences that are told: a policy that spins at each vector takes its whole time at each.
pub const MAX_TOLD: usize = 20;

/// The way of one login through a policy.
#[derive(Clone, Debug)]
pub struct Course {
    /// What `open` made of it. `None`: it was decided there.
    pub inquiry: Option<Inquiry>,
    /// What the policy said in the end.
    pub answer: Answer,
}

/// A vector to which the policy answers otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The vector's name.
    pub name: String,
    /// The answer written down.
    pub expected: String,
    /// The answer given.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.name, self.expected, self.found)
    }
}

/// A vector and what a policy answered to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The vector's name.
    pub name: String,
    /// The answer written down.
    pub expected: String,
    /// The answer given.
    pub found: String,
    /// Whether they are the same: mailboxes are compared in no order.
    pub alike: bool,
}

/// How a policy did on the vectors of one document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Vectors tried.
    pub tried: usize,
    /// Vectors answered otherwise, in the document's order; the trial ends after [`MAX_TOLD`] of them.
    pub differences: Vec<Difference>,
    /// The time was over before all were tried.
    pub cut: bool,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow(mailboxes) => write!(f, "allow {}", mailboxes.join(" ")),
            Self::Deny(reason) => write!(f, "deny {}", reason.code()),
            Self::Unavailable(reason) => write!(f, "unavailable {}", reason.code()),
        }
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("allow"),
            Self::Deny(reason) => write!(f, "deny {}", reason.code()),
            Self::Unavailable(reason) => write!(f, "unavailable {}", reason.code()),
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("allow"),
            Self::Deny(reason) => write!(f, "deny {}", reason.code()),
            Self::Unavailable(reason) => write!(f, "unavailable {}", reason.code()),
        }
    }
}

/// Shows one login to a policy.
///
/// # Errors
/// The vector shows nothing.
pub fn login(release: &Release, login: &Login) -> Result<Course, VectorError> {
    let attempt = login.attempt()?;
    let course = release.instance().and_then(|mut instance| {
        let inquiry = match instance.open(&attempt, login.now())? {
            Ok(inquiry) => inquiry,
            Err(refusal) => return Ok(Course { inquiry: None, answer: Answer::Deny(refusal.reason.into()) }),
        };
        let evidence = login.evidence(inquiry.introspect);
        let answer = match instance.decide(&inquiry, &evidence, login.now()) {
            Ok(verdict) => answer(verdict),
            Err(fault) => Answer::Unavailable(fault.into()),
        };
        Ok(Course { inquiry: Some(inquiry), answer })
    });
    Ok(course.unwrap_or_else(|fault: Fault| Course { inquiry: None, answer: Answer::Unavailable(fault.into()) }))
}

/// Shows one message to a policy.
#[must_use]
pub fn submission(release: &Release, submission: &Submission) -> Judgement {
    match release.instance().and_then(|mut instance| instance.judge(&submission.request())) {
        Ok(submission::Verdict::Allow) => Judgement::Allow,
        Ok(submission::Verdict::Deny(reason)) => Judgement::Deny(reason.into()),
        Ok(submission::Verdict::Unavailable(reason)) => Judgement::Unavailable(reason.into()),
        Err(fault) => Judgement::Unavailable(fault.into()),
    }
}

/// Shows one certificate to a policy.
#[must_use]
pub fn certificate(release: &Release, shown: &Certificate) -> Opening {
    let judged = release.instance().and_then(|mut instance| instance.judge_certificate(&shown.request(), shown.now()));
    match judged {
        Ok(certificate::Verdict::Allow) => Opening::Allow,
        Ok(certificate::Verdict::Deny(reason)) => Opening::Deny(reason.into()),
        Ok(certificate::Verdict::Unavailable(reason)) => Opening::Unavailable(reason.into()),
        Err(fault) => Opening::Unavailable(fault.into()),
    }
}

/// The policy under the document's settings. `None`: the document has none.
///
/// # Errors
/// The policy refuses them, or fails while it reads them.
pub fn configured(release: &Release, vectors: &Vectors) -> Result<Option<Release>, LoadError> {
    let settings = vectors.settings.as_ref();
    settings.map(|settings| release.reconfigured(&serde_json::Value::from(settings.clone()).to_string())).transpose()
}

/// What a policy answers to each vector of a document, logins first, under the settings that it has.
pub fn answers<'a>(release: &'a Release, vectors: &'a Vectors) -> impl Iterator<Item = Answered> + 'a {
    let logins = vectors.logins.iter().map(|vector| {
        let found = match login(release, vector) {
            Ok(course) => course.answer,
            Err(_) => Answer::Deny(DenyReason::MessageMalformed),
        };
        let alike = sorted(&vector.expect) == sorted(&found);
        let (name, expected) = (vector.name.clone(), vector.expect.to_string());
        Answered { name, expected, found: found.to_string(), alike }
    });
    let submissions = vectors.submissions.iter().map(|vector| {
        let found = submission(release, vector);
        let (name, expected) = (vector.name.clone(), vector.expect.to_string());
        Answered { name, expected, found: found.to_string(), alike: vector.expect == found }
    });
    let certificates = vectors.certificates.iter().map(|vector| {
        let found = certificate(release, vector);
        let (name, expected) = (vector.name.clone(), vector.expect.to_string());
        Answered { name, expected, found: found.to_string(), alike: vector.expect == found }
    });
    logins.chain(submissions).chain(certificates)
}

/// Shows all vectors of a document to a policy, under the document's settings where it has some. Takes some tens of
/// microseconds a vector, and half a second where the policy spins.
///
/// # Errors
/// The policy refuses the document's settings, or fails while it reads them.
pub fn run(release: &Release, vectors: &Vectors) -> Result<Report, LoadError> {
    run_until(release, vectors, None)
}

/// As [`run`], up to a moment: then the report says that vectors are left.
///
/// # Errors
/// As for [`run`].
pub fn run_until(release: &Release, vectors: &Vectors, until: Option<Instant>) -> Result<Report, LoadError> {
    let configured = configured(release, vectors)?;
    let mut report = Report::default();
    for Answered { name, expected, found, alike } in answers(configured.as_ref().unwrap_or(release), vectors) {
        if until.is_some_and(|until| Instant::now() >= until) {
            report.cut = true;
            break;
        }
        report.tried += 1;
        if !alike {
            report.differences.push(Difference { name, expected, found });
        }
        if report.differences.len() == MAX_TOLD {
            break;
        }
    }
    Ok(report)
}

/// The vectors that a component carries; `None`: it carries none.
///
/// # Errors
/// Its section does not hold vectors.
pub fn carried(component: &[u8]) -> Result<Option<Vectors>, VectorError> {
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| VectorError::Json(error.to_string()))? {
            Payload::CustomSection(section) if section.name() == SECTION => {
                return Vectors::read(section.data()).map(Some);
            }
            _ => {}
        }
    }
    Ok(None)
}

fn answer(verdict: Verdict) -> Answer {
    match verdict {
        Verdict::Allow(grant) => sorted(&Answer::Allow(grant.mailboxes)),
        Verdict::Deny(reason) => Answer::Deny(reason.into()),
        Verdict::Unavailable(reason) => Answer::Unavailable(reason.into()),
    }
}

fn sorted(answer: &Answer) -> Answer {
    match answer {
        Answer::Allow(mailboxes) => {
            let mut mailboxes = mailboxes.clone();
            mailboxes.sort_unstable();
            Answer::Allow(mailboxes)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
