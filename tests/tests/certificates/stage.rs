//! A site with certificates: stand-ins, sidecar and servers that tests share, and what a login must look like on them.
//!
//! Owns one stage of each version for all tests that leave it as it is. Must never be stopped or reconfigured by a test
//! that shares it.

use std::fs;
use std::process::Output;
use std::sync::LazyLock;

use anyhow::{Context as _, Result, ensure};
use octroi_igc::{Igc, Leaf, Names};
use octroi_psc::Psc;
use octroi_tests::certificates::{OTHER_STRUCTURE, STRUCTURE, Site};
use octroi_tests::dovecot::{self, Dovecot, Version};
use octroi_tests::imap::Imap;
use octroi_tests::postfix::{self, Postfix};
use octroi_tests::sasl::Credential;
use octroi_tests::sidecar::{Settings, Sidecar};
use octroi_tests::smtp::Smtp;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// An application's mailbox, of [`STRUCTURE`]; has the alias [`ALIAS`].
pub(crate) const AUTOMATE: &str = "automate@bal.example.test";
/// Another address of the application's mailbox.
pub(crate) const ALIAS: &str = "robot@bal.example.test";
/// A service's mailbox, of [`STRUCTURE`] too.
pub(crate) const SECRETARIAT: &str = "secretariat@bal.example.test";
/// Doctor one's: a person's, of no structure.
pub(crate) const UN: &str = "docteur.un@bal.example.test";
/// An application's of [`OTHER_STRUCTURE`].
pub(crate) const AUTRE: &str = "autre@bal.example.test";
/// An application's of [`STRUCTURE`], for certificates with the CN `DRIMbox` alone.
pub(crate) const LIMITE: &str = "limite@bal.example.test";
/// An application's of [`STRUCTURE`] in a domain of which no chain is the master.
pub(crate) const AILLEURS: &str = "automate@ailleurs.example.test";

/// Applications' of [`STRUCTURE`], for each of which one test alone asks.
pub(crate) const VERROU: &str = "verrou@bal.example.test";
/// See [`VERROU`].
pub(crate) const JOURNAL: &str = "journal@bal.example.test";

/// A FINESS number with a letter, of Corsica.
pub(crate) const CORSE: &str = "12A0000012";
/// An application's of [`CORSE`].
pub(crate) const BASTIA: &str = "bastia@bal.example.test";

/// Every mailbox.
pub(crate) const ALL: [&str; 9] = [AUTOMATE, SECRETARIAT, UN, AUTRE, LIMITE, AILLEURS, VERROU, JOURNAL, BASTIA];

/// Both versions of Dovecot.
pub(crate) const VERSIONS: [Version; 2] = [Version::V2_3, Version::V2_4];

/// Runs what belongs to the stand-ins on a runtime of its own: a test's ends with the test.
pub(crate) fn provider<T: Send>(work: impl Future<Output = T> + Send) -> T {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
    std::thread::scope(|scope| scope.spawn(|| RUNTIME.block_on(work)).join().unwrap())
}

/// The certificates that are tried.
pub(crate) struct Leaves {
    /// Of [`STRUCTURE`], CN `DRIMbox`, enrolled.
    pub(crate) good: Leaf,
    /// Of [`STRUCTURE`] with another CN, enrolled.
    pub(crate) second: Leaf,
    /// Of [`OTHER_STRUCTURE`], enrolled.
    pub(crate) other: Leaf,
    /// Of [`CORSE`], enrolled.
    pub(crate) corse: Leaf,
    /// Of [`STRUCTURE`], and not enrolled.
    pub(crate) stranger: Leaf,
    /// Of a structure that has no enrolled certificate.
    pub(crate) unlisted: Leaf,
    /// Of [`STRUCTURE`], expired.
    pub(crate) expired: Leaf,
    /// Of [`STRUCTURE`] and of another OU before it.
    pub(crate) two_units: Leaf,
    /// A person's.
    pub(crate) professional: Leaf,
    /// A server's.
    pub(crate) server: Leaf,
    /// Of [`STRUCTURE`], by an authority of another name.
    pub(crate) foreign: Leaf,
    /// Of [`STRUCTURE`], by an authority of the same names as the real ones.
    pub(crate) impostor: Leaf,
    /// Of [`STRUCTURE`], by the test chain.
    pub(crate) test_chain: Leaf,
}

