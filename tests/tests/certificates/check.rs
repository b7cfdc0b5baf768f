//! `octroi check` on a site that takes certificates, as an operator runs it: the real program, on the settings that
//! each version's own `doveconf` prints. Each row is what a careless site did to files that were right.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use octroi_igc::{DAY, Igc, Names};
use octroi_tests::certificates::{ADDRESS, CHAIN};
use octroi_tests::dovecot::{Version, edit};
use octroi_tests::sidecar::program;

use crate::stage::{Stage, VERSIONS};

/// What the program says of one configuration: the mistakes, and everything.
fn checked(stage: &Stage, folder: &str) -> Result<(Vec<String>, String)> {
    let server = &stage.dovecot;
    let version = if server.version() == Version::V2_3 { "2.3" } else { "2.4" };
    let configuration = fs::read_to_string(stage.sidecar.configuration_file())?;
    let doveconf = server.doveconf(&format!("{folder}/dovecot.conf"))?;
    let text = format!(
        "{configuration}\n[[check.dovecot]]\nversion = \"{version}\"\nimap = \"127.0.0.1:{}\"\nca_file = \"{}\"\n\
         root = \"{}\"\ndoveconf = {doveconf:?}\n",
        server.imaps_port(),
        server.authority_file().display(),
        server.root().display()
    );
    let file = stage.sidecar.folder().join(format!("check-{folder}.toml"));
    fs::write(&file, text)?;
    let mut octroi = Command::new(program("octroi"));
    let output = octroi.arg("--config").arg(&file).arg("check").stdin(Stdio::null()).output()?;
    let told = String::from_utf8(output.stdout)?;
    let mistakes: Vec<String> = told.lines().filter(|line| line.starts_with("│ MISTAKE")).map(str::to_owned).collect();
    ensure!(output.status.success() == mistakes.is_empty(), "{:?}\n{told}", output.status);
    Ok((mistakes, told))
}

/// A copy of the server's configuration beside it, in which each of these texts was replaced.
fn spoilt(stage: &Stage, folder: &str, edits: &[(&str, &str)]) -> Result<()> {
    let server = stage.dovecot.folder();
    let (good, bad) = (server.join("etc"), server.join(folder));
    fs::create_dir_all(&bad)?;
    for file in fs::read_dir(&good)? {
        let file = file?.path();
        fs::copy(&file, bad.join(file.file_name().context("a name")?))?;
    }
    let name = server.file_name().context("a name")?.display().to_string();
    edit(&bad, &format!("{name}/etc/"), &format!("{name}/{folder}/"))?;
    edits.iter().try_for_each(|(from, to)| edit(&bad, from, to))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_as_it_is_shipped_passes() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::shared(version);
        let (mistakes, told) = checked(stage, "etc")?;
        ensure!(mistakes.is_empty(), "{told}");
        ensure!(told.contains(&format!("the authorities of {CHAIN} and their lists")), "{told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_careless_setting_is_told_with_what_it_lets_happen() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::shared(version);
        let v23 = version == Version::V2_3;
        let local = format!("local {ADDRESS} {{");
        let rows: [(&str, &str, &str); 7] = [
            if v23 {
                ("  mechanisms = plain login\n", "", "passdb static answers EXTERNAL, too")
            } else {
                ("  mechanisms_filter = plain login\n", "", "passdb static answers EXTERNAL, too")
            },
            (
                "auth_policy_reject_on_fail = yes",
                "auth_policy_reject_on_fail = no",
                "auth_policy_reject_on_fail = no: an outage of the sidecar lets everybody in",
            ),
            (&local, "local_name imap.example.test {", "a certificate is never asked for by the server's name"),
            (
                "auth_ssl_username_from_cert = yes",
                "auth_ssl_username_from_cert = no",
                "auth_ssl_username_from_cert is not",
            ),
            ("cert_username_field = organizationalUnitName", "cert_username_field = commonName", "who logs in is not"),
            if v23 {
                (" auth_user=%{auth_user}", "", "sends no auth_user: every certificate is refused")
            } else {
                ("  auth_user = %{auth_user}\n", "", "sends no auth_user: every certificate is refused")
            },
            if v23 {
                ("  master = yes\n  mechanisms = external\n", "  master = yes\n", "no passdb of the integration")
            } else {
                ("  mechanisms_filter = external\n", "", "no passdb of the integration")
            },
        ];
        for (number, (from, to, told)) in rows.iter().enumerate() {
            let folder = format!("spoilt-{number}");
            spoilt(stage, &folder, &[(from, to)])?;
            let (mistakes, all) = checked(stage, &folder)?;
            ensure!(mistakes.iter().any(|mistake| mistake.contains(told)), "{version:?} {told}:\n{all}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_authorities_with_anything_but_the_right_chain_and_current_lists_is_told() -> Result<()> {
    for version in VERSIONS {
        let stage = Stage::shared(version);
        let (igc, now) = (&stage.site.igc, stage.site.igc.now());
        let foreign = Igc::new(Names::Foreign)?;
        let [below, root] = [igc.organisations(), igc.root()].map(|authority| authority.crl(1, now - DAY, now + DAY));
        let (below, root) = (below?.pem, root?.pem);
        let old = igc.organisations().crl(1, now - 9 * DAY, now - DAY)?.pem;
        let bundle = igc.bundle();
        let rows = [
            ([bundle.as_str(), &foreign.root().pem(), &below, &root].concat(), "is no authority of igc-sante"),
            (
                [igc.organisations().pem().as_str(), &below, &root].concat(),
                "is not in it: every certificate is refused",
            ),
            ([bundle.as_str(), &below].concat(), "no revocation list of"),
            ([bundle.as_str(), &old, &root].concat(), "has run out: every certificate is refused"),
            ("nothing".to_owned(), "is not in it: every certificate is refused"),
        ];
        for (number, (content, told)) in rows.iter().enumerate() {
            let (folder, file) = (format!("trust-{number}"), format!("bad-{number}.pem"));
            fs::write(stage.site.folder().join(&file), content)?;
            let seen = stage.site.seen_as();
            spoilt(stage, &folder, &[(&format!("{seen}/{CHAIN}.pem"), &format!("{seen}/{file}"))])?;
            let (mistakes, all) = checked(stage, &folder)?;
            ensure!(mistakes.iter().any(|mistake| mistake.contains(told)), "{version:?} {told}:\n{all}");
        }
    }
    Ok(())
}
