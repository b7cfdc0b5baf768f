//! One client's side of Dovecot's auth protocol as a state machine: lines in, steps out. No IO, no clock, no decision.
//!
//! A refusal takes two steps, as XOAUTH2 and OAUTHBEARER (RFC 7628 section 3.2.3) want it: a challenge that says why,
//! and a FAIL once the client has acknowledged it.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::line::{Auth, Line};
use crate::doors::answer::{Mechanism, SaslAnswer, sasl_challenge, sasl_failure};
use crate::evidence::directory::MailboxAddress;
use crate::reason::DenyReason;
use crate::secret::Token;

/// Exchanges that one connection may have open. Postfix has one; more are abandoned ones.
const OPEN: usize = 8;

/// Which mechanisms a socket offers. Postfix passes on what was never advertised: nothing else is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offer {
    /// XOAUTH2 and OAUTHBEARER.
    #[default]
    Tokens,
    /// EXTERNAL (RFC 4422 appendix A), for a port that asks for client certificates.
    Certificates,
}

/// The mechanism of client certificates.
pub(in crate::doors) const EXTERNAL: &str = "EXTERNAL";

/// Where a conversation stands.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    offer: Offer,
    versioned: bool,
    cpid: Option<u32>,
    /// Oldest first.
    open: Vec<(u32, Awaited)>,
}

/// What an exchange waits for.
#[derive(Debug)]
enum Awaited {
    /// The client's only message.
    Response(Mechanism, Origin),
    /// The mailbox that EXTERNAL is for.
    Mailbox,
    /// The client's acknowledgement of a challenge.
    Acknowledgement(DenyReason),
}

/// Where an exchange comes from, as the mail server tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) service: Option<String>,
    pub(super) client: Option<IpAddr>,
}

/// A message to be judged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) id: u32,
    pub(super) mechanism: Mechanism,
    pub(super) response: Token,
    pub(super) origin: Origin,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Nothing,
    /// Send this line.
    Say(String),
    /// The client of this exchange wants this mailbox by its certificate.
    Claim(u32, MailboxAddress),
    /// Have this judged, and come back with [`Conversation::answered`].
    Judge(Question),
    /// Close the connection: to Postfix that is a temporary failure (454), and never an accept.
    Close,
}

/// What a client may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Violation {
    /// A command before the handshake, or a handshake twice.
    #[error("a command out of order")]
    Order,
    /// Another major version than 1.
    #[error("another version of the protocol")]
    Version,
    /// An exchange that is open already, or a CONT without one.
    #[error("an exchange that is open already, or was never begun")]
    Exchange,
}

impl Conversation {
    /// A conversation on a socket with this offer.
    pub(super) fn new(offer: Offer) -> Self {
        Self { offer, ..Self::default() }
    }

    /// What the server says first.
    pub(super) fn greeting(&self, server_pid: u32, connection: u32, cookie: u128) -> String {
        let mechanisms: String = match self.offer {
            Offer::Tokens => {
                Mechanism::ALL.iter().map(|mechanism| format!("MECH\t{}\tplaintext\n", mechanism.name())).collect()
            }
            Offer::Certificates => format!("MECH\t{EXTERNAL}\n"),
        };
        format!("VERSION\t1\t1\n{mechanisms}SPID\t{server_pid}\nCUID\t{connection}\nCOOKIE\t{cookie:032x}\nDONE\n")
    }

    /// The process id that the client named, once the handshake is done.
    pub(super) const fn cpid(&self) -> Option<u32> {
        self.cpid
    }

    /// Takes one line.
    pub(super) fn hear(&mut self, line: Line) -> Result<Step, Violation> {
        match line {
            Line::Version(1) if !self.versioned => {
                self.versioned = true;
                Ok(Step::Nothing)
            }
            Line::Version(1) => Err(Violation::Order),
            Line::Version(_) => Err(Violation::Version),
            Line::Cpid(pid) if self.versioned && self.cpid.is_none() => {
                self.cpid = Some(pid);
                Ok(Step::Nothing)
            }
            Line::Unknown => Ok(Step::Nothing),
            Line::Cpid(_) => Err(Violation::Order),
            Line::Auth(_) | Line::Cont { .. } | Line::Cancel(_) if self.cpid.is_none() => Err(Violation::Order),
            Line::Auth(auth) => self.begin(auth),
            Line::Cont { id, response } => self.go_on(id, response),
            Line::Cancel(id) => {
                // Crossing with our own last word it names nothing any more: fine.
                self.open.retain(|(open, _)| *open != id);
                Ok(Step::Nothing)
            }
        }
    }

