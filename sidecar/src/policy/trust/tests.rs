//! Signatures made by minisign 0.11 with two keys that were made for these tests, over statements of the component
//! `wasm`.

mod cosign;

use super::*;
use crate::policy::{Bundle, Digest};

const ONE: &str = "RWSRzDABO6FTJu6cicFlzCpeOUs7JouCORdPbyu6cfR5R6G9UAMObGF4";
const TWO: &str = "RWT3oGvEjrmeAo1YjOzIAdBt4RAVuGuaO5DALsXJ1WKz8KEtFb045mdo";

/// The first key's, over the component without settings.
const ONE_BARE: [&str; 2] = [
    "RUSRzDABO6FTJrpuDRKww6NID/pqredUtCMraGrpvcnImdwigzLrSX7nMrhPX2fl1+w0MVVGJ1TjlTusxPhw72DRu4fBULW8HAU=",
    "tFlq+xYopQZ9+b4Ha5G+JBga8saFGkH//GaVtiIXrlNnywTgwa83ZddDVxShAUra8KW4n/AT5UFCguhmVjt0Dw==",
];
/// The first key's, over the component with the settings `{}`.
const ONE_SETTLED: [&str; 2] = [
    "RUSRzDABO6FTJrBSkRQ3bdLLjZCt+p097M08FMQga76emYOXuO7uBtYfFrI/ldK1j5xdkaEY50QZbg4LgFpAL21kDWPDoSc8dAw=",
    "EPVk1xtrpkYNyhIuyNUD1uBp0Weig3VBqSKM2lq9p5L2giOCElx7It9lzdzIkK9fe2n0B5WRKSuIuOZdnFv5BA==",
];
/// The second key's, over the component without settings.
const TWO_BARE: [&str; 2] = [
    "RUT3oGvEjrmeAqLlqrqhHVuVYE+812jpZWSmUwI/lJb9e3+EhFlKp+k6k1TvbkKOP6LePWeggzRfQS+BuDetJrme3Me46TY9TwE=",
    "a9w7BY3y05Z8QJQyGgGSZvK8ZpBSjraWIpAiBRGrleRYKDi/BOmu8O8L+QorMjXFm/lGAB/53WqdY8D/WJ7XBw==",
];
/// The first key's, over the component without settings, in the old form that signs the text itself.
const ONE_LEGACY: [&str; 2] = [
    "RWSRzDABO6FTJvLNXkUNDlX0O7ikim1zc5F/L8sI1i48yQbLibK65OK9s5vCcyP09Jn9cWDIIksIJKaVNqbj9vA6j0xKejYjZAE=",
    "kcDFjkZcrr2Pp8B1OP8ukhOTofAR+lOPdl3Nlv9w5RSxsG3t8pyWVAOKza2DvXYT8UGbJ0GLfQ1y+T5q2ATPDA==",
];

fn file([signature, global]: [&str; 2]) -> Signature {
    Signature::Minisign(text([signature, global]))
}

fn text([signature, global]: [&str; 2]) -> String {
    format!("untrusted comment: octroi test\n{signature}\ntrusted comment: for a test\n{global}\n")
}

fn statement(settings: Option<&str>) -> Statement {
    Statement { component: Digest::of(b"wasm"), settings: settings.map(|settings| Digest::of(settings.as_bytes())) }
}

fn trust(all_of: &[&str], any_of: usize) -> Trust {
    let signers = vec![Signer::minisign("one", ONE).unwrap(), Signer::minisign("two", TWO).unwrap()];
    let all_of = all_of.iter().map(ToString::to_string).collect();
    Trust { signers, all_of, any_of, allow_unsigned: false }
}

fn by(trust: &Trust, signatures: &[[&str; 2]]) -> Result<String, String> {
    let signatures: Vec<_> = signatures.iter().map(|lines| file(*lines)).collect();
    let checked = trust.check(&statement(None), &signatures);
    checked.map(|by| by.join(" ")).map_err(|error| error.to_string())
}

#[test]
fn the_statement_is_what_minisign_signed() {
    let bundle = |settings: Option<&str>| Bundle {
        component: b"wasm".to_vec(),
        settings: settings.map(str::to_owned),
        signatures: Vec::new(),
        origin: String::new(),
    };
    for (settings, lines) in [(None, ONE_BARE), (Some("{}"), ONE_SETTLED)] {
        let statement = bundle(settings).statement();
        assert_eq!(trust(&["one"], 0).check(&statement, &[file(lines)]), Ok(vec!["one".to_owned()]));
    }
}

