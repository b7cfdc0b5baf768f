use std::fs;

use octroi_igc::{Igc, Names};

use super::super::*;
use super::{MINIMAL, folder, parse, problems};
use crate::evidence::certificate::ChainKind;

const CHAIN: &str = "
[[chain]]
name = \"igc\"
ca_files = [\"igc-sante-root.pem\", \"igc-sante-organisations.pem\"]
mailbox_domains = [\"BAL.example.test\"]
crl_urls = [\"http://crl.example.test/a.crl\", \"https://crl.example.test/b.crl\"]
";

const FOLDER: &str = "
[crl]
dovecot_folder = \"for-dovecot\"
dovecot_version = \"2.3\"
dovecot_reload = [\"doveadm\", \"reload\"]
";

fn keys(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.key.as_str()).collect()
}

/// The keys that the chain with `from` replaced by `to` is complained about at, and what is expected there.
fn complaints(from: &str, to: &str) -> Vec<(String, String)> {
    let changed = CHAIN.replace(from, to);
    assert_ne!(changed, CHAIN, "{from} is not there");
    problems(&changed).into_iter().map(|problem| (problem.key, problem.expected)).collect()
}

#[test]
fn a_chain_has_its_authorities_domains_and_lists() {
    let config = parse(&folder(), &format!("{MINIMAL}{CHAIN}")).unwrap();
    let chain = &config.chains[0];
    assert_eq!((chain.chain.name(), chain.chain.kind()), ("igc", ChainKind::Production));
    assert_eq!(chain.chain.mailbox_domains(), ["bal.example.test"]);
    assert_eq!((chain.chain.authorities().len(), chain.crl_urls.len(), chain.ca_files.len()), (2, 2, 2));
    let config =
        parse(&folder(), &format!("{MINIMAL}{CHAIN}imap_listen = [\"192.0.2.10\"]\ntest = true\n{FOLDER}")).unwrap();
    assert_eq!(config.chains[0].chain.kind(), ChainKind::Test);
    assert_eq!(config.chains[0].chain.listen(), ["192.0.2.10".parse::<std::net::IpAddr>().unwrap()]);
    let dovecot = config.crl.dovecot.unwrap();
    assert!(dovecot.folder.ends_with("for-dovecot") && dovecot.folder.is_absolute());
    assert_eq!(
        (dovecot.version, dovecot.reload),
        (DovecotVersion::V23, ["doveadm", "reload"].map(str::to_owned).to_vec())
    );
}

#[test]
fn every_missing_key_is_told_at_once() {
    let problems = problems("[[chain]]\n");
    let keys = keys(&problems);
    for key in ["name", "ca_files", "mailbox_domains", "crl_urls"] {
        assert!(keys.contains(&format!("chain[1].{key}").as_str()), "{keys:?}");
    }
    assert_eq!(keys.len(), 4);
}

#[test]
fn each_key_says_what_it_expects() {
    for (from, to, key, expected) in [
        ("\"igc\"", "\"IGC\"", "chain[1].name", "a to z"),
        ("\"igc\"", "\"a.b\"", "chain[1].name", "a to z"),
        ("BAL.example.test", "not a domain", "chain[1].mailbox_domains[1]", "mail domain"),
        ("igc-sante-root.pem", "none.pem", "chain[1].ca_files[1]", "readable file"),
        ("igc-sante-root.pem", "psc-client.secret", "chain[1].ca_files", "neither PEM"),
        ("\"igc-sante-root.pem\", ", "", "chain[1].ca_files", "no root"),
        ("http:", "ftp:", "chain[1].crl_urls[1]", "http or https"),
        ("http://", "http://user:word@", "chain[1].crl_urls[1]", "without user"),
        ("\"http://crl.example.test/a.crl\", ", "", "chain[1].crl_urls", "expected 2 addresses"),
        ("https://crl.example.test/b", "http://crl.example.test/a", "chain[1].crl_urls[2]", "already"),
    ] {
        let complaints = complaints(from, to);
        let found = complaints.iter().any(|(at, text)| at == key && text.contains(expected));
        assert!(found, "{from} -> {to}: {complaints:?}");
    }
}

#[test]
fn a_mailbox_domain_belongs_to_test_chains_or_to_production_chains() {
    let folder = folder();
    let test = Igc::new(Names::Test).unwrap();
    fs::write(folder.path().join("test.pem"), test.bundle()).unwrap();
    let other = |domain: &str, flag: &str| {
        format!(
            "[[chain]]\nname = \"test\"\nca_files = [\"test.pem\"]\nmailbox_domains = [\"{domain}\"]\n{flag}\n\
             crl_urls = [\"http://crl.example.test/c.crl\", \"http://crl.example.test/d.crl\"]\n"
        )
    };
    let parse = |second: String| parse(&folder, &format!("{MINIMAL}{CHAIN}{second}"));
    assert!(parse(other("test.example.test", "test = true")).is_ok());
    assert!(parse(other("bal.example.test", "")).is_ok());
    let problems = parse(other("bal.example.test", "test = true")).unwrap_err().all;
    assert_eq!(keys(&problems), ["chain[2].mailbox_domains[1]"]);
}

#[test]
fn an_authority_stands_in_one_chain() {
    let other = CHAIN.replace("\"igc\"", "\"again\"").replace("/a.crl", "/c.crl").replace("/b.crl", "/d.crl");
    let problems = problems(&format!("{CHAIN}{other}"));
    assert_eq!(keys(&problems), ["chain[2].ca_files", "chain[2].ca_files"]);
    assert!(problems.iter().all(|problem| problem.expected.contains("the chain \"igc\"'s already")), "{problems:?}");
    assert!(problems[0].remedy.starts_with("make one chain of both"), "{problems:?}");
}

#[test]
fn names_addresses_and_lists_are_each_chains_own() {
    let two = format!(
        "{CHAIN}imap_listen = [\"192.0.2.10\", \"192.0.2.10\"]\n{CHAIN}imap_listen = [\"192.0.2.10\"]\n{FOLDER}"
    );
    let problems = problems(&two);
    let keys = keys(&problems);
    for key in ["[1].imap_listen[2]", "[2].name", "[2].imap_listen[1]", "[2].crl_urls[1]", "[2].crl_urls[2]"] {
        assert!(keys.contains(&format!("chain{key}").as_str()), "{keys:?}");
    }
}

#[test]
fn dovecot_needs_its_folder_where_it_asks_for_certificates() {
    let listens = format!("{CHAIN}imap_listen = [\"192.0.2.10\"]\n");
    assert_eq!(keys(&problems(&listens)), ["crl.dovecot_folder", "crl.dovecot_reload"]);
    let untold = FOLDER.replace("dovecot_reload = [\"doveadm\", \"reload\"]\n", "");
    assert_eq!(keys(&problems(&format!("{listens}{untold}"))), ["crl.dovecot_reload"]);
    assert!(parse(&folder(), &format!("{MINIMAL}{CHAIN}{untold}")).is_ok(), "no chain listens");
    assert_eq!(keys(&problems("[crl]\ndovecot_folder = \"x\"\n")), ["crl.dovecot_version"]);
    let bad = "[crl]\ndovecot_reload = []\nrefresh_seconds = 59\nmax_stale_seconds = 604801\n";
    assert_eq!(keys(&problems(bad)).len(), 3);
}
