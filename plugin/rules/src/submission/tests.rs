use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::settings::configure;

fn judged(settings: Value, submission: &Submission) -> Judgement {
    let document = json!({
        "issuers": [{ "issuer": "https://psc.example.test", "introspection": "off" }], "submission": settings,
    });
    let prepared = configure(&document.to_string()).unwrap();
    judge(&Settings::prepared(&prepared).unwrap(), submission)
}

const fn refused(reason: SubmissionReason) -> Judgement {
    Judgement::Deny(reason)
}

/// A doctor with a mailbox of their own and one of a service, logged in to their own.
fn submission(sender: &str) -> Submission {
    let mailbox = |address: &str, aliases: &[&str]| SendingMailbox {
        address: address.into(),
        aliases: aliases.iter().map(|alias| String::from(*alias)).collect(),
    };
    Submission {
        stage: Stage::Mail,
        login: "docteur.un@bal.example.test".into(),
        mailboxes: [
            mailbox("docteur.un@bal.example.test", &["dr1@bal.example.test"]),
            mailbox("secretariat@bal.example.test", &["accueil@bal.example.test"]),
        ]
        .into(),
        sender: sender.into(),
        recipient: None,
        recipient_in_trust_space: None,
        recipients: 0,
        size: 0,
        encryption: Encryption::Tls13,
    }
}

#[test]
fn one_sends_as_the_mailbox_logged_in_to_and_its_aliases() {
    for sender in ["docteur.un@bal.example.test", "Docteur.UN@BAL.example.test", "dr1@bal.example.test"] {
        assert_eq!(judged(json!({}), &submission(sender)), Judgement::Allow, "{sender}");
    }
}

#[test]
fn a_stranger_a_colleague_and_a_near_miss_are_refused_as_sender() {
    for sender in [
        "docteur.deux@bal.example.test",
        "secretariat@bal.example.test",
        "accueil@bal.example.test",
        "docteur.un@example.test",
        "docteur.un@bal.example.test.evil.test",
        "xdocteur.un@bal.example.test",
        "docteur.un+x@bal.example.test",
        "docteurXun@bal.example.test",
    ] {
        assert_eq!(judged(json!({}), &submission(sender)), refused(SubmissionReason::SenderRefused), "{sender}");
    }
}

#[test]
fn one_may_send_as_every_own_mailbox_where_the_settings_say_so() {
    let person = || json!({ "senders": "person" });
    for sender in ["secretariat@bal.example.test", "accueil@bal.example.test", "dr1@bal.example.test"] {
        assert_eq!(judged(person(), &submission(sender)), Judgement::Allow, "{sender}");
    }
    let stranger = submission("docteur.deux@bal.example.test");
    assert_eq!(judged(person(), &stranger), refused(SubmissionReason::SenderRefused));
}

#[test]
fn a_login_whose_mailbox_was_taken_away_sends_nothing() {
    let mut gone = submission("docteur.un@bal.example.test");
    gone.mailboxes.remove(0);
    assert_eq!(judged(json!({}), &gone), refused(SubmissionReason::SenderRefused));
    gone.mailboxes.clear();
    assert_eq!(judged(json!({ "senders": "person" }), &gone), refused(SubmissionReason::SenderRefused));
}

#[test]
fn a_plus_extension_is_the_same_mailbox_where_the_settings_say_so() {
    let plus = || json!({ "plus_extension": true });
    for sender in ["docteur.un+labo@bal.example.test", "dr1+a+b@bal.example.test", "docteur.un+@bal.example.test"] {
        assert_eq!(judged(plus(), &submission(sender)), Judgement::Allow, "{sender}");
    }
    for sender in ["docteur.deux+un@bal.example.test", "+docteur.un@bal.example.test", "docteur+un@bal.example.test"] {
        assert_eq!(judged(plus(), &submission(sender)), refused(SubmissionReason::SenderRefused), "{sender}");
    }
}