#[test]
fn those_who_must_and_as_many_as_must_have_signed() {
    assert_eq!(by(&trust(&["one"], 0), &[ONE_BARE]), Ok("one".to_owned()));
    assert_eq!(by(&trust(&["one", "two"], 0), &[TWO_BARE, ONE_BARE]), Ok("two one".to_owned()));
    assert_eq!(by(&trust(&[], 1), &[TWO_BARE]), Ok("two".to_owned()));
    let missing = |text: &str| Err(text.to_owned());
    assert_eq!(by(&trust(&["one", "two"], 0), &[ONE_BARE]), missing("signed by one; needed: one and two"));
    assert_eq!(by(&trust(&["two"], 0), &[ONE_BARE]), missing("signed by one; needed: two"));
    assert_eq!(by(&trust(&["one"], 2), &[ONE_BARE]), missing("signed by one; needed: one, and 2 of one, two"));
    assert_eq!(by(&trust(&[], 1), &[]), missing("signed by nobody who counts; needed: 1 of one, two"));
}

#[test]
fn one_signature_counts_once_however_often_it_comes() {
    let told = by(&trust(&[], 2), &[ONE_BARE, ONE_BARE]);
    assert_eq!(told, Err("signed by one; needed: 2 of one, two".to_owned()));
}

#[test]
fn the_signature_of_another_release_or_in_the_old_form_is_bad_whatever_is_allowed() {
    for allow_unsigned in [false, true] {
        let trust = Trust { allow_unsigned, ..trust(&[], 1) };
        for lines in [ONE_SETTLED, ONE_LEGACY, [ONE_BARE[0], ONE_SETTLED[1]], [ONE_SETTLED[0], ONE_BARE[1]]] {
            let told = trust.check(&statement(None), &[file(lines), file(TWO_BARE)]);
            assert_eq!(told, Err(TrustError::Bad("one".to_owned())));
        }
    }
}

#[test]
fn a_strangers_signature_counts_for_nothing() {
    let mut trust = trust(&["one"], 0);
    trust.signers.pop();
    assert_eq!(by(&trust, &[TWO_BARE]), Err("signed by nobody who counts; needed: one".to_owned()));
    assert_eq!(by(&trust, &[TWO_BARE, ONE_BARE]), Ok("one".to_owned()));
}

#[test]
fn without_signers_nothing_is_signed_enough() {
    let nobody = Trust::default();
    assert_eq!(nobody.check(&statement(None), &[file(ONE_BARE)]), Err(TrustError::Nobody));
    let allowed = Trust { allow_unsigned: true, ..Trust::default() };
    assert_eq!(allowed.check(&statement(None), &[]), Ok(Vec::new()));
}

#[test]
fn what_is_no_signature_is_told() {
    let trust = trust(&["one"], 0);
    let good = text(ONE_BARE);
    let cut: Vec<String> = (0..good.len()).step_by(7).map(|end| good.chars().take(end).collect()).collect();
    for text in cut.into_iter().chain(["x".repeat(MAX_SIGNATURE + 1), good.replace("RUS", "RUT")]) {
        assert!(trust.check(&statement(None), &[Signature::Minisign(text.clone())]).is_err(), "{text}");
    }
    let many = vec![file(ONE_BARE); MAX_SIGNATURES + 1];
    assert_eq!(trust.check(&statement(None), &many), Err(TrustError::Unreadable));
}

#[test]
fn a_key_is_what_minisign_prints() {
    for wrong in [
        "",
        "RWS",
        "RWSRzDABO6FTJu6cicFlzCpeOUs7JouCORdPbyu6cfR5R6G9UAMObGF",
        &format!("XX{}", &ONE.replacen("RW", "", 1)),
    ] {
        assert_eq!(Signer::minisign("x", wrong).map(|_| ()), Err(NotAKey), "{wrong}");
    }
    let [one, two] = [ONE, TWO].map(|key| Signer::minisign("x", key).unwrap());
    assert!(one.is(&one.clone()) && !one.is(&two));
}
