//! `[[policy.signer]]`, `[policy.trust]` and `allow_unsigned`: whose signatures a release of the policy needs.

use super::reader::{At, Section};
use crate::policy::{Signer, Trust};

/// Most signers.
const MAX_SIGNERS: usize = 16;
/// What every signer has.
const EACH: &str = "each signer has a name and a key";

/// Reads them out of `[policy]`.
pub(super) fn trust(policy: &mut Section<'_, '_>) -> Trust {
    let allow_unsigned = policy.flag("allow_unsigned");
    let mut signers: Vec<Signer> = Vec::new();
    for mut section in policy.sections("signer") {
        let place = section.place();
        let remedy = "write who it is, for lists and records";
        let name = section.parsed("name", remedy, |text| {
            let holds = !text.is_empty() && text.len() <= 64 && !text.chars().any(char::is_control);
            holds.then(|| text.to_owned()).ok_or_else(|| "expected a name of at most 64 bytes".to_owned())
        });
        let known = name.as_ref().map_or("", |name| name.value.as_str());
        let key = signer(&mut section, known);
        if !section.has("name") {
            section.missing("name", "a name", EACH);
        }
        section.finish();
        let Some(key) = key else { continue };
        if signers.iter().any(|other| other.name() == known || other.is(&key.value)) {
            let expected = "expected a name and a key of their own: another signer has one of them";
            place.complain(policy.report(), expected, "one person counts once");
        }
        if signers.len() == MAX_SIGNERS {
            place.complain(policy.report(), format!("expected at most {MAX_SIGNERS} signers"), "take some out");
        }
        signers.push(key.value);
    }
    needed(policy, signers, allow_unsigned)
}

/// The key of one signer: of minisign, or of cosign.
fn signer(section: &mut Section<'_, '_>, name: &str) -> Option<At<Signer>> {
    let remedy = "write the last line of their minisign.pub";
    let minisign =
        section.parsed("minisign", remedy, |key| Signer::minisign(name, key).map_err(|error| error.to_string()));
    let remedy = "write their cosign.pub whole, between three quotes at each end";
    let cosign = section.parsed("cosign", remedy, |pem| Signer::cosign(name, pem).map_err(|error| error.to_string()));
    match (section.has("minisign"), section.has("cosign")) {
        (true, true) => {
            let expected = "expected one key, of minisign or of cosign";
            section.place().complain(section.report(), expected, "make two signers of them: each counts for itself");
        }
        (false, false) => section.missing("minisign", "a public key of minisign, or cosign with one of cosign", EACH),
        (true, false) | (false, true) => {}
    }
    minisign.or(cosign)
}

fn needed(policy: &mut Section<'_, '_>, signers: Vec<Signer>, allow_unsigned: bool) -> Trust {
    let mut section = policy.section("trust");
    let any_of = section.number("any_of", 0, 0..=MAX_SIGNERS as u64);
    let every = || signers.iter().map(|signer| signer.name().to_owned()).collect::<Vec<_>>();
    let all_of = match section.list("all_of") {
        None if any_of == 0 => every(),
        None => Vec::new(),
        Some(list) => {
            for name in &list.value {
                if !signers.iter().any(|signer| signer.name() == name.value) {
                    let remedy = format!("write one of {:?}", every());
                    name.complain(section.report(), format!("no signer has the name {:?}", name.value), remedy);
                }
            }
            if list.value.is_empty() && any_of == 0 {
                let expected = "expected the name of somebody, or any_of: else nobody had to sign";
                list.complain(section.report(), expected, "leave it out for every signer");
            }
            list.value.iter().map(|name| name.value.to_owned()).collect()
        }
    };
    if usize::try_from(any_of).is_ok_and(|any_of| any_of > signers.len()) {
        let expected = format!("expected any_of of at most {}: there are no more signers", signers.len());
        section.place().complain(section.report(), expected, "add a [[policy.signer]], or lower it");
    }
    section.finish();
    Trust { signers, all_of, any_of: usize::try_from(any_of).unwrap_or(usize::MAX), allow_unsigned }
}
