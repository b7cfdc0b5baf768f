//! Client certificates with the real programs: enrolled, listed, withdrawn, kept over a kill, and refused where they
//! must be.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use octroi_igc::{DAY, Igc, Leaf, Names};
use octroi_tests::sidecar::{Settings, Sidecar};
use serde_json::Value;

use crate::stage::Stage;

const AGENCY: &str = "318751275100020";
const PRACTICE: &str = "499700367909006";
/// One mailbox for both structures, one for the practice's `DRIMbox` alone.
const DIRECTORY: &str = "address,kind,persons,aliases,structures,certificates\n\
    docteur.un@bal.example.test,PER,899700000011,,,\n\
    secretariat@bal.example.test,ORG,899700000011,,318751275100020|499700367909006,\n\
    automate@bal.example.test,APP,,,499700367909006,cn=DRIMbox\n";

/// A sidecar that trusts a stand-in for IGC-Sante.
struct Desk {
    stage: Stage,
    igc: Igc,
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Result<Self> {
        let (igc, folder) = (Igc::new(Names::Test)?, tempfile::tempdir()?);
        fs::write(folder.path().join("ca.pem"), igc.bundle())?;
        let shown = folder.path().display();
        let more = format!(
            "[[chain]]\nname = \"igc-test\"\ntest = true\nca_files = [\"{shown}/ca.pem\"]\n\
             mailbox_domains = [\"{}\"]\ncrl_urls = [\"http://127.0.0.1:9/root.crl\", \"http://127.0.0.1:9/org.crl\"]\n\n\
             [crl]\ndovecot_folder = \"{shown}/dovecot\"\ndovecot_version = \"2.4\"\n",
            octroi_psc::MAILBOX_DOMAIN
        );
        let settings = Settings { more, directory: DIRECTORY.to_owned(), ..Settings::default() };
        Ok(Self { stage: Stage::start(&settings)?, igc, folder })
    }

    fn sidecar(&self) -> &Sidecar {
        &self.stage.sidecar
    }

    fn leaf(&self, structure: &str, cn: &str) -> Result<Leaf> {
        self.igc.organisation(&[structure], "CABINET M DOC0036790", cn)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Result<String> {
        let path: PathBuf = self.folder.path().join(name);
        fs::write(&path, content)?;
        Ok(path.display().to_string())
    }

    /// What `octroi certificate` says, or all that it says as it refuses.
    fn ask(&self, arguments: &[&str]) -> Result<Result<String, String>> {
        let output = self.sidecar().run(&[&["certificate"], arguments].concat())?;
        let (told, complained) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        Ok(if output.status.success() { Ok(told) } else { Err(told + &complained) })
    }

    fn done(&self, arguments: &[&str]) -> Result<String> {
        self.ask(arguments)?.map_err(|complained| anyhow::anyhow!("{arguments:?}: {complained}"))
    }

    fn refused(&self, arguments: &[&str]) -> Result<String> {
        self.ask(arguments)?.err().with_context(|| format!("{arguments:?} was taken"))
    }

    /// What Dovecot is told.
    fn structures(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("dovecot/structures"))?)
    }
}

fn has(text: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    Ok(())
}

#[tokio::test]
async fn certificates_are_enrolled_told_and_kept_over_a_kill() -> Result<()> {
    let mut desk = Desk::new()?;
    ensure!(desk.structures()?.is_empty(), "somebody is let in before anybody is enrolled");
    has(&desk.done(&["list"])?, &["no certificate is enrolled"])?;
    let (agency, drimbox) = (desk.leaf(AGENCY, "sas-agregateur")?, desk.leaf(PRACTICE, "DRIMbox")?);
    let (pem, der) = (desk.file("agency.pem", &agency.certificate_pem)?, desk.file("drimbox.cer", &drimbox.der)?);
    has(&desk.done(&["import", "--dry-run", &pem])?, &["sas-agregateur", "could be enrolled"])?;
    has(&desk.done(&["list"])?, &["no certificate is enrolled"])?;
    let told = desk.done(&["import", &pem, &der])?;
    has(
        &told,
        &["sas-agregateur of structure 318751275100020 (CABINET M DOC0036790) is enrolled", &agency.fingerprint],
    )?;
    has(&told, &["by chain igc-test", "  opens secretariat@bal.example.test\n"])?;
    has(&told, &["DRIMbox", "  opens automate@bal.example.test, secretariat@bal.example.test\n"])?;

    let enrolled = |records: &[Value]| records.iter().filter(|r| r["event"] == "certificate").count() == 2;
    let records = desk.sidecar().recorded(0, enrolled).await?;
    let record = records.iter().find(|r| r["fingerprint"] == agency.fingerprint.as_str()).context("not recorded")?;
    ensure!(
        record["step"] == "enrol"
            && record["structure"].is_string()
            && record["structure"] != AGENCY
            && record["uid"] == 0,
        "{record}"
    );
    desk.stage.sidecar.kill()?;
    desk.stage.sidecar.resume()?;
    let list = desk.done(&["list"])?;
    has(&list, &[&agency.fingerprint[..16], &drimbox.fingerprint[..16], AGENCY, PRACTICE, "good", "in 109"])?;
    ensure!(!list.contains(&agency.fingerprint), "not short:\n{list}");
    let one = desk.done(&["list", "--structure", AGENCY, "--long"])?;
    has(&one, &[&agency.fingerprint, "igc-test", "OU=318751275100020", "TEST AC IGC-SANTE ELEMENTAIRE ORGANISATIONS"])?;
    ensure!(!one.contains(&drimbox.fingerprint), "{one}");
    has(&desk.done(&["list", "--structure", "31"])?, &["no certificate of structure 31 is enrolled"])?;
    ensure!(
        desk.structures()? == format!("{AGENCY}:{{PLAIN}}:::::\n{PRACTICE}:{{PLAIN}}:::::\n"),
        "{}",
        desk.structures()?
    );
    has(&String::from_utf8(desk.sidecar().run(&["status"])?.stdout)?, &["2 enrolled"])?;
    let mailboxes = String::from_utf8(desk.sidecar().run(&["mailbox", "list"])?.stdout)?;
    has(&mailboxes, &["499700367909006 *", "318751275100020 and 1 more"])?;
    Ok(())
}

