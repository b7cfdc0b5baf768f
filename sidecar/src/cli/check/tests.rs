use std::fs;

use super::*;

fn checked(configuration: &str, options: Options) -> (ExitCode, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("octroi.toml");
    fs::write(&path, configuration).unwrap();
    let mut output = Vec::new();
    let code = run(&path, &options, &mut output).unwrap();
    (code, String::from_utf8(output).unwrap())
}

const fn options(offline: bool) -> Options {
    Options { offline, token: None, postconf: None }
}

const GOOD: &str = "[[issuer]]\nissuer = \"https://psc.example.test\"\nmailbox_domains = [\"x.test\"]\n";

#[test]
fn a_configuration_that_holds_passes_offline() {
    let (code, text) = checked(GOOD, options(true));
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(text.contains("1 ok, 0 not checked, 0 mistakes"), "{text}");
}

#[test]
fn every_mistake_of_the_configuration_is_told_with_its_line_and_remedy() {
    let (code, text) = checked(&format!("{GOOD}[rails]\nleeway_seconds = 99\nleway = 1\n"), options(true));
    assert_eq!(code, ExitCode::FAILURE);
    for part in ["octroi.toml:5", "rails.leeway_seconds", "octroi.toml:6", "unknown key", "2 mistakes"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn what_was_not_looked_at_is_told_and_is_no_ok() {
    let (code, text) = checked(&format!("{GOOD}[rails]\nleeway_seconds = 99\n"), options(false));
    assert_eq!(code, ExitCode::FAILURE);
    assert!(text.contains("0 ok, 1 not checked, 1 mistakes"), "{text}");
}

#[test]
fn a_token_file_must_hold_one_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "planted-token\n").unwrap();
    assert_eq!(token_in(&path).unwrap().expose(), b"planted-token");
    for content in ["", "\n", "planted one\n", "planted\none\n", "pl\u{e9}\n"] {
        fs::write(&path, content).unwrap();
        let error = token_in(&path).unwrap_err();
        assert!(!format!("{error:#}").contains("planted"), "{error:#}");
    }
}