impl Leaves {
    fn new(igc: &Igc) -> Result<Self> {
        let of = |igc: &Igc, cn: &str| igc.organisation(&[STRUCTURE], "CABINET M DOC0036790", cn);
        Ok(Self {
            good: of(igc, "DRIMbox")?,
            second: of(igc, "Logiciel deux")?,
            other: igc.organisation(&[OTHER_STRUCTURE], "CABINET M AUTRE", "DRIMbox")?,
            corse: igc.organisation(&[CORSE], "CENTRE DE CORSE", "DRIMbox")?,
            stranger: of(igc, "DRIMbox")?,
            unlisted: igc.organisation(&["318751275100020"], "SANS INSCRIPTION", "DRIMbox")?,
            expired: igc.expired(&[STRUCTURE], "CABINET M DOC0036790", "DRIMbox")?,
            two_units: igc.organisation(&["0002 187512751", STRUCTURE], "CABINET M DOC0036790", "DRIMbox")?,
            professional: igc.professional()?,
            server: igc.server(&["localhost"])?,
            foreign: of(&Igc::new(Names::Foreign)?, "DRIMbox")?,
            impostor: of(&Igc::new(Names::Production)?, "DRIMbox")?,
            test_chain: of(&Igc::new(Names::Test)?, "DRIMbox")?,
        })
    }
}

/// Everything.
pub(crate) struct Stage {
    pub(crate) sidecar: Sidecar,
    pub(crate) dovecot: Dovecot,
    /// With Dovecot 2.3 alone: the other version has no Postfix in its root.
    pub(crate) postfix: Option<Postfix>,
    pub(crate) site: Site,
    pub(crate) leaves: Leaves,
    _psc: Psc,
}

impl Stage {
    /// Of its own; `more` follows the sidecar's configuration.
    pub(crate) fn start(version: Version, more: &str) -> Result<Self> {
        let (psc, site) = provider(async { anyhow::Ok((Psc::start_tls().await?, Site::open(version)?)) })?;
        let leaves = Leaves::new(&site.igc)?;
        let setup = postfix::Setup { certificates: Some(site.seen_as()), ..postfix::Setup::new(&ALL) };
        let postfix = (version == Version::V2_3).then(|| Postfix::start(&setup)).transpose()?;
        let section = postfix.as_ref().map(Postfix::sidecar_section).unwrap_or_default();
        let more = format!("{section}{}{more}", site.sidecar_sections());
        let sidecar = Sidecar::start(&psc, &Settings { more, directory: directory(), ..Settings::default() })?;
        let mut setup = dovecot::Setup::new(version, sidecar.introspection(), sidecar.policy(), &ALL);
        setup.certificates = Some(site.seen_as());
        let dovecot = Dovecot::start(&setup)?;
        site.tell(&dovecot.configuration()?)?;
        let stage = Self { sidecar, dovecot, postfix, site, leaves, _psc: psc };
        for (leaf, name) in [
            (&stage.leaves.good, "good"),
            (&stage.leaves.second, "second"),
            (&stage.leaves.other, "other"),
            (&stage.leaves.corse, "corse"),
        ] {
            stage.enrol(leaf, name)?;
        }
        Ok(stage)
    }

