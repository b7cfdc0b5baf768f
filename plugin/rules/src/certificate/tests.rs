use alloc::string::ToString as _;
use alloc::vec;

use serde_json::{Value, json};

use super::*;
use crate::samples::{NOW, plain_settings, settings};

const CABINET: &str = "499700367909006";

fn request() -> CertificateRequest {
    CertificateRequest {
        certificate: CertificateFacts {
            units: vec![CABINET.to_string()],
            common_name: Some("DRIMbox".to_string()),
            issuer: Some("CN=AC IGC-SANTE ELEMENTAIRE ORGANISATIONS".to_string()),
            fingerprint: Some("ab".repeat(32)),
            not_before: Some(NOW - 10),
            not_after: Some(NOW + 10),
            chain: ChainKind::Production,
            mailbox_domains: vec!["bal.example.test".to_string()],
            revocation: Revocation::Good,
        },
        mailbox: Some(WantedMailbox {
            address: "automate@bal.example.test".to_string(),
            kind: MailboxKind::App,
            structures: vec!["318751275100020".to_string(), CABINET.to_string()],
            common_names: vec![],
            issuers: vec![],
            fingerprints: vec![],
        }),
    }
}

/// What becomes of the good request once `change` was made.
fn judged(change: impl FnOnce(&mut CertificateFacts, &mut WantedMailbox)) -> CertificateVerdict {
    judged_with(json!({}), change)
}

fn judged_with(
    certificate: Value,
    change: impl FnOnce(&mut CertificateFacts, &mut WantedMailbox),
) -> CertificateVerdict {
    let mut request = request();
    let mut mailbox = request.mailbox.take().unwrap();
    change(&mut request.certificate, &mut mailbox);
    request.mailbox = Some(mailbox);
    let bytes = settings("off", json!({ "certificate": certificate }));
    judge_certificate(&Settings::prepared(&bytes).unwrap(), &request, NOW)
}

fn denied(reason: CertificateReason, change: impl FnOnce(&mut CertificateFacts, &mut WantedMailbox)) {
    assert_eq!(judged(change), CertificateVerdict::Deny(reason));
}

#[test]
fn a_structures_certificate_opens_the_structures_mailboxes() {
    assert_eq!(judged(|_, _| {}), CertificateVerdict::Allow);
    assert_eq!(judged(|_, mailbox| mailbox.kind = MailboxKind::Org), CertificateVerdict::Allow);
    assert_eq!(judged(|certificate, _| certificate.revocation = Revocation::Degraded), CertificateVerdict::Allow);
}

#[test]
fn what_the_mail_server_does_not_tell_is_missed_by_lists_alone() {
    let untold = |certificate: &mut CertificateFacts| {
        certificate.common_name = None;
        certificate.issuer = None;
        certificate.fingerprint = None;
        certificate.not_before = None;
        certificate.not_after = None;
    };
    assert_eq!(judged(|certificate, _| untold(certificate)), CertificateVerdict::Allow);
    denied(CertificateReason::CertificateUnidentified, |certificate, mailbox| {
        untold(certificate);
        mailbox.common_names = vec!["DRIMbox".to_string()];
    });
    denied(CertificateReason::CertificateUnidentified, |certificate, mailbox| {
        untold(certificate);
        mailbox.fingerprints = vec!["ab".repeat(32)];
    });
    denied(CertificateReason::CertificateUnidentified, |certificate, mailbox| {
        untold(certificate);
        mailbox.issuers = vec![String::new()];
    });
}

#[test]
fn a_personal_mailbox_is_never_opened() {
    denied(CertificateReason::MailboxPersonal, |_, mailbox| mailbox.kind = MailboxKind::Per);
}

#[test]
fn another_structure_is_refused_to_the_character() {
    denied(CertificateReason::StructureRefused, |_, mailbox| mailbox.structures.clear());
    for other in ["499700367909007", "49970036790900", "4997003679090060"] {
        denied(CertificateReason::StructureRefused, |certificate, _| certificate.units = vec![other.to_string()]);
    }
    let mut nowhere = request();
    nowhere.mailbox = None;
    let bytes = plain_settings();
    let judged = judge_certificate(&Settings::prepared(&bytes).unwrap(), &nowhere, NOW);
    assert_eq!(judged, CertificateVerdict::Deny(CertificateReason::StructureRefused));
}