#[tokio::test]
async fn certificates_that_expire_soon_are_told_in_time() -> Result<()> {
    let desk = Desk::new()?;
    let now = desk.igc.now();
    let soon = desk.igc.valid(&[AGENCY], "O", "soon", now - DAY, now + 30 * DAY + 3600)?;
    let told =
        desk.done(&["import", &desk.file("a", &soon.der)?, &desk.file("b", desk.leaf(AGENCY, "later")?.der)?])?;
    has(&told, &["remark: ", "expires soon"])?;
    let expiring = desk.done(&["expiring"])?;
    has(&expiring, &["soon", "in 30 days", "EXPIRES SOON"])?;
    ensure!(!expiring.contains("later"), "{expiring}");
    has(&desk.done(&["expiring", "--days", "30"])?, &["none: no enrolled certificate expires within 30 days"])?;
    has(&desk.done(&["expiring", "--days", "31"])?, &["soon"])?;
    has(&String::from_utf8(desk.sidecar().run(&["status"])?.stdout)?, &["2 enrolled, 1 EXPIRE within 60 days"])
}

#[tokio::test]
async fn a_certificate_is_withdrawn_for_good() -> Result<()> {
    let mut desk = Desk::new()?;
    let leaf = desk.leaf(AGENCY, "sas-agregateur")?;
    let file = desk.file("agency.pem", &leaf.certificate_pem)?;
    desk.done(&["import", &file])?;
    let digits = &leaf.fingerprint[..8];
    for (named, reason, part) in [
        (&leaf.fingerprint[..7], "lost", "its first 8 or more hexadecimal digits"),
        ("not-digits", "lost", "its first 8 or more hexadecimal digits"),
        ("0000000000000000", "lost", "no enrolled certificate has this fingerprint"),
        (digits, " ", "expected a reason, one line"),
        (digits, "two\nlines", "expected a reason, one line"),
    ] {
        has(&desk.refused(&["revoke", named, "--reason", reason])?, &[part])?;
    }
    let told = desk.done(&["revoke", &digits.to_uppercase(), "--reason", "the key was lost"])?;
    has(&told, &["is withdrawn and opens nothing any more", &leaf.fingerprint, "its authority does not know"])?;
    ensure!(desk.structures()?.is_empty(), "Dovecot is not told");
    has(&desk.refused(&["revoke", digits, "--reason", "again"])?, &["withdrawn already"])?;
    desk.stage.sidecar.kill()?;
    desk.stage.sidecar.resume()?;
    has(&desk.done(&["list"])?, &["WITHDRAWN"])?;
    has(&desk.refused(&["import", &file])?, &["it was withdrawn", "ask the authority for a new certificate"])?;
    has(&desk.done(&["expiring", "--days", "3650"])?, &["none"])?;
    has(&String::from_utf8(desk.sidecar().run(&["status"])?.stdout)?, &["0 enrolled"])?;
    let withdrawn = |r: &Value| r["step"] == "withdraw" && r["outcome"] == "done";
    let records = desk.sidecar().recorded(0, |records| records.iter().any(withdrawn)).await?;
    let record = records.iter().find(|r| withdrawn(r)).context("not recorded")?;
    ensure!(
        record["reason"] == "the key was lost" && record["structure"].is_string() && record["structure"] != AGENCY,
        "{record}"
    );
    ensure!(record["fingerprint"] == leaf.fingerprint.as_str() && record["uid"] == 0, "{record}");
    Ok(())
}

