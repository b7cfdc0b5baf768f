//! The exported functions: convert, call the rules, convert back.
//!
//! Owns no rule. It traps, which the host takes for "no decision", where settings come in that it did not prepare.

use octroi_rules as rules;

use crate::bindings::exports::octroi::policy::{certificate, login, manifest, submission};
use crate::convert;

/// The Pro Santé Connect login policy. Other guests call it to borrow its honest answers.
#[derive(Debug)]
pub struct Policy;

impl manifest::Guest for Policy {
    fn describe() -> manifest::Card {
        manifest::Card {
            name: "pro-sante-connect".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            settings_schema: rules::SETTINGS_SCHEMA.into(),
        }
    }

    fn configure(settings: String) -> Result<Vec<u8>, Vec<manifest::Problem>> {
        rules::configure(&settings).map_err(|problems| problems.into_iter().map(convert::problem).collect())
    }
}

impl login::Guest for Policy {
    fn open(settings: Vec<u8>, attempt: login::Attempt, now: login::Seconds) -> Result<login::Inquiry, login::Refusal> {
        rules::open(&prepared(&settings), &convert::attempt(&attempt), now)
            .map(convert::inquiry)
            .map_err(|reason| login::Refusal { reason: convert::deny_reason(reason) })
    }

    fn decide(
        settings: Vec<u8>,
        inquiry: login::Inquiry,
        evidence: login::Evidence,
        now: login::Seconds,
    ) -> login::Verdict {
        let verdict =
            rules::decide(&prepared(&settings), convert::inquiry_back(inquiry), convert::evidence(evidence), now);
        convert::verdict(verdict)
    }
}

impl submission::Guest for Policy {
    fn judge(settings: Vec<u8>, request: submission::Request) -> submission::Verdict {
        convert::judgement(rules::judge(&prepared(&settings), &convert::submission(request)))
    }
}

impl certificate::Guest for Policy {
    fn judge(settings: Vec<u8>, request: certificate::Request, now: certificate::Seconds) -> certificate::Verdict {
        let request = convert::certificate(request);
        convert::certificate_verdict(rules::judge_certificate(&prepared(&settings), &request, now))
    }
}

/// The settings that `configure` prepared. Others can't be judged with, and the contract has no answer for that: the
/// trap is what makes the host report an outage instead of a refusal.
#[expect(clippy::panic, reason = "a trap is the one honest answer to settings that this component did not prepare")]
fn prepared(settings: &[u8]) -> rules::Settings<'_> {
    match rules::Settings::prepared(settings) {
        Some(settings) => settings,
        None => panic!("settings of another policy"),
    }
}