#[test]
fn a_certificate_names_exactly_one_structure_in_its_own_form() {
    denied(CertificateReason::StructureMissing, |certificate, _| certificate.units.clear());
    denied(CertificateReason::StructureAmbiguous, |certificate, _| {
        certificate.units.push("0002 187512751".to_string());
    });
    denied(CertificateReason::StructureAmbiguous, |certificate, _| {
        certificate.units.push(CABINET.to_string());
    });
    for unit in [
        "",
        "4",
        "0002 187512751",
        "4 99700367909006",
        "499700367909006 ",
        "499700367909006\0",
        "4997003679090O6",
        "4\u{ff11}",
        "3187512751000",
        "3187512751000200",
        "117600218320",
        "1176002183é",
        "517600218",
        "2187512751",
        "0123456789",
        "x",
        &"4".repeat(300),
    ] {
        denied(CertificateReason::StructureMalformed, |certificate, mailbox| {
            certificate.units = vec![unit.to_string()];
            mailbox.structures = vec![unit.to_string()];
        });
    }
}

#[test]
fn each_accepted_type_has_its_form_and_others_can_be_accepted() {
    let opens = |settings: Value, unit: &str| {
        judged_with(settings, |certificate, mailbox| {
            certificate.units = vec![unit.to_string()];
            mailbox.structures = vec![unit.to_string()];
        }) == CertificateVerdict::Allow
    };
    for unit in ["1760021832", "12A0000012", "318751275100020", CABINET] {
        assert!(opens(json!({}), unit), "{unit}");
    }
    let all = json!({ "structure_types": ["0", "1", "2", "3", "4"] });
    assert!(opens(all.clone(), "2187512751") && opens(all, "0123456789"));
    assert!(!opens(json!({ "structure_types": ["3"] }), CABINET));
}

#[test]
fn validity_includes_its_first_and_last_second() {
    denied(CertificateReason::CertificateNotYetValid, |certificate, _| certificate.not_before = Some(NOW + 1));
    denied(CertificateReason::CertificateExpired, |certificate, _| certificate.not_after = Some(NOW - 1));
    let edge = judged(|certificate, _| (certificate.not_before, certificate.not_after) = (Some(NOW), Some(NOW)));
    assert_eq!(edge, CertificateVerdict::Allow);
}

#[test]
fn what_is_revoked_is_refused_and_what_is_not_known_is_no_refusal() {
    denied(CertificateReason::CertificateRevoked, |certificate, _| certificate.revocation = Revocation::Revoked);
    let unknown = CertificateVerdict::Unavailable(CertificateOutage::RevocationUnavailable);
    assert_eq!(judged(|certificate, _| certificate.revocation = Revocation::Unknown), unknown);
    denied(CertificateReason::StructureRefused, |certificate, mailbox| {
        certificate.revocation = Revocation::Unknown;
        mailbox.structures.clear();
    });
}

#[test]
fn a_chain_opens_its_own_domains_alone() {
    for domains in [vec![], vec!["other.test".to_string()], vec!["example.test".to_string()]] {
        denied(CertificateReason::ChainRefused, |certificate, _| certificate.mailbox_domains = domains);
    }
}

#[test]
fn a_mailboxs_own_list_shuts_out_the_structures_other_certificates() {
    let listed = judged(|certificate, mailbox| {
        mailbox.common_names = vec!["autre".to_string(), "DRIMbox".to_string()];
        mailbox.issuers = vec![certificate.issuer.clone().unwrap()];
        mailbox.fingerprints = vec!["ab".repeat(32)];
    });
    assert_eq!(listed, CertificateVerdict::Allow);
    denied(CertificateReason::CertificateRefused, |_, mailbox| mailbox.common_names = vec!["drimbox".to_string()]);
    denied(CertificateReason::CertificateRefused, |_, mailbox| mailbox.issuers = vec!["CN=AC".to_string()]);
    denied(CertificateReason::CertificateRefused, |_, mailbox| mailbox.fingerprints = vec!["cd".repeat(32)]);
}
