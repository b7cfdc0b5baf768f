//! The samples are what the real servers printed for the files of `integrations/`, with the default port.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::clock::UnixSeconds;
use crate::secret::Secret;

const GOOD_23: &str = include_str!("samples/good-2.3.txt");
const GOOD_24: &str = include_str!("samples/good-2.4.txt");
const EXT: &str = include_str!("../../../../../integrations/dovecot-2.3/octroi-oauth2.conf.ext");

pub(super) fn ours() -> Dovecot {
    Dovecot {
        listen: "127.0.0.1:9180".parse().unwrap(),
        introspection_secret: Secret::new("word-1"),
        policy_secret: Secret::new("word-2"),
        handle_seconds: 30,
        other_mechanisms: vec![],
        uncounted_users: vec![],
    }
}

/// What is told about a 2.3 with these settings and this token file.
fn told_23(conf: &str, ext: &str, mode: u32) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ext");
    fs::write(&file, ext).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let conf = conf.replace("/etc/dovecot/octroi-oauth2.conf.ext", file.to_str().unwrap());
    told(DovecotVersion::V23, &conf)
}

fn told_24(conf: &str) -> Vec<String> {
    told(DovecotVersion::V24, conf)
}

fn told(version: DovecotVersion, conf: &str) -> Vec<String> {
    let mut report = Report::default();
    let server = DovecotServer {
        version,
        imap: "127.0.0.1:993".to_owned(),
        tls: crate::config::Tls::Implicit,
        ca_file: None,
        server_name: "127.0.0.1".to_owned(),
        root: "/".into(),
        doveconf: vec![],
    };
    examine("here", &server, conf, &ours(), (&[], UnixSeconds(0)), &mut report);
    let mistakes = report.findings().iter().filter(|f| f.weight == crate::cli::check::report::Weight::Mistake);
    mistakes.inspect(|f| assert!(!f.remedy.is_empty())).map(|f| f.what.clone()).collect()
}