    fn begin(&mut self, auth: Auth) -> Result<Step, Violation> {
        let Auth { id, mechanism, response, service, client } = auth;
        if self.open.iter().any(|(open, _)| *open == id) {
            return Err(Violation::Exchange);
        }
        let mechanism = match (self.offer, Mechanism::parse(&mechanism)) {
            (Offer::Tokens, Some(mechanism)) => mechanism,
            (Offer::Certificates, None) if mechanism.eq_ignore_ascii_case(EXTERNAL) => {
                return Ok(match response {
                    Some(response) => claim(id, &response),
                    None => {
                        self.wait(id, Awaited::Mailbox);
                        Step::Say(format!("CONT\t{id}\t\n"))
                    }
                });
            }
            (Offer::Tokens, None) | (Offer::Certificates, _) => {
                return Ok(Step::Say(sasl_failure(id, DenyReason::MechanismUnsupported)));
            }
        };
        let origin = Origin { service, client };
        let Some(response) = response else {
            self.wait(id, Awaited::Response(mechanism, origin));
            return Ok(Step::Say(format!("CONT\t{id}\t\n")));
        };
        Ok(Step::Judge(Question { id, mechanism, response, origin }))
    }

    fn go_on(&mut self, id: u32, response: Token) -> Result<Step, Violation> {
        let at = self.open.iter().position(|(open, _)| *open == id).ok_or(Violation::Exchange)?;
        match self.open.remove(at).1 {
            Awaited::Response(mechanism, origin) => Ok(Step::Judge(Question { id, mechanism, response, origin })),
            Awaited::Mailbox => Ok(claim(id, &response)),
            Awaited::Acknowledgement(reason) => Ok(Step::Say(sasl_failure(id, reason))),
        }
    }

    /// Takes the answer to a question.
    pub(super) fn answered(&mut self, id: u32, mechanism: Mechanism, answer: &SaslAnswer) -> Step {
        match answer {
            SaslAnswer::Accept(mailbox) => Step::Say(format!("OK\t{id}\tuser={mailbox}\n")),
            SaslAnswer::Challenge(reason) => {
                self.wait(id, Awaited::Acknowledgement(*reason));
                Step::Say(sasl_challenge(id, mechanism, *reason))
            }
            SaslAnswer::Close(_) => Step::Close,
        }
    }

    fn wait(&mut self, id: u32, awaited: Awaited) {
        if self.open.len() >= OPEN {
            self.open.remove(0);
        }
        self.open.push((id, awaited));
    }
}

