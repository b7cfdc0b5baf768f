//! Every departure from a good token, against the policy that is shipped.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use octroi::clock::UnixSeconds;
use octroi::policy::EMBEDDED;
use octroi_psc::{Deviation, doctor_one, doctor_two, secretary, vendor};

use super::bench::{Bench, DEUX, SECRETARIAT, UN, said};

/// What the gate says to doctor one's token with this departure. No wildcard: a new departure needs its line.
const fn expected(deviation: Deviation) -> &'static str {
    use Deviation as D;
    match deviation {
        D::NoKid
        | D::TypAtJwt
        | D::NoHeaderTyp
        | D::NoAuthTime
        | D::NoAzp
        | D::AzpOther
        | D::AudOther
        | D::AudList
        | D::NoTyp
        | D::NoSubject
        | D::NoSubjectNameId
        | D::OnlySubject
        | D::IdentitiesDiffer
        | D::NoSession => UN,
        D::Expired => "deny token-expired",
        D::NotYetValid | D::IssuedInFuture => "deny token-not-yet-valid",
        D::NoExpiry | D::NoAcr | D::NoIssuer | D::NoIssuedAt => "deny claim-missing",
        D::OtherIssuer | D::IssuerWithSlash => "deny issuer-unknown",
        D::BadSignature | D::StrangersKey | D::SignedOverOtherBytes | D::EmbeddedJwk | D::Truncated => {
            "deny signature-invalid"
        }
        D::PsychicSignature | D::AlgOfAnotherScheme => "deny key-unfit",
        D::AlgNone | D::AlgNoneMixedCase | D::Hs256WithPublicKey => "deny algorithm-refused",
        // The stranger's key stands under the stranger's kid: nobody looks where the token points.
        D::UnknownKid | D::KidTraversal | D::EmbeddedJku | D::EmbeddedX5u | D::EmbeddedX5c => "deny key-unknown",
        D::TypOther => "deny token-type",
        D::Crit | D::CritEmpty => "deny critical-header",
        D::FiveParts => "deny token-encrypted",
        D::NoSignature
        | D::NoAlg
        | D::KidAsNumber
        | D::DuplicateHeader
        | D::DuplicateClaim
        | D::DuplicateNested
        | D::DuplicateEscaped
        | D::TwoParts
        | D::FourParts
        | D::JsonSerialization
        | D::PaddedBase64
        | D::StandardBase64
        | D::TrailingBits
        | D::LineBreak
        | D::PayloadNotJson
        | D::PayloadArray
        | D::PayloadTrailing
        | D::HeaderNotJson
        | D::Deep
        | D::ExpiryAsText
        | D::ExpiryNegative
        | D::ExpiryHuge => "deny token-malformed",
        D::OldSession => "deny session-expired",
        D::AcrLow => "deny assurance-refused",
        D::IdToken | D::RefreshToken => "deny token-not-bearer",
        D::NoIdentity | D::IdentityEmpty => "deny identity-missing",
        D::SessionsDiffer => "deny session-inconsistent",
    }
}

#[tokio::test]
async fn every_departure_from_a_good_token_gets_its_own_answer_bare_and_by_sasl() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let mut wrong = Vec::new();
    for deviation in Deviation::all() {
        let token = bench.psc.token(&doctor_one()).deviate(*deviation).unwrap().mint();
        // A cut signature may end within a byte: then what is left is no strict base64url.
        let signature = token.rsplit('.').next().unwrap();
        let cut = matches!(deviation, Deviation::Truncated) && URL_SAFE_NO_PAD.decode(signature).is_err();
        let expected = if cut { "deny token-malformed" } else { expected(*deviation) };
        let bare = said(&bench.bearer(&token, Some(UN)).await);
        let message = format!("user={UN}\x01auth=Bearer {token}\x01\x01");
        let sasl = said(&bench.sasl("XOAUTH2", message.as_bytes()).await);
        // A line break within the token is a control character within the message.
        let by_sasl = if matches!(deviation, Deviation::LineBreak) { "deny message-malformed" } else { expected };
        if bare != expected || sasl != by_sasl {
            wrong.push(format!("{}: bare {bare}, sasl {sasl}, expected {expected}", deviation.name()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_token_opens_its_persons_mailboxes_and_no_other() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let token = |identity| bench.psc.token(&identity).mint();
    for (identity, mailbox, expected) in [
        (doctor_one(), Some(UN), UN),
        (doctor_one(), Some(SECRETARIAT), SECRETARIAT),
        (doctor_one(), None, "docteur.un@bal.example.test secretariat@bal.example.test"),
        (doctor_one(), Some(DEUX), "deny mailbox-refused"),
        (doctor_one(), Some("automate@bal.example.test"), "deny mailbox-refused"),
        (doctor_one(), Some("docteur.un@elsewhere.example.test"), "deny mailbox-refused"),
        (doctor_two(), Some(SECRETARIAT), "deny mailbox-refused"),
        (secretary(), None, SECRETARIAT),
        (secretary(), Some(UN), "deny mailbox-refused"),
        (vendor(), None, "deny no-mailbox"),
    ] {
        assert_eq!(said(&bench.bearer(&token(identity), mailbox).await), expected, "{mailbox:?}");
    }
}

#[tokio::test]
async fn a_mailbox_asked_for_twice_must_be_the_same() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let token = bench.psc.token(&doctor_one()).mint();
    let message = format!("user={UN}\x01auth=Bearer {token}\x01\x01");
    assert_eq!(said(&bench.sasl("XOAUTH2", message.as_bytes()).await), UN);
    let upper = format!("user={}\x01auth=Bearer {token}\x01\x01", UN.to_uppercase());
    assert_eq!(said(&bench.sasl("XOAUTH2", upper.as_bytes()).await), UN);
}

#[tokio::test]
async fn a_token_is_good_until_its_expiry_plus_the_leeway_and_not_a_second_longer() {
    let bench = Bench::new(EMBEDDED, "off").await;
    let token = bench.psc.token(&doctor_one()).mint();
    let expires_at = bench.psc.now() + octroi_psc::ACCESS_LIFETIME;
    bench.clock.set(UnixSeconds(expires_at + 4));
    assert_eq!(said(&bench.bearer(&token, Some(UN)).await), UN);
    bench.clock.set(UnixSeconds(expires_at + 5));
    assert_eq!(said(&bench.bearer(&token, Some(UN)).await), "deny token-expired");
}

#[tokio::test]
async fn the_trail_holds_no_credential_and_no_identifier() {
    let mut bench = Bench::new(EMBEDDED, "off").await;
    let good = bench.psc.token(&doctor_one()).mint();
    let bad = bench.psc.token(&doctor_one()).deviate(Deviation::BadSignature).unwrap().mint();
    for token in [&good, &bad] {
        bench.bearer(token, Some(UN)).await;
        bench.sasl("XOAUTH2", format!("user={UN}\x01auth=Bearer {token}\x01\x01").as_bytes()).await;
    }
    let trail = bench.trail.clone();
    // The last clone writes what still waits before it goes.
    bench.psc.stop().await;
    drop(bench);
    let text = trail.text();
    assert_eq!(text.lines().count(), 4, "{text}");
    for secret in [good.as_str(), bad.as_str(), "899700000011", "eyJ", good.split('.').nth(1).unwrap()] {
        assert!(!text.contains(secret));
    }
}
