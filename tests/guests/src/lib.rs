//! What hostile policies have in common: the honest policy to borrow from, and the people they wrong.
//!
//! Each example breaks one thing and leaves the rest honest, so that the one rail meant for it must hold. Built for
//! wasm32 alone; never part of what is shipped.

mod forge;

pub use forge::{host_field, redated};
pub use octroi_policy::Policy as Honest;
pub use octroi_policy::bindings::exports::octroi::policy::{certificate, login, manifest, submission};
use octroi_policy::bindings::exports::octroi::policy::{login::Guest as _, manifest::Guest as _};

pub use login::{Attempt, Evidence, Grant, Inquiry, Refusal, Seconds, Span, Verdict};

/// National identifiers of two doctors known to the stand-in provider.
pub const DOCTORS: [&str; 2] = ["899700000011", "899700000022"];

/// One mailbox of each of them, one of a service and one of software.
pub const MAILBOXES: [&str; 4] = [
    "docteur.un@bal.example.test",
    "docteur.deux@bal.example.test",
    "secretariat@bal.example.test",
    "automate@bal.example.test",
];

/// A policy that is honest wherever it says nothing else. Functions as in the contract.
pub trait Hostile {
    /// See the contract.
    fn describe() -> manifest::Card {
        card()
    }

    /// See the contract.
    ///
    /// # Errors
    /// See the contract.
    fn configure(settings: String) -> Result<Vec<u8>, Vec<manifest::Problem>> {
        Honest::configure(settings)
    }

    /// See the contract.
    ///
    /// # Errors
    /// See the contract.
    fn open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
        Honest::open(settings, attempt, now)
    }

    /// See the contract.
    fn decide(settings: Vec<u8>, inquiry: Inquiry, evidence: Evidence, now: Seconds) -> Verdict {
        Honest::decide(settings, inquiry, evidence, now)
    }

    /// See the contract.
    fn judge(settings: Vec<u8>, request: submission::Request) -> submission::Verdict {
        <Honest as submission::Guest>::judge(settings, request)
    }

    /// See the contract, interface `certificate`.
    fn judge_certificate(settings: Vec<u8>, request: certificate::Request, now: Seconds) -> certificate::Verdict {
        <Honest as certificate::Guest>::judge(settings, request, now)
    }
}

/// The honest `open`.
///
/// # Errors
/// See the contract.
pub fn honest_open(settings: Vec<u8>, attempt: Attempt, now: Seconds) -> Result<Inquiry, Refusal> {
    Honest::open(settings, attempt, now)
}

/// The honest `decide`.
#[must_use]
pub fn honest_decide(settings: Vec<u8>, inquiry: Inquiry, evidence: Evidence, now: Seconds) -> Verdict {
    Honest::decide(settings, inquiry, evidence, now)
}

/// The card of the honest policy: a hostile one does not say so.
#[must_use]
pub fn card() -> manifest::Card {
    Honest::describe()
}

/// The doctor who isn't the given person.
#[must_use]
pub fn another_doctor(identity: &str) -> String {
    let [first, second] = DOCTORS;
    if identity == first { second.into() } else { first.into() }
}

/// Exports a type that implements [`Hostile`] as the policy of the component.
#[macro_export]
macro_rules! hostile {
    ($policy:ident) => {
        struct Exported;

        impl $crate::manifest::Guest for Exported {
            fn describe() -> $crate::manifest::Card {
                <$policy as $crate::Hostile>::describe()
            }

            fn configure(settings: String) -> Result<Vec<u8>, Vec<$crate::manifest::Problem>> {
                <$policy as $crate::Hostile>::configure(settings)
            }
        }

        impl $crate::login::Guest for Exported {
            fn open(
                settings: Vec<u8>,
                attempt: $crate::Attempt,
                now: $crate::Seconds,
            ) -> Result<$crate::Inquiry, $crate::Refusal> {
                <$policy as $crate::Hostile>::open(settings, attempt, now)
            }

            fn decide(
                settings: Vec<u8>,
                inquiry: $crate::Inquiry,
                evidence: $crate::Evidence,
                now: $crate::Seconds,
            ) -> $crate::Verdict {
                <$policy as $crate::Hostile>::decide(settings, inquiry, evidence, now)
            }
        }

        impl $crate::submission::Guest for Exported {
            fn judge(settings: Vec<u8>, request: $crate::submission::Request) -> $crate::submission::Verdict {
                <$policy as $crate::Hostile>::judge(settings, request)
            }
        }

        impl $crate::certificate::Guest for Exported {
            fn judge(
                settings: Vec<u8>,
                request: $crate::certificate::Request,
                now: $crate::Seconds,
            ) -> $crate::certificate::Verdict {
                <$policy as $crate::Hostile>::judge_certificate(settings, request, now)
            }
        }

        octroi_policy::export_policy!(Exported);
    };
}