#[tokio::test]
async fn what_is_no_good_certificate_of_a_structure_is_refused_with_its_reason() -> Result<()> {
    let desk = Desk::new()?;
    let (igc, good) = (&desk.igc, desk.leaf(AGENCY, "good")?);
    let (foreign, impostor) = (Igc::new(Names::Foreign)?, Igc::new(Names::Test)?);
    let organisation = |igc: &Igc, units: &[&str]| Ok::<_, anyhow::Error>(igc.organisation(units, "O", "C")?.der);
    let cut = good.certificate_pem.split_at(good.certificate_pem.len() / 2).0.as_bytes().to_vec();
    let with_key = format!("{}{}", good.certificate_pem, good.key_pem).into_bytes();
    let cases: [(Vec<u8>, &[&str]); 16] = [
        (cut, &["the PEM is damaged"]),
        (b"<html>503</html>".to_vec(), &["neither PEM"]),
        (Vec::new(), &["the file is empty"]),
        ([&good.der[..], b"\0"].concat(), &["other bytes follow"]),
        (with_key, &["holds a private key"]),
        (igc.professional()?.der, &["has no OU", "certificate of a person", "ORG AUTH_CLI"]),
        (organisation(igc, &[AGENCY, "2"])?, &["has 2 OUs"]),
        (organisation(igc, &["0002 187512751"])?, &["no structure identifier"]),
        (organisation(igc, &["3187\0"])?, &["can't be read as text"]),
        (organisation(igc, &[&"3".repeat(300)])?, &["over 255 bytes"]),
        (
            organisation(&foreign, &[AGENCY])?,
            &["no configured chain vouches for it", "CN=FOREIGN CA", "ca_files of a [[chain]]"],
        ),
        (organisation(&impostor, &[AGENCY])?, &["which did not sign it"]),
        (igc.organisations().der().to_vec(), &["certificate of an authority", "leave it out"]),
        (igc.server(&["x.test"])?.der, &["lacks clientAuth"]),
        (igc.expired(&[AGENCY], "O", "C")?.der, &["it has expired"]),
        (good.chain_pem.clone().into_bytes(), &["bad, certificate 2 (CN=TEST AC IGC-SANTE"]),
    ];
    let secret = good.key_pem.lines().nth(1).context("no key")?;
    let sound = desk.file("sound", desk.leaf(PRACTICE, "sound")?.der)?;
    for (content, parts) in cases {
        let file = desk.file("bad", content)?;
        let told = desk.refused(&["import", &sound, &file])?;
        has(&told, parts)?;
        has(&told, &["nothing enrolled: ", &file])?;
        ensure!(!told.contains(secret), "the private key is shown:\n{told}");
    }
    ensure!(!desk.sidecar().log().contains(secret) && !desk.sidecar().trail().contains(secret), "the key is logged");
    let file = desk.file("good", &good.der)?;
    has(&desk.refused(&["import", &file, &file])?, &["it stands here twice"])?;
    has(&desk.done(&["list"])?, &["no certificate is enrolled"])?;
    desk.done(&["import", &file])?;
    has(&desk.refused(&["import", &file])?, &["it is enrolled already"])?;
    has(&desk.refused(&["import", "/nowhere.pem"])?, &["reading /nowhere.pem"])?;
    let large = desk.file("large", vec![b' '; (1 << 20) + 1])?;
    has(&desk.refused(&["import", &large])?, &["is larger than"])
}

#[tokio::test]
async fn the_check_of_revocation_is_suspended_for_hours_with_a_reason_and_resumed() -> Result<()> {
    let mut desk = Desk::new()?;
    has(&desk.done(&["crl"])?, &["MISSING", "igc-test", "the check is not suspended"])?;
    has(&desk.refused(&["crl", "suspend", "--hours", "169", "--reason", "x"])?, &["169"])?;
    has(&desk.refused(&["crl", "suspend", "--hours", "1", "--reason", " "])?, &["expected a reason, one line"])?;
    has(&desk.done(&["crl", "suspend", "--hours", "12", "--reason", "no network"])?, &["until 20"])?;
    desk.stage.sidecar.kill()?;
    desk.stage.sidecar.resume()?;
    has(&desk.done(&["crl", "status"])?, &["THE CHECK IS SUSPENDED until", "no network"])?;
    has(&desk.done(&["crl", "resume"])?, &["with usable lists alone"])?;
    has(&desk.done(&["crl"])?, &["the check is not suspended"])?;
    let resumed = |r: &Value| r["step"] == "resume-revocation" && r["uid"] == 0;
    let records = desk.sidecar().recorded(0, |records| records.iter().any(resumed)).await?;
    let begun = records.iter().find(|r| r["step"] == "suspend-revocation").context("not recorded")?;
    ensure!(begun["reason"] == "no network" && begun["until"].is_string(), "{begun}");
    Ok(())
}
