//! A decision that stands for a while is worth, at each later moment, what its token would be worth then.

use octroi::clock::UnixSeconds;
use octroi::evidence::directory::{MailboxAddress, Snapshot};
use octroi::gate::{Basis, Credentials};
use octroi::policy::EMBEDDED;
use octroi::secret::Token;
use octroi_psc::{Deviation, Psc, doctor_one};

use super::bench::{Bench, CLIENT, DEUX, SECRETARIAT, UN, attempt, said, word};

async fn stand(bench: &Bench, token: &str, mailbox: Option<&str>) -> Basis {
    let attempt = attempt(Credentials::Bearer(Token::new(token)), mailbox, CLIENT);
    let (decision, basis) = bench.gate.authenticate_to_stand(&attempt).await;
    basis.unwrap_or_else(|| panic!("nothing stands of {}", said(&decision)))
}

fn again(bench: &Bench, basis: &Basis, mailbox: &str) -> String {
    word(&bench.gate.judge_again(basis, &MailboxAddress::parse(mailbox).unwrap()))
}

fn token(psc: &Psc) -> String {
    psc.token(&doctor_one()).mint()
}

#[tokio::test]
async fn it_holds_for_its_mailbox_until_the_token_expires() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let basis = stand(&bench, &token(&bench.psc), Some(UN)).await;
    let begun = bench.clock.now().0;
    assert_eq!(again(&bench, &basis, UN), UN);
    // Another of the person's own and another's: neither was asked for.
    for mailbox in [DEUX, "automate@bal.example.test", "docteur.un@elsewhere.example.test"] {
        assert_eq!(again(&bench, &basis, mailbox), "deny rail-mailbox", "{mailbox}");
    }
    bench.clock.set(UnixSeconds(begun + 119));
    assert_eq!(again(&bench, &basis, UN), UN);
    bench.clock.set(UnixSeconds(begun + 130));
    assert_eq!(again(&bench, &basis, UN), "deny token-expired");
}

#[tokio::test]
async fn what_the_directory_takes_away_is_gone_at_once() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let basis = stand(&bench, &token(&bench.psc), Some(SECRETARIAT)).await;
    assert_eq!(again(&bench, &basis, SECRETARIAT), SECRETARIAT);
    bench.directory.publish(Snapshot::new(vec![]));
    assert_eq!(again(&bench, &basis, SECRETARIAT), "deny no-mailbox");
}

#[tokio::test]
async fn the_issuer_is_asked_once_and_its_word_stands() {
    let mut bench = Bench::new(EMBEDDED, "required").await;
    let basis = stand(&bench, &token(&bench.psc), Some(UN)).await;
    bench.psc.stop().await;
    assert_eq!(again(&bench, &basis, UN), UN);
}

#[tokio::test]
async fn nothing_stands_of_a_refusal() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let expired = bench.psc.token(&doctor_one()).deviate(Deviation::Expired).unwrap().mint();
    for (token, mailbox) in [(expired.as_str(), UN), (token(&bench.psc).as_str(), DEUX), ("eyJ.x.y", UN)] {
        let attempt = attempt(Credentials::Bearer(Token::new(token)), Some(mailbox), CLIENT);
        let (decision, basis) = bench.gate.authenticate_to_stand(&attempt).await;
        assert!(basis.is_none(), "something stands of {}", said(&decision));
    }
}
