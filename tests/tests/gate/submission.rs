//! Sending, with the embedded policy and with one that lets everybody send as anybody: what the directory does not give
//! to the proven person, neither may use.

use octroi::clock::UnixSeconds;
use octroi::evidence::directory::{IdNat, Mailbox, MailboxAddress, MailboxKind, Person, Snapshot};
use octroi::evidence::trust_space::{DomainName, TrustList};
use octroi::gate::{Encryption, Holder, Login, Stage, Submission, SubmissionOutcome};
use octroi::policy::EMBEDDED;
use octroi::reason::{SubmissionReason, UnavailableReason};
use octroi_psc::doctor_one;

use super::bench::{Bench, DEUX, SECRETARIAT, Setup, UN};
use super::guests::guest;

/// Doctor one's login, as the SASL door remembers it, and a message under it.
pub(crate) async fn submission(bench: &Bench, sender: &str) -> Submission {
    let token = bench.psc.token(&doctor_one()).mint();
    let decision = bench.bearer(&token, Some(UN)).await;
    let login = Login {
        mailbox: MailboxAddress::parse(UN).unwrap(),
        decision: decision.id,
        holder: Holder::Person { issuer: bench.psc.issuer().into(), identity: IdNat::parse("899700000011").unwrap() },
        at: bench.clock.now(),
    };
    Submission {
        login,
        stage: Stage::Mail,
        sender: sender.into(),
        recipient: None,
        recipients: 0,
        bytes: 0,
        encryption: Encryption::Tls13,
        client: None,
    }
}

const REFUSED: SubmissionOutcome = SubmissionOutcome::Deny(SubmissionReason::SenderRefused);

