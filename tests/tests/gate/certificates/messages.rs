//! Sending under a login that a certificate made: what it is worth is looked at for every stage of every message.

use octroi::clock::UnixSeconds;
use octroi::evidence::directory::{MailboxAddress, Snapshot};
use octroi::gate::{DecisionId, Encryption, Holder, Login, Stage, Submission, SubmissionOutcome};
use octroi::policy::EMBEDDED;
use octroi::reason::{DenyReason, SubmissionReason, UnavailableReason};
use octroi_igc::{DAY, Leaf};

use super::site::{ACCUEIL, AUTOMATE, NAME, NOW, OF_ANOTHER, STRUCTURE, Site, fingerprint};
use crate::bench::Bench;
use crate::guests::guest;

/// A message under a login with this certificate.
fn message(leaf: &Leaf, stage: Stage, sender: &str) -> Submission {
    let holder = Holder::Structure { structure: STRUCTURE.to_owned(), certificate: fingerprint(leaf) };
    let mailbox = MailboxAddress::parse(ACCUEIL).unwrap();
    Submission {
        login: Login { mailbox, decision: DecisionId::random(), holder, at: UnixSeconds(NOW) },
        stage,
        sender: sender.to_owned(),
        recipient: None,
        recipients: 0,
        bytes: 0,
        encryption: Encryption::Tls13,
        client: None,
    }
}

/// `MAIL` goes, then something happens, then `DATA` comes: what is said of it.
async fn then(bench: &Bench, leaf: &Leaf, happens: impl AsyncFnOnce()) -> SubmissionOutcome {
    assert_eq!(bench.gate.judge_submission(&message(leaf, Stage::Mail, ACCUEIL)), SubmissionOutcome::Allow);
    happens().await;
    bench.gate.judge_submission(&message(leaf, Stage::Data, ACCUEIL))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_structure_sends_as_the_mailbox_that_it_opened_and_as_no_other() {
    let site = Site::new().await;
    let good = site.leaf(STRUCTURE, NAME);
    for (wasm, refused) in
        [(EMBEDDED, SubmissionReason::SenderRefused), (guest("open_everything"), SubmissionReason::RailSender)]
    {
        let bench = site.gate(wasm, &good).await;
        for sender in [ACCUEIL, "", "contact@bal.example.test"] {
            let outcome = bench.gate.judge_submission(&message(&good, Stage::Mail, sender));
            assert_eq!(outcome, SubmissionOutcome::Allow, "{sender}");
        }
        // One that it could open but did not, an alias outside of the chain's domains, one of another structure.
        for sender in [AUTOMATE, "contact@elsewhere.example.test", OF_ANOTHER, "nobody@bal.example.test"] {
            let outcome = bench.gate.judge_submission(&message(&good, Stage::Mail, sender));
            assert_eq!(outcome, SubmissionOutcome::Deny(refused), "{sender}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_revoked_between_mail_and_data_is_shut_out() {
    for (wasm, reason) in
        [(EMBEDDED, DenyReason::CertificateRevoked), (guest("open_everything"), DenyReason::RailCertificate)]
    {
        let site = Site::new().await;
        let [listed, withdrawn] = [NAME, NAME].map(|name| site.leaf(STRUCTURE, name));
        let bench = site.gate(wasm, &listed).await;
        let outcome = then(&bench, &listed, async || {
            site.igc.organisations().revoke(&listed);
            site.publish().await;
        });
        assert_eq!(outcome.await, SubmissionOutcome::ShutOut(reason), "by its authority");
        let outcome = then(&bench, &withdrawn, async || site.withdraw(&withdrawn));
        assert_eq!(outcome.await, SubmissionOutcome::ShutOut(reason), "by the operator");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_the_directory_takes_away_between_mail_and_data_shuts_the_certificate_out() {
    for (wasm, reason) in
        [(EMBEDDED, DenyReason::StructureRefused), (guest("open_everything"), DenyReason::RailStructure)]
    {
        let site = Site::new().await;
        let good = site.leaf(STRUCTURE, NAME);
        let bench = site.gate(wasm, &good).await;
        let outcome = then(&bench, &good, async || bench.directory.publish(Snapshot::new(Vec::new())));
        assert_eq!(outcome.await, SubmissionOutcome::ShutOut(reason));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_run_out_between_mail_and_data_put_the_message_off() {
    for wasm in [EMBEDDED, guest("open_everything")] {
        let site = Site::new().await;
        let good = site.leaf(STRUCTURE, NAME);
        let bench = site.gate(wasm, &good).await;
        let outcome = then(&bench, &good, async || site.clock.set(UnixSeconds(NOW + DAY + 1)));
        assert_eq!(outcome.await, SubmissionOutcome::Unavailable(UnavailableReason::RevocationUnavailable));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_gives_no_answer_about_the_certificate_puts_the_message_off() {
    let site = Site::new().await;
    let good = site.leaf(STRUCTURE, NAME);
    for (name, reason) in
        [("spin_certificate", UnavailableReason::PolicyTimeout), ("trap_certificate", UnavailableReason::PolicyTrapped)]
    {
        let bench = site.gate(guest(name), &good).await;
        let outcome = bench.gate.judge_submission(&message(&good, Stage::Mail, ACCUEIL));
        assert_eq!(outcome, SubmissionOutcome::Unavailable(reason), "{name}");
    }
}