#[test]
fn the_null_sender_is_for_receipts() {
    assert_eq!(judged(json!({}), &submission("")), Judgement::Allow);
    assert_eq!(judged(json!({ "null_sender": false }), &submission("")), refused(SubmissionReason::SenderRefused));
}

#[test]
fn senders_that_are_no_ascii_address_are_malformed() {
    for sender in [
        "m\u{e9}decin@bal.example.test",
        "x",
        "@bal.example.test",
        "a b@bal.example.test",
        "\"a\"@b.test",
        "a@[::1]",
        " ",
    ] {
        assert_eq!(judged(json!({}), &submission(sender)), refused(SubmissionReason::SenderMalformed), "{sender}");
    }
}

#[test]
fn encryption_below_the_floor_is_refused_before_anything_else() {
    let with = |encryption| Submission { encryption, ..submission("x") };
    for old in [Encryption::None, Encryption::Unknown, Encryption::Tls10, Encryption::Tls11] {
        assert_eq!(judged(json!({}), &with(old)), refused(SubmissionReason::TlsTooOld), "{old:?}");
    }
    let own = Submission { encryption: Encryption::Tls12, ..submission("dr1@bal.example.test") };
    assert_eq!(judged(json!({}), &own), Judgement::Allow);
    assert_eq!(judged(json!({ "tls_min": "1.3" }), &own), refused(SubmissionReason::TlsTooOld));
}

#[test]
fn recipients_have_a_ceiling() {
    let with = |recipients| Submission { stage: Stage::Data, recipients, ..submission("dr1@bal.example.test") };
    assert_eq!(judged(json!({ "recipients_max": 2 }), &with(2)), Judgement::Allow);
    assert_eq!(judged(json!({ "recipients_max": 2 }), &with(3)), refused(SubmissionReason::TooManyRecipients));
    assert_eq!(judged(json!({}), &with(101)), refused(SubmissionReason::TooManyRecipients));
}

#[test]
fn the_trust_space_is_asked_where_configured_and_never_skipped() {
    let to = |inside| Submission {
        stage: Stage::Rcpt,
        recipient: Some("confrere@ailleurs.example.test".into()),
        recipient_in_trust_space: inside,
        ..submission("dr1@bal.example.test")
    };
    let trust = || json!({ "recipient_domains": "trust-space" });
    assert_eq!(judged(trust(), &to(Some(true))), Judgement::Allow);
    assert_eq!(judged(trust(), &to(Some(false))), refused(SubmissionReason::RecipientRefused));
    // Nobody knows: an outage, and neither a stranger nor a friend.
    assert_eq!(judged(trust(), &to(None)), Judgement::Unavailable(SubmissionOutage::TrustSpaceUnavailable));
    for inside in [Some(false), None] {
        assert_eq!(judged(json!({}), &to(inside)), Judgement::Allow, "{inside:?}");
    }
    assert_eq!(judged(trust(), &submission("dr1@bal.example.test")), Judgement::Allow, "no recipient yet");
}

#[test]
fn debug_shows_no_address() {
    let shown = format!("{:?} {:?}", submission("dr1@bal.example.test"), submission("").mailboxes);
    assert!(!shown.contains('@'), "{shown}");
}

proptest! {
    #[test]
    fn no_other_address_is_ever_taken_for_ones_own(
        sender in "[a-z0-9.+_-]{0,20}@[a-z.]{1,20}", person in any::<bool>(), plus in any::<bool>(),
    ) {
        let senders = if person { "person" } else { "login" };
        let settings = json!({ "senders": senders, "plus_extension": plus });
        let own = submission("").mailboxes;
        let known = own.iter().flat_map(|m| m.aliases.iter().chain([&m.address])).any(|own| *own == sender);
        if !known && !sender.contains('+') {
            prop_assert_ne!(judged(settings, &submission(&sender)), Judgement::Allow);
        }
    }

    #[test]
    fn no_sender_makes_it_panic(sender in ".{0,300}") {
        let _ = judged(json!({ "plus_extension": true }), &submission(&sender));
    }
}
