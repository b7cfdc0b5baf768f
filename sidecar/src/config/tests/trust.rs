//! Who must have signed a release.

use super::*;

const OFFICER: &str =
    "[[policy.signer]]\nname = \"officer\"\nminisign = \"RWSRzDABO6FTJu6cicFlzCpeOUs7JouCORdPbyu6cfR5R6G9UAMObGF4\"\n";
const AUTHOR: &str =
    "[[policy.signer]]\nname = \"author\"\nminisign = \"RWT3oGvEjrmeAo1YjOzIAdBt4RAVuGuaO5DALsXJ1WKz8KEtFb045mdo\"\n";

/// A key that was made for this test.
const COSIGN: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+eZ7B03Ds0aj3amXi9FNlXwXTnYc
Mfb8eSsx7TxycV5zs/jh+s8RvBGPADGvPq2kNUv1jRkKIcvb6ZZL78PFyw==
-----END PUBLIC KEY-----
";

fn second(key: &str) -> String {
    format!("[[policy.signer]]\nname = \"second\"\ncosign = \"\"\"\n{key}\"\"\"\n")
}

fn trust(more: &str) -> (Vec<String>, usize, bool) {
    let trust = parse(&folder(), &format!("{MINIMAL}{more}")).unwrap().policy.trust;
    (trust.all_of, trust.any_of, trust.allow_unsigned)
}

#[test]
fn every_signer_must_sign_where_nothing_else_is_said() {
    let both = || vec!["officer".to_owned(), "author".to_owned()];
    assert_eq!(trust(""), (Vec::new(), 0, false));
    assert_eq!(trust(&format!("{OFFICER}{AUTHOR}")), (both(), 0, false));
    assert_eq!(trust(&format!("[policy]\nallow_unsigned = true\n{OFFICER}")), (vec!["officer".to_owned()], 0, true));
    assert_eq!(trust(&format!("{OFFICER}{AUTHOR}[policy.trust]\nany_of = 1\n")), (Vec::new(), 1, false));
    let cosign = second(COSIGN);
    assert_eq!(trust(&format!("{OFFICER}{cosign}")), (vec!["officer".to_owned(), "second".to_owned()], 0, false));
    let mixed = format!("{OFFICER}{AUTHOR}[policy.trust]\nall_of = [\"author\"]\nany_of = 2\n");
    assert_eq!(trust(&mixed), (vec!["author".to_owned()], 2, false));
}

#[test]
fn what_would_let_in_less_or_more_than_was_meant_is_told() {
    for (more, key, part) in [
        (
            format!("{OFFICER}[policy.trust]\nall_of = [\"offficer\"]\n"),
            "policy.trust.all_of[1]",
            "no signer has the name",
        ),
        (format!("{OFFICER}[policy.trust]\nall_of = []\n"), "policy.trust.all_of", "else nobody had to sign"),
        (format!("{OFFICER}[policy.trust]\nany_of = 2\n"), "policy.trust", "there are no more signers"),
        (format!("{OFFICER}{OFFICER}"), "policy.signer", "another signer has one of them"),
        (
            format!("{OFFICER}cosign = \"\"\"{COSIGN}\"\"\"\n"),
            "policy.signer",
            "expected one key, of minisign or of cosign",
        ),
        (
            format!("{}{}", second(COSIGN), second(COSIGN).replace("second", "third")),
            "policy.signer",
            "another signer has one of them",
        ),
        (second("MFkw"), "policy.signer.cosign", "expected the text of a cosign.pub"),
        (OFFICER.replace("F4\"", "\""), "policy.signer.minisign", "expected a public key of minisign"),
        ("[[policy.signer]]\nname = \"x\"\n".to_owned(), "policy.signer.minisign", "expected a public key of minisign"),
        ("[[policy.signer]]\n".to_owned(), "policy.signer.name", "expected a name"),
        (
            "[policy]\nallow_unsigned = \"yes\"\n".to_owned(),
            "policy.allow_unsigned",
            "expected true or false, found a text",
        ),
    ] {
        let told = problems(&more);
        let plain = |key: &str| key.replace("[1]", "").replace("[2]", "");
        assert!(told.iter().any(|p| plain(&p.key) == plain(key) && p.expected.contains(part)), "{more}: {told:?}");
    }
}
