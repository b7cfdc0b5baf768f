//! The request path: open, prove, decide, rails. Every way in ends here, and nothing else lets anybody in.
//!
//! What is at hand (keys, no introspection) is judged in one computation on one policy instance. What has to be
//! awaited is awaited without an instance: see [`Step`].

mod attempt;
mod certificate;
mod probation;
mod proof;
mod service;
mod shadow;
mod standing;
mod submission;
mod terms;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Semaphore;

pub use attempt::{Attempt, Credentials, Decision, DecisionId, Door, Outcome, Protocol};
pub use certificate::{CertificateAttempt, CertificateDecision, CertificateOutcome, Opened};
pub use probation::{Failed, Probation};
pub use service::{Partial, Service, Share};
pub use shadow::{Sample, Shadow, ShadowReport};
pub use standing::Basis;
pub use submission::{Encryption, Holder, Login, Stage, Submission, SubmissionOutcome};
use terms::{algorithm, ask, listed, presented, raw};

use crate::audit::{Audit, Judgement};
use crate::clock::{Clock, UnixSeconds};
use crate::evidence::certificate::Certificates;
use crate::evidence::directory::Directory;
use crate::evidence::introspection::Introspection;
use crate::evidence::keys::{Keys, KeysState, Lookup, VerifyingKey};
use crate::evidence::signatures::{Signatures, SignaturesStatus};
use crate::evidence::token::{Presented, Proven, Unproven};
use crate::evidence::trust_space::TrustSpace;
use crate::policy::wit::login::{self, Evidence, Inquiry, Introspect, Verdict};
use crate::policy::{Instance, Release};
use crate::rails::{self, Ground, Rails};
use crate::reason::{DenyReason, UnavailableReason};
use crate::recording::Recorder;
use crate::throttle::{Throttle, Work};

/// One issuer of tokens and what belongs to it alone.
pub struct Issuer {
    /// `iss`, byte for byte.
    pub name: Arc<str>,
    /// Domains in which its tokens may open mailboxes.
    pub mailbox_domains: Vec<String>,
    /// Its keys.
    pub keys: Keys,
    /// Its introspection endpoint, where one is configured.
    pub introspection: Option<Introspection>,
}

/// What the gate is made of.
pub struct Parts {
    /// The policy in service.
    pub release: Release,
    /// Issuers, each with its own keys.
    pub issuers: Vec<Issuer>,
    /// Whose mailbox it is.
    pub directory: Directory,
    /// To whom one may send, where the policy asks.
    pub trust_space: TrustSpace,
    /// Client certificates: chains, enrolment, revocation.
    pub certificates: Certificates,
    /// Numbers of the rails.
    pub rails: Rails,
    /// Signatures that held a moment ago.
    pub signatures: Signatures,
    /// Limits of the work that one client address can cause for nothing.
    pub throttle: Throttle,
    /// Where decisions are recorded.
    pub audit: Audit,
    /// Records decisions for replay, where that is wished.
    pub recorder: Option<Arc<Recorder>>,
    /// The clock.
    pub clock: Clock,
    /// Most attempts at one moment.
    pub max_in_flight: usize,
}

/// The gate.
pub struct Gate {
    service: ArcSwap<Service>,
    shadow: ArcSwapOption<Shadow>,
    issuers: Vec<Issuer>,
    directory: Directory,
    trust_space: TrustSpace,
    certificates: Certificates,
    rails: Rails,
    signatures: Signatures,
    throttle: Throttle,
    audit: Audit,
    recorder: Option<Arc<Recorder>>,
    clock: Clock,
    in_flight: Semaphore,
}

/// How far an attempt gets without waiting for anybody.
enum Step {
    /// Decided.
    Done(Outcome),
    /// Something has to be awaited. The instance that opened the attempt is gone by now.
    Wait(Box<Inquiry>, Missing),
}

/// What is not at hand.
enum Missing {
    /// A key that fits.
    Key,
    /// A turn: the client's address wasted its share, and the signature is not known to hold under this key.
    Turn(Arc<VerifyingKey>),
    /// A newer key of the same name: this one does not verify the signature.
    NewerKey(Arc<VerifyingKey>),
    /// The issuer's word on the token, whose signature holds.
    Word(Arc<Proven>),
}