#[tokio::test(flavor = "multi_thread")]
async fn a_login_sends_as_its_own_mailbox_and_as_no_other() {
    let bench = Bench::new(EMBEDDED, "off").await;
    for (sender, outcome) in [
        (UN, SubmissionOutcome::Allow),
        ("", SubmissionOutcome::Allow),
        (SECRETARIAT, REFUSED),
        (DEUX, REFUSED),
        ("docteur.un@elsewhere.example.test", REFUSED),
        ("m\u{e9}decin@bal.example.test", SubmissionOutcome::Deny(SubmissionReason::SenderMalformed)),
    ] {
        let submission = submission(&bench, sender).await;
        assert_eq!(bench.gate.judge_submission(&submission), outcome, "{sender}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_gives_no_answer_about_a_message_puts_it_off() {
    for (name, reason) in
        [("trap_judge", UnavailableReason::PolicyTrapped), ("spin_judge", UnavailableReason::PolicyTimeout)]
    {
        let bench = Bench::new(guest(name), "off").await;
        let submission = submission(&bench, UN).await;
        assert_eq!(bench.gate.judge_submission(&submission), SubmissionOutcome::Unavailable(reason), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_encryption_and_crowds_of_recipients_are_refused() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let good = submission(&bench, UN).await;
    let old = Submission { encryption: Encryption::Tls11, ..good.clone() };
    let crowd = Submission { stage: Stage::Data, recipients: 101, ..good };
    assert_eq!(bench.gate.judge_submission(&old), SubmissionOutcome::Deny(SubmissionReason::TlsTooOld));
    assert_eq!(bench.gate.judge_submission(&crowd), SubmissionOutcome::Deny(SubmissionReason::TooManyRecipients));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_leaves_one_line_that_leads_to_its_login() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let own = submission(&bench, UN).await;
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::EndOfMessage] {
        let outcome = bench.gate.judge_submission(&Submission { stage, ..own.clone() });
        assert_eq!(outcome, SubmissionOutcome::Allow, "{stage:?}");
    }
    let other = Submission { sender: DEUX.to_owned(), ..own.clone() };
    assert_eq!(bench.gate.judge_submission(&other), REFUSED);
    let decision = own.login.decision.to_string();
    let Bench { gate, trail, .. } = bench;
    // The last user of the trail writes what waits.
    drop(gate);
    let lines: Vec<serde_json::Value> =
        trail.text().lines().map(|line| serde_json::from_str(line).unwrap()).filter(of_submission).collect();
    let told: Vec<_> = lines.iter().map(|line| [&line["stage"], &line["outcome"], &line["sender"]]).collect();
    assert_eq!(told, [["end-of-message", "allow", UN], ["mail", "deny", DEUX]]);
    assert!(lines.iter().all(|line| line["decision"] == decision.as_str() && line["mailbox"] == UN), "{lines:?}");
}

fn of_submission(line: &serde_json::Value) -> bool {
    line["event"] == "submission"
}

/// A message to somebody, where the policy asks for the trust space.
async fn to_somebody(bench: &Bench) -> Submission {
    let recipient = Some("confrere@chu.example.test".to_owned());
    Submission { stage: Stage::Rcpt, recipient, ..submission(bench, UN).await }
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_are_held_against_the_trust_space_where_the_policy_asks() {
    let bench = Bench::with(Setup { submission: r#"{"recipient_domains":"trust-space"}"#, ..Setup::default() }).await;
    let to = to_somebody(&bench).await;
    let put_off = SubmissionOutcome::Unavailable(UnavailableReason::TrustSpaceUnavailable);
    assert_eq!(bench.gate.judge_submission(&to), put_off, "no list: neither a yes nor a no");
    bench.trust_space.publish(list(&["other.example.test"]));
    let refused = SubmissionOutcome::Deny(SubmissionReason::RecipientRefused);
    assert_eq!(bench.gate.judge_submission(&to), refused);
    bench.trust_space.publish(list(&["other.example.test", "chu.example.test"]));
    assert_eq!(bench.gate.judge_submission(&to), SubmissionOutcome::Allow);
    let routed = Submission { recipient: Some("a%evil.test@chu.example.test".to_owned()), ..to };
    assert_eq!(bench.gate.judge_submission(&routed), refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_held_against_the_trust_space_where_the_policy_does_not_ask() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let to = to_somebody(&bench).await;
    assert_eq!(bench.gate.judge_submission(&to), SubmissionOutcome::Allow);
    bench.trust_space.publish(list(&["other.example.test"]));
    assert_eq!(bench.gate.judge_submission(&to), SubmissionOutcome::Allow);
}

fn list(domains: &[&str]) -> TrustList {
    let domains = domains.iter().map(|domain| DomainName::parse(domain).unwrap()).collect();
    TrustList { generated: "today".into(), imported: UnixSeconds(1), domains }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_allows_everything_lets_nobody_send_as_another() {
    let bench = Bench::new(guest("allow_everything"), "off").await;
    for (sender, outcome) in [
        (UN, SubmissionOutcome::Allow),
        (SECRETARIAT, SubmissionOutcome::Allow),
        (DEUX, SubmissionOutcome::Deny(SubmissionReason::RailSender)),
        ("automate@bal.example.test", SubmissionOutcome::Deny(SubmissionReason::RailSender)),
        ("docteur.un@elsewhere.example.test", SubmissionOutcome::Deny(SubmissionReason::RailSender)),
        ("anybody@anywhere.test", SubmissionOutcome::Deny(SubmissionReason::RailSender)),
    ] {
        let submission = submission(&bench, sender).await;
        assert_eq!(bench.gate.judge_submission(&submission), outcome, "{sender}");
    }
}

/// What no import makes, and a directory of another making could hold.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_sends_as_a_mailbox_that_no_token_opens_or_by_an_alias_in_a_domain_of_others() {
    let bench = Bench::new(guest("allow_everything"), "off").await;
    let mailbox = |address: &str, kind, persons: &[&str], alias: &str| Mailbox {
        address: MailboxAddress::parse(address).unwrap(),
        kind,
        persons: persons.iter().map(|id| Person { id: IdNat::parse(id).unwrap(), synonyms: vec![] }).collect(),
        aliases: vec![MailboxAddress::parse(alias).unwrap()],
        structures: Vec::new(),
        certificates: std::sync::Arc::default(),
    };
    let (one, two) = ("899700000011", "899700000022");
    bench.directory.publish(Snapshot::new(vec![
        mailbox(UN, MailboxKind::Per, &[one], "dr.un@elsewhere.example.test"),
        mailbox(SECRETARIAT, MailboxKind::Org, &[one], "accueil@bal.example.test"),
        mailbox(DEUX, MailboxKind::Per, &[one, two], "dr.deux@bal.example.test"),
        mailbox("automate@bal.example.test", MailboxKind::App, &[one], "robot@bal.example.test"),
    ]));
    for sender in [UN, SECRETARIAT, "accueil@bal.example.test"] {
        let submission = submission(&bench, sender).await;
        assert_eq!(bench.gate.judge_submission(&submission), SubmissionOutcome::Allow, "{sender}");
    }
    for sender in ["dr.un@elsewhere.example.test", DEUX, "automate@bal.example.test", "robot@bal.example.test"] {
        let submission = submission(&bench, sender).await;
        let refused = SubmissionOutcome::Deny(SubmissionReason::RailSender);
        assert_eq!(bench.gate.judge_submission(&submission), refused, "{sender}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_an_issuer_that_is_gone_is_unknown() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let mut gone = submission(&bench, UN).await;
    let identity = IdNat::parse("899700000011").unwrap();
    gone.login.holder = Holder::Person { issuer: "https://gone.example.test".into(), identity };
    let outcome = SubmissionOutcome::Unavailable(UnavailableReason::LoginUnknown);
    assert_eq!(bench.gate.judge_submission(&gone), outcome);
}