/// The integration's token file, with the secret put in.
fn ext() -> String {
    let lines = EXT.lines().map(|line| match line.strip_prefix("introspection_url") {
        Some(_) => "introspection_url = http://introspection:word-1@127.0.0.1:9180/introspect",
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Replaces what must be there.
fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

#[test]
fn the_integrations_as_installed_are_without_a_mistake() {
    assert_eq!(told_23(GOOD_23, &ext(), 0o640), Vec::<String>::new());
    assert_eq!(told_24(GOOD_24), Vec::<String>::new());
}

#[test]
fn every_danger_of_a_2_3_is_told() {
    let add = |line: &str| format!("{GOOD_23}{line}\n");
    for (conf, part) in [
        (add("auth_cache_size = 10 M"), "auth_cache_size = 10 M"),
        (add("auth_debug = yes"), "auth_debug = yes"),
        (add("auth_verbose_passwords = plain"), "auth_verbose_passwords"),
        (add("log_debug = category=auth"), "log_debug"),
        (add("imap_hibernate_timeout = 5 secs"), "imap_hibernate_timeout"),
        (add("service imap {\n  client_limit = 5\n}"), "client_limit = 5"),
        (add("service imap-login {\n  executable = imap-login -R /tmp/raw\n}"), "whole dialogues"),
        (add("service x {\n  executable = script-login rawlog\n}"), "whole dialogues"),
        (add("rawlog_dir = /tmp/raw"), "whole dialogues"),
        (add("ssl = no"), "ssl = no"),
        (add("passdb {\n  driver = ldap\n}"), "passdb ldap takes XOAUTH2"),
        (add("passdb {\n  driver = ldap\n  mechanisms = plain oauthbearer\n}"), "passdb ldap takes XOAUTH2"),
        (add("passdb {\n  driver = oauth2\n  mechanisms = xoauth2\n}"), "several passdbs"),
        (changed(GOOD_23, " oauthbearer\n", "\n"), "does not offer oauthbearer"),
        (changed(GOOD_23, "driver = oauth2", "driver = lua"), "no passdb with driver = oauth2"),
        (changed(GOOD_23, "mechanisms = xoauth2 oauthbearer\n", "\n".trim_start_matches('\n')), "passwords are sent"),
        (changed(GOOD_23, "auth_policy_reject_on_fail = yes\n", ""), "lets everybody in"),
        (changed(GOOD_23, "auth_policy_check_before_auth = no\n", ""), "before it has a handle"),
        (add("auth_policy_check_after_auth = no"), "ever confirmed"),
        (add("auth_policy_log_only = yes"), "no effect"),
        (changed(GOOD_23, ":9180/policy", ":8080/policy"), "127.0.0.1:8080/policy"),
        (changed(GOOD_23, "#hidden_use-P_to_show#@127", "127"), "no user and secret"),
        (changed(GOOD_23, "handle=%{passdb:handle} user", "user"), "sends no handle"),
        (changed(GOOD_23, "mech=%{mech} ", ""), "sends no mech"),
        (changed(GOOD_23, "# 2.3.19.1", "# 2.4.1-4"), "it is 2.4.1"),
        ("words".to_owned(), "something else"),
    ] {
        let told = told_23(&conf, &ext(), 0o640);
        assert!(told.iter().any(|what| what.contains(part)), "{part}: {told:?}");
    }
}

#[test]
fn every_danger_of_the_token_file_of_a_2_3_is_told() {
    for (from, to, part) in [
        (tokens23::LOCK, "", "ANY VALID TOKEN OPENS ANY MAILBOX"),
        (";*;^(?*)$;", ";*;*;", "ANY VALID TOKEN OPENS ANY MAILBOX"),
        (" handle=%{oauth2:handle}", "", "lacks handle"),
        ("active_value = true", "", "active_value"),
        ("active_attribute = active", "#active_attribute = active", "active_attribute"),
        ("scope = octroi", "scope = openid", "scope"),
        ("username_format = any", "username_format = %u", "username_format"),
        ("introspection_mode = post", "introspection_mode = get", "introspection_mode"),
        ("word-1@", "word-2@", "another secret"),
        ("introspection:word-1@", "", "no user and secret"),
        (":9180/introspect", ":9181/introspect", "introspection_url"),
        ("debug = no", "debug = yes", "debug = yes"),
        ("debug = no", "tokeninfo_url = http://elsewhere/?t=", "tokeninfo_url"),
    ] {
        let told = told_23(GOOD_23, &changed(&ext(), from, to), 0o640);
        assert!(told.iter().any(|what| what.contains(part)), "{part}: {told:?}");
        assert!(told.iter().all(|what| !what.contains("word-")), "{told:?}");
    }
    assert!(told_23(GOOD_23, &ext(), 0o644)[0].contains("open to others"));
    let missing = changed(GOOD_23, "args = /etc/dovecot/octroi-oauth2.conf.ext", "args = /nowhere/at/all");
    assert!(told_23(&missing, &ext(), 0o640)[0].contains("can't be read"));
}

#[test]
fn every_danger_of_a_2_4_is_told() {
    let add = |line: &str| format!("{GOOD_24}{line}\n");
    for (conf, part) in [
        (add("passdb oauth2 {\n}"), "passdb oauth2 is an oauth2 one"),
        (add("passdb x {\n  driver = oauth2\n}"), "passdb x is an oauth2 one"),
        (add("passdb ldap {\n}"), "passdb ldap has no mechanisms_filter"),
        (changed(GOOD_24, "  mechanisms_filter = plain login\n", ""), "passdb pam has no mechanisms_filter"),
        (changed(GOOD_24, "mechanisms_filter = plain login", "mechanisms_filter = plain xoauth2"), "passdb pam"),
        (changed(GOOD_24, "xoauth2 oauthbearer", "oauthbearer"), "does not offer xoauth2"),
        (changed(GOOD_24, tokens24::LOCK, "%{user}"), "username_validation_format"),
        (changed(GOOD_24, "username_validation_format", "something_else"), "username_validation_format"),
        (changed(GOOD_24, "active_value = true", "active_value = yes"), "active_value"),
        (changed(GOOD_24, "scope = octroi", "scope = openid"), "scope"),
        (changed(GOOD_24, "    handle = %{oauth2:handle}\n", ""), "lacks handle"),
        (changed(GOOD_24, "introspection_mode = post", "introspection_mode = auth"), "introspection_mode"),
        (changed(GOOD_24, ":9180/introspect", ":9180/other"), "introspection_url"),
        (changed(GOOD_24, "reject_on_fail = yes", "reject_on_fail = no"), "lets everybody in"),
        (changed(GOOD_24, "check_before_auth = no", "check_before_auth = yes"), "before it has a handle"),
        (changed(GOOD_24, "check_after_auth = yes", "check_after_auth = no"), "ever confirmed"),
        (changed(GOOD_24, "log_only = no", "log_only = yes"), "no effect"),
        (changed(GOOD_24, "    handle = %{passdb:handle | default('')}\n", ""), "sends no handle"),
        (changed(GOOD_24, "#hidden_use-P_to_show#@127.0.0.1:9180/policy", "127.0.0.1:1/x"), "no user and secret"),
        (add("log_debug = category=auth"), "log_debug"),
        (add("service imap {\n  client_limit = 2\n}"), "client_limit = 2"),
        (add("imap_hibernate_timeout = 30s"), "imap_hibernate_timeout"),
        (add("imap_rawlog_dir = /tmp/raw"), "whole dialogues"),
    ] {
        let told = told_24(&conf);
        assert!(told.iter().any(|what| what.contains(part)), "{part}: {told:?}");
    }
}

#[test]
fn a_cache_on_2_4_holds_no_token() {
    assert_eq!(told_24(&format!("{GOOD_24}auth_cache_size = 10 M\n")), Vec::<String>::new());
}

#[tokio::test]
async fn a_doveconf_that_fails_is_told() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(command::printed(&words(&["echo", "# 2.3.1 (x): y"])).await.unwrap(), "# 2.3.1 (x): y\n");
    for command in [&["false"][..], &["/nowhere/doveconf"], &[]] {
        assert!(command::printed(&words(command)).await.is_err());
    }
}