impl Gate {
    /// Builds the gate.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            service: ArcSwap::from_pointee(Service::of(Arc::new(parts.release))),
            shadow: ArcSwapOption::empty(),
            issuers: parts.issuers,
            directory: parts.directory,
            trust_space: parts.trust_space,
            certificates: parts.certificates,
            rails: parts.rails,
            signatures: parts.signatures,
            throttle: parts.throttle,
            audit: parts.audit,
            recorder: parts.recorder,
            clock: parts.clock,
            in_flight: Semaphore::new(parts.max_in_flight),
        }
    }

    /// The policies in service.
    #[must_use]
    pub fn service(&self) -> Arc<Service> {
        self.service.load_full()
    }

    /// Puts other policies into service, for attempts that begin from now on; each that is under way ends under the one
    /// it began with, its second call included.
    pub fn put_in_service(&self, service: Service) {
        self.service.store(Arc::new(service));
    }

    /// The release in the shadow of the one in service.
    #[must_use]
    pub fn shadow(&self) -> Option<Arc<Shadow>> {
        self.shadow.load_full()
    }

    /// Lets a release answer beside the one in service, or none.
    pub fn put_in_shadow(&self, shadow: Option<Shadow>) {
        self.shadow.store(shadow.map(Arc::new));
    }

    /// The issuers, for the operator's view.
    #[must_use]
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// Whether anybody's token can be judged: one issuer that is away must not take the others' logins out of service
    /// with it.
    #[must_use]
    pub fn can_judge(&self) -> bool {
        self.issuers.iter().any(|issuer| issuer.keys.state() != KeysState::Unavailable)
    }

    /// The signatures held, for the operator's view.
    #[must_use]
    pub fn signatures(&self) -> SignaturesStatus {
        self.signatures.status()
    }

    /// The limits of work, for the operator's view.
    #[must_use]
    pub const fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// Judges one attempt and records the decision.
    pub async fn authenticate(&self, attempt: Attempt) -> Decision {
        self.recorded(&attempt, &mut Facts::default()).await
    }

    async fn recorded(&self, attempt: &Attempt, facts: &mut Facts) -> Decision {
        let id = DecisionId::random();
        let begun = tokio::time::Instant::now();
        let service = self.service.load_full();
        let asked = ask(attempt);
        let release = self.chosen(&service, &asked);
        let outcome = self.judge(&release, attempt, &asked, facts).await;
        self.audit.judgement(&Judgement {
            id,
            now: self.clock.now(),
            attempt,
            outcome: &outcome,
            release: release.digest(),
            issuer: facts.issuer.as_deref(),
            key_id: facts.key_id.as_deref(),
            key_generation: facts.key_generation,
            identities_differ: facts.identities_differ,
            took: begun.elapsed(),
        });
        self.watch(&service, &release, attempt, &outcome, facts.person.as_deref());
        self.show(id, attempt, asked, &outcome, facts, release);
        Decision { id, outcome }
    }

    async fn judge(&self, release: &Release, attempt: &Attempt, asked: &login::Attempt, facts: &mut Facts) -> Outcome {
        let Ok(_place) = self.in_flight.try_acquire() else { return UnavailableReason::Overloaded.into() };
        let Some(raw) = raw(&attempt.credentials) else { return DenyReason::MessageMalformed.into() };
        match self.at_once(release, attempt, asked, &raw, self.clock.now(), facts) {
            Step::Done(outcome) => outcome,
            Step::Wait(inquiry, missing) => match self.prove(attempt, &inquiry, missing, &raw, facts).await {
                Ok((proven, introspection)) => {
                    // Time passed: a fresh instance, a fresh look at the clock.
                    let now = self.clock.now();
                    let basis = Basis { inquiry: *inquiry, proven, introspection };
                    let outcome = match release.instance() {
                        Ok(instance) => self.decide(instance, attempt.mailbox.as_deref(), &basis, now),
                        Err(fault) => fault.into(),
                    };
                    facts.basis = Some(basis);
                    outcome
                }
                Err(outcome) => outcome,
            },
        }
    }

    /// Opens the attempt and, where everything is at hand, proves and decides on the same instance. Not async: the
    /// instance can't outlive it.
    fn at_once(
        &self,
        release: &Release,
        attempt: &Attempt,
        asked: &login::Attempt,
        raw: &[u8],
        now: UnixSeconds,
        facts: &mut Facts,
    ) -> Step {
        facts.opened = now;
        let mut instance = match release.instance() {
            Ok(instance) => instance,
            Err(fault) => return Step::Done(fault.into()),
        };
        let inquiry = match instance.open(asked, now) {
            Ok(Ok(inquiry)) => inquiry,
            Ok(Err(refusal)) => return Step::Done(DenyReason::from(refusal.reason).into()),
            Err(fault) => return Step::Done(fault.into()),
        };
        facts.read(&inquiry);
        let Some(issuer) = self.issuer(&inquiry.issuer) else { return Step::Done(DenyReason::RailIssuer.into()) };
        let Some(presented) = presented(attempt, &inquiry, raw) else {
            return Step::Done(DenyReason::RailToken.into());
        };
        let key = match issuer.keys.lookup(inquiry.key_id.as_deref(), algorithm(inquiry.algorithm)) {
            Lookup::Found(key) => key,
            Lookup::Unfit => return Step::Done(DenyReason::KeyUnfit.into()),
            Lookup::Unknown | Lookup::Unavailable => return Step::Wait(Box::new(inquiry), Missing::Key),
        };
        if !self.throttle.slowed_for(Work::Signature, attempt.client).is_zero()
            && !self.signatures.knows(presented.token(), &key)
        {
            return Step::Wait(Box::new(inquiry), Missing::Turn(key));
        }
        match self.proven(&presented, &key, &inquiry, facts) {
            Err(Outcome::Deny(DenyReason::SignatureInvalid)) => Step::Wait(Box::new(inquiry), Missing::NewerKey(key)),
            Err(outcome) => Step::Done(outcome),
            Ok(proven) if inquiry.introspect == Introspect::Never => {
                let basis = Basis { inquiry, proven, introspection: login::Introspection::NotAsked };
                let outcome = self.decide(instance, attempt.mailbox.as_deref(), &basis, now);
                facts.basis = Some(basis);
                Step::Done(outcome)
            }
            Ok(proven) => Step::Wait(Box::new(inquiry), Missing::Word(proven)),
        }
    }

    /// Verifies the signature and holds the payload against the first rails, before anybody is asked about it.
    fn proven(
        &self,
        presented: &Presented<'_>,
        key: &VerifyingKey,
        inquiry: &Inquiry,
        facts: &mut Facts,
    ) -> Result<Arc<Proven>, Outcome> {
        facts.key_id.clone_from(&key.kid);
        facts.key_generation = Some(key.generation.number());
        let proven = self.signatures.proven(presented.token(), key, || presented.verify(key));
        let proven = proven.map_err(|unproven| match unproven {
            Unproven::Signature => DenyReason::SignatureInvalid,
            Unproven::Payload => DenyReason::TokenMalformed,
        })?;
        facts.person = proven.person().map(str::to_owned);
        rails::issuer(&proven, &inquiry.issuer)?;
        // At the moment for which the policy answered: what ends while a key is waited for is its to say, when it
        // decides.
        rails::time(&proven, self.rails, facts.opened)?;
        rails::identity(&proven, &inquiry.identity)?;
        Ok(proven)
    }

    /// Lets the policy decide, and cuts its verdict down to what the rails allow.
    fn decide(&self, mut instance: Instance<'_>, asked: Option<&str>, basis: &Basis, now: UnixSeconds) -> Outcome {
        let Basis { inquiry, proven, introspection } = basis;
        let Some(issuer) = self.issuer(&inquiry.issuer) else { return DenyReason::RailIssuer.into() };
        let directory = self.directory.snapshot();
        let mailboxes = rails::listed(&directory, &inquiry.identity, &issuer.mailbox_domains).map(listed).collect();
        let evidence = Evidence { introspection: introspection.clone(), mailboxes };
        match instance.decide(inquiry, &evidence, now) {
            Err(fault) => fault.into(),
            Ok(Verdict::Deny(reason)) => DenyReason::from(reason).into(),
            Ok(Verdict::Unavailable(reason)) => UnavailableReason::from(reason).into(),
            Ok(Verdict::Allow(grant)) => {
                let ground = Ground {
                    proven,
                    issuer: &issuer.name,
                    domains: &issuer.mailbox_domains,
                    directory: &directory,
                    asked: [asked, inquiry.mailbox.as_deref()],
                };
                match rails::permit(&grant, &ground, self.rails, now) {
                    Ok(permit) => Outcome::Allow(permit),
                    Err(reason) => reason.into(),
                }
            }
        }
    }

    fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| &*issuer.name == name)
    }
}

/// What is kept of an attempt, whatever its end: for the audit record, and for whoever judges it again.
#[derive(Default)]
struct Facts {
    issuer: Option<String>,
    key_id: Option<String>,
    key_generation: Option<u64>,
    /// When the policy opened the attempt.
    opened: UnixSeconds,
    /// The person whom the token names, once its signature held.
    person: Option<String>,
    identities_differ: bool,
    basis: Option<Basis>,
}

impl Facts {
    fn read(&mut self, inquiry: &Inquiry) {
        self.issuer = Some(inquiry.issuer.clone());
        self.identities_differ = inquiry.identities_differ;
    }
}