/// The authorization identity of EXTERNAL. An empty one would mean the certificate's own, which is no mailbox.
fn claim(id: u32, response: &Token) -> Step {
    let decoded = STANDARD.decode(response.expose()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.map(|text| MailboxAddress::parse(&text)) {
        Some(Ok(mailbox)) => Step::Claim(id, mailbox),
        Some(Err(_)) | None => Step::Say(sasl_failure(id, DenyReason::MailboxMalformed)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::line::parse;
    use super::*;
    use crate::evidence::directory::MailboxAddress;
    use crate::reason::UnavailableReason;

    fn begun() -> Conversation {
        let mut conversation = Conversation::default();
        assert_eq!(hear(&mut conversation, "VERSION\t1\t0"), Ok(Step::Nothing));
        assert_eq!(hear(&mut conversation, "CPID\t4711"), Ok(Step::Nothing));
        conversation
    }

    fn hear(conversation: &mut Conversation, line: &str) -> Result<Step, Violation> {
        conversation.hear(parse(line.as_bytes()).unwrap())
    }

    fn question(id: u32, response: &str) -> Step {
        let origin = Origin::default();
        Step::Judge(Question { id, mechanism: Mechanism::Xoauth2, response: Token::new(response), origin })
    }

    #[test]
    fn the_greeting_is_dovecots() {
        let greeting = Conversation::default().greeting(12, 3, 0xabc);
        let expected = "VERSION\t1\t1\nMECH\tXOAUTH2\tplaintext\nMECH\tOAUTHBEARER\tplaintext\nSPID\t12\nCUID\t3\n\
                        COOKIE\t00000000000000000000000000000abc\nDONE\n";
        assert_eq!(greeting, expected);
    }

    #[test]
    fn a_message_is_judged_with_and_without_initial_response() {
        let mut conversation = begun();
        assert_eq!(hear(&mut conversation, "AUTH\t1\tXOAUTH2\tresp=YQ=="), Ok(question(1, "YQ==")));
        for first in ["AUTH\t2\txoauth2", "AUTH\t3\tXOAUTH2\tresp="] {
            let id = if first.contains('2') && first.starts_with("AUTH\t2") { 2 } else { 3 };
            assert_eq!(hear(&mut conversation, first), Ok(Step::Say(format!("CONT\t{id}\t\n"))));
            assert_eq!(hear(&mut conversation, &format!("CONT\t{id}\tYQ==")), Ok(question(id, "YQ==")));
        }
        assert_eq!(conversation.cpid(), Some(4711));
    }

    #[test]
    fn a_refusal_is_a_challenge_and_then_a_fail() {
        let mut conversation = begun();
        let refused = SaslAnswer::Challenge(DenyReason::TokenExpired);
        let challenge = conversation.answered(9, Mechanism::Oauthbearer, &refused);
        // {"status":"invalid_token","scope":"octroi"}
        assert_eq!(
            challenge,
            Step::Say("CONT\t9\teyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJvY3Ryb2kifQ==\n".into())
        );
        let fail = format!("FAIL\t9\treason={}\n", DenyReason::TokenExpired.message());
        assert_eq!(hear(&mut conversation, "CONT\t9\tAQ=="), Ok(Step::Say(fail)));
        assert_eq!(hear(&mut conversation, "CONT\t9\tAQ=="), Err(Violation::Exchange));
    }

    #[test]
    fn an_accept_names_the_mailbox_and_an_outage_closes() {
        let mut conversation = begun();
        let mailbox = MailboxAddress::parse("a@x.test").unwrap();
        let accepted = conversation.answered(1, Mechanism::Xoauth2, &SaslAnswer::Accept(mailbox));
        assert_eq!(accepted, Step::Say("OK\t1\tuser=a@x.test\n".into()));
        let outage = SaslAnswer::Close(UnavailableReason::KeysUnavailable);
        assert_eq!(conversation.answered(2, Mechanism::Xoauth2, &outage), Step::Close);
    }

    #[test]
    fn other_mechanisms_fail_at_once_whatever_they_carry() {
        let mut conversation = begun();
        for mechanism in ["PLAIN", "LOGIN", "EXTERNAL", "ANONYMOUS", "XOAUTH", "OAUTHBEARER2"] {
            let fail = format!("FAIL\t5\treason={}\n", DenyReason::MechanismUnsupported.message());
            assert_eq!(
                hear(&mut conversation, &format!("AUTH\t5\t{mechanism}\tresp=YQ==")),
                Ok(Step::Say(fail.clone()))
            );
            assert_eq!(hear(&mut conversation, &format!("AUTH\t5\t{mechanism}")), Ok(Step::Say(fail)));
        }
    }

    #[test]
    fn commands_out_of_order_are_violations() {
        for lines in [
            &["AUTH\t1\tXOAUTH2"][..],
            &["CPID\t1"],
            &["VERSION\t1\t0", "AUTH\t1\tXOAUTH2"],
            &["VERSION\t1\t0", "VERSION\t1\t0"],
            &["VERSION\t2\t0"],
            &["VERSION\t1\t0", "CPID\t1", "CPID\t1"],
            &["CONT\t1\tx"],
            &["CANCEL\t1"],
            &["VERSION\t1\t0", "CPID\t1", "CONT\t1\tx"],
            &["VERSION\t1\t0", "CPID\t1", "AUTH\t1\tXOAUTH2", "AUTH\t1\tXOAUTH2"],
        ] {
            let mut conversation = Conversation::default();
            let heard: Vec<_> = lines.iter().map(|line| hear(&mut conversation, line)).collect();
            let (last, before) = heard.split_last().unwrap();
            assert!(last.is_err() && before.iter().all(Result::is_ok), "{lines:?}: {heard:?}");
        }
    }

    #[test]
    fn a_cancelled_exchange_is_gone_and_abandoned_ones_are_bounded() {
        let mut conversation = begun();
        hear(&mut conversation, "AUTH\t1\tXOAUTH2").unwrap();
        assert_eq!(hear(&mut conversation, "CANCEL\t1"), Ok(Step::Nothing));
        assert_eq!(hear(&mut conversation, "CONT\t1\tYQ=="), Err(Violation::Exchange));
        for id in 2..100 {
            hear(&mut conversation, &format!("AUTH\t{id}\tXOAUTH2")).unwrap();
        }
        assert_eq!(conversation.open.len(), OPEN);
        assert_eq!(hear(&mut conversation, "CONT\t99\tYQ=="), Ok(question(99, "YQ==")));
    }

    proptest! {
        #[test]
        fn no_sequence_of_lines_accepts_by_itself(
            lines in prop::collection::vec(prop::sample::select(vec![
                "VERSION\t1\t0", "CPID\t1", "AUTH\t1\tXOAUTH2", "AUTH\t1\tXOAUTH2\tresp=YQ==", "AUTH\t2\tPLAIN\tresp=YQ==",
                "CONT\t1\tYQ==", "CONT\t2\t", "CANCEL\t1", "OK\t1\tuser=a@x.test", "NONSENSE",
            ]), 0..40),
        ) {
            let mut conversation = Conversation::default();
            for line in lines {
                if let Ok(Step::Say(said)) = hear(&mut conversation, line) {
                    prop_assert!(!said.starts_with("OK"));
                    prop_assert_eq!(said.matches('\n').count(), 1);
                }
            }
        }
    }
}