    /// The one that most tests share.
    pub(crate) fn shared(version: Version) -> &'static Self {
        static V2_3: LazyLock<Stage> = LazyLock::new(|| Stage::start(Version::V2_3, "").unwrap());
        static V2_4: LazyLock<Stage> = LazyLock::new(|| Stage::start(Version::V2_4, "").unwrap());
        match version {
            Version::V2_3 => &V2_3,
            Version::V2_4 => &V2_4,
        }
    }

    /// The Postfix of this stage.
    pub(crate) fn postfix(&self) -> &Postfix {
        self.postfix.as_ref().unwrap()
    }

    /// Enrols a certificate as an operator does.
    pub(crate) fn enrol(&self, leaf: &Leaf, name: &str) -> Result<()> {
        let file = self.sidecar.folder().join(format!("{name}.pem"));
        fs::write(&file, &leaf.certificate_pem)?;
        succeeded(&self.sidecar.run(&["certificate", "import", &file.display().to_string()])?).map(drop)
    }

    /// One attempt over IMAP: the server's answer, and the subject of the first message where it let the client in.
    pub(crate) async fn opens(&self, shown: Option<&Leaf>, mailbox: &str, initial: bool) -> Result<(String, String)> {
        let mut imap = Imap::connect_with_certificate(&self.dovecot, shown).await?;
        let reply = imap.authenticate(&Credential::external(mailbox), initial).await?;
        if !reply.accepted() {
            return Ok((reply.line(), String::new()));
        }
        let subject = imap.first_subject().await?;
        imap.logout().await?;
        Ok(("OK".to_owned(), subject))
    }

    /// The mailbox is opened, with initial response and in two steps.
    pub(crate) async fn is_opened(&self, shown: &Leaf, mailbox: &str) -> Result<()> {
        for initial in [true, false] {
            let seen = self.opens(Some(shown), mailbox, initial).await?;
            ensure!(seen == ("OK".to_owned(), dovecot::subject(mailbox)), "{seen:?}\n{}", self.sidecar.log());
        }
        Ok(())
    }

    /// The mailbox is not opened, and this is the answer.
    pub(crate) async fn is_refused(&self, shown: Option<&Leaf>, mailbox: &str, answer: &str) -> Result<()> {
        for initial in [true, false] {
            let (said, _) = self.opens(shown, mailbox, initial).await?;
            ensure!(said == answer, "{mailbox:?}: {said:?} instead of {answer:?}\n{}", self.sidecar.log());
        }
        Ok(())
    }

    /// A connection to the port for certificates, as far as AUTH, and what AUTH said.
    pub(crate) async fn smtp(&self, shown: Option<&Leaf>, mailbox: &str, initial: bool) -> Result<(Smtp, String)> {
        let postfix = self.postfix();
        let mut smtp = Smtp::greeted_with_certificate(postfix.certificates_port(), postfix.pki(), shown).await?;
        ensure!(smtp.mechanisms() == ["EXTERNAL"], "{}", smtp.transcript());
        let reply = smtp.authenticate(&Credential::external(mailbox), initial).await?;
        Ok((smtp, reply.line()))
    }

    /// What becomes of a message from this mailbox to [`SECRETARIAT`].
    pub(crate) async fn sends(
        &self,
        shown: Option<&Leaf>,
        mailbox: &str,
        sender: &str,
        subject: &str,
    ) -> Result<String> {
        let (mut smtp, said) = self.smtp(shown, mailbox, true).await?;
        ensure!(said == "235 2.7.0 Authentication successful", "{said}");
        let reply = smtp.submit(sender, &[SECRETARIAT], subject).await?;
        smtp.quit().await?;
        Ok(reply.line())
    }

    /// The first record of this event about this mailbox with this outcome, as soon as it is written. Where the stage
    /// is shared, no other test may ask for the mailbox: tests run side by side.
    pub(crate) async fn decided(&self, event: &str, mailbox: &str, outcome: &str) -> Result<Value> {
        let is =
            |record: &&Value| record["event"] == event && record["mailbox"] == mailbox && record["outcome"] == outcome;
        let records = self.sidecar.recorded(0, |records| records.iter().any(|record| is(&record))).await?;
        records.into_iter().find(|record| is(&record)).context("no record")
    }
}

/// Output of a command that succeeded.
pub(crate) fn succeeded(output: &Output) -> Result<String> {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    ensure!(output.status.success(), "{:?}\n{out}\n{err}", output.status);
    String::from_utf8(output.stdout.clone()).context("not UTF-8")
}

/// The mailboxes of the site.
fn directory() -> String {
    let doctor = octroi_psc::doctor_one().id_nat;
    format!(
        "address,kind,persons,aliases,structures,certificates\n\
         {UN},PER,{doctor},,,\n\
         {SECRETARIAT},ORG,{doctor},,{STRUCTURE},\n\
         {AUTOMATE},APP,,{ALIAS},{STRUCTURE}|1760021832,\n\
         {AUTRE},APP,,,{OTHER_STRUCTURE},\n\
         {LIMITE},APP,,,{STRUCTURE},cn=DRIMbox\n\
         {AILLEURS},APP,,,{STRUCTURE},\n\
         {VERROU},APP,,,{STRUCTURE},\n\
         {JOURNAL},APP,,,{STRUCTURE},\n\
         {BASTIA},APP,,,{CORSE},\n"
    )
}
