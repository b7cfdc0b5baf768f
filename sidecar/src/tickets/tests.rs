use std::io::Write;
use std::sync::{Arc, Mutex};

use super::*;
use crate::gate::{Credentials, Decision, Door, Protocol};
use crate::pseudonym::Pseudonyms;
use crate::secret::Token;

const NOW: UnixSeconds = UnixSeconds(1_764_000_000);

/// Keeps what is written to it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Bench {
    tickets: Tickets,
    clock: Clock,
    kept: Kept,
    /// What the login is worth at a redemption.
    later: Arc<Mutex<Option<Outcome>>>,
}

impl Bench {
    /// Logins that are allowed at first, and are later worth what the test says.
    fn new() -> Self {
        let (kept, clock, later) = (Kept::default(), Clock::manual(NOW), Arc::<Mutex<Option<Outcome>>>::default());
        let audit = Audit::to(kept.clone(), Pseudonyms::from_key(&[1; 32])).unwrap();
        let worth = Arc::clone(&later);
        let judge = StandingJudge::new(move |attempt: Attempt| {
            let outcome = Outcome::Allow(Permit::example_for(&attempt.mailbox.unwrap_or_default()));
            let worth = Arc::clone(&worth);
            let standing = Standing::new(move |mailbox| {
                let worth = worth.lock().unwrap().clone();
                worth.unwrap_or_else(|| Outcome::Allow(Permit::example_for(mailbox.as_str())))
            });
            std::future::ready((Decision { id: DecisionId::example(), outcome }, Some(standing)))
        });
        Self { tickets: Tickets::new(judge, TicketLimits::with_life(60), audit, clock.clone()), clock, kept, later }
    }

    async fn issue(&self) -> Ticket {
        match self.ask().await {
            IssueOutcome::Issued { ticket, .. } => ticket,
            other => panic!("{other:?}"),
        }
    }

    async fn ask(&self) -> IssueOutcome {
        let attempt = Attempt {
            credentials: Credentials::Bearer(Token::new("planted-token")),
            mailbox: Some("a@x.test".to_owned()),
            protocol: Protocol::Imap,
            door: Door::Ticket,
            client: Some([192, 0, 2, 1].into()),
        };
        self.tickets.issue(attempt).await.outcome
    }

    fn redeem(&self, ticket: &Ticket) -> String {
        match self.tickets.redeem(ticket.expose().as_bytes(), "a@x.test", None).outcome {
            Outcome::Allow(permit) => permit.mailboxes()[0].to_string(),
            Outcome::Deny(reason) => reason.code().to_owned(),
            Outcome::Unavailable(reason) => format!("unavailable {}", reason.code()),
        }
    }
}

#[tokio::test]
async fn a_redemption_is_worth_what_its_login_is_worth_by_then() {
    let bench = Bench::new();
    let ticket = bench.issue().await;
    for (worth, said) in [
        (DenyReason::TokenExpired.into(), "token-expired"),
        (DenyReason::RailSession.into(), "rail-session"),
        (DenyReason::NoMailbox.into(), "no-mailbox"),
        (UnavailableReason::PolicyTrapped.into(), "unavailable policy-trapped"),
    ] {
        *bench.later.lock().unwrap() = Some(worth);
        assert_eq!(bench.redeem(&ticket), said);
    }
    *bench.later.lock().unwrap() = None;
    assert_eq!(bench.redeem(&ticket), "a@x.test");
    assert_eq!(bench.redeem(&ticket), "ticket-used");
    let late = bench.issue().await;
    bench.clock.set(NOW.plus(60));
    assert_eq!(bench.redeem(&late), "ticket-expired");
}

#[tokio::test]
async fn a_ticket_that_could_not_be_issued_leaves_its_line_too() {
    let bench = Bench::new();
    for _ in 0..TicketLimits::with_life(60).live_per_person {
        bench.issue().await;
    }
    assert!(matches!(bench.ask().await, IssueOutcome::Unavailable(UnavailableReason::Overloaded)));
    let Bench { tickets, kept, .. } = bench;
    drop(tickets);
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["step"], &last["outcome"]), (&"issue".into(), &"unavailable".into()));
    assert_eq!((&last["reason"], &last["mailbox"]), (&"overloaded".into(), &"a@x.test".into()));
}

#[tokio::test]
async fn the_trail_joins_issue_and_redemption_and_holds_neither_ticket_nor_person() {
    let bench = Bench::new();
    let ticket = bench.issue().await;
    assert_eq!(bench.redeem(&ticket), "a@x.test");
    assert_eq!(bench.redeem(&ticket), "ticket-used");
    let _ = bench.tickets.redeem(b"planted-token", "planted-token", None);
    let counts = bench.tickets.audit.counts();
    for (name, count) in [("tickets_issue_allowed", 1), ("tickets_redeem_allowed", 1), ("tickets_redeem_denied", 2)] {
        assert!(counts.contains(&(name.to_owned(), count)), "{name} in {counts:?}");
    }
    let Bench { tickets, kept, .. } = bench;
    assert_eq!(tickets.counts(), [("tickets_live".to_owned(), 0)]);
    drop(tickets);
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let identity = Pseudonyms::from_key(&[1; 32]).digest(Permit::example(&[]).identity());
    assert_eq!(
        lines[0],
        serde_json::json!({
            "time": "2025-11-24T16:00:00Z", "event": "ticket", "step": "issue", "outcome": "allow",
            "decision": DecisionId::example().to_string(), "issuer": "https://psc.example.test/realm",
            "identity": identity, "mailbox": "a@x.test", "client": "192.0.2.1",
        })
    );
    assert_eq!((&lines[1]["step"], &lines[1]["decision"]), (&"redeem".into(), &lines[0]["decision"]));
    assert_eq!((&lines[2]["outcome"], &lines[2]["reason"]), (&"deny".into(), &"ticket-used".into()));
    assert_eq!((&lines[3]["reason"], lines[3].get("mailbox")), (&"mailbox-malformed".into(), None));
    let written = ticket.expose();
    let bits = written.strip_prefix("ticket-").unwrap();
    assert!(!text.contains("planted") && !text.contains(bits) && !text.contains("899700000011"), "{text}");
}
