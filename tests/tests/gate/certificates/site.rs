//! Two chains of authorities, a server of their revocation lists on loopback, and a gate that knows both chains.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use octroi::clock::{Clock, UnixSeconds};
use octroi::evidence::certificate::enrolled::{Enrolled, Enrolment, Set};
use octroi::evidence::certificate::{
    Certificate, Certificates, Chain, ChainKind, Chains, DovecotFiles, Fingerprint, RevocationSettings, Revocations,
    Shown, StructureId,
};
use octroi::evidence::directory::{CertificateLimits, Mailbox, MailboxAddress, MailboxKind, Snapshot};
use octroi::gate::{CertificateAttempt, CertificateOutcome, Door, Protocol};
use octroi::http::{HttpClient, HttpSettings};
use octroi::store::{StoredCertificate, StoredCertificates};
use octroi_igc::{DAY, Igc, Leaf, Names};
use octroi_tests::web::Pages;

use crate::bench::{Bench, CLIENT, Setup};

pub(super) const NOW: u64 = 1_780_000_000;

/// The structure of most certificates, and another.
pub(super) const STRUCTURE: &str = "499700367909006";
pub(super) const ANOTHER: &str = "318751275100020";

/// Where Dovecot asks for certificates of the one chain, and of the other.
pub(super) const LISTEN: &str = "192.0.2.10";
pub(super) const OTHER_LISTEN: &str = "192.0.2.20";

/// Mailboxes of the structure.
pub(super) const ACCUEIL: &str = "accueil@bal.example.test";
pub(super) const AUTOMATE: &str = "automate@bal.example.test";
pub(super) const BY_NAME: &str = "par-nom@bal.example.test";
pub(super) const BY_ISSUER: &str = "par-autorite@bal.example.test";
pub(super) const BY_FINGERPRINT: &str = "par-empreinte@bal.example.test";
pub(super) const OF_OTHER_ISSUER: &str = "autre-autorite@bal.example.test";
pub(super) const ELSEWHERE: &str = "accueil@elsewhere.example.test";
pub(super) const OTHER_DOMAIN: &str = "accueil@other.example.test";
/// What the structure may not open.
pub(super) const PERSONAL: &str = "docteur.un@bal.example.test";
pub(super) const OF_ANOTHER: &str = "autre@bal.example.test";
pub(super) const OF_NOBODY: &str = "secretariat@bal.example.test";

/// CN of most certificates.
pub(super) const NAME: &str = "DRIMbox";

const PATHS: [[&str; 2]; 2] = [["/below.crl", "/root.crl"], ["/other-below.crl", "/other-root.crl"]];

pub(super) struct Site {
    pub(super) igc: Igc,
    pub(super) other: Igc,
    pub(super) clock: Clock,
    pub(super) revocations: Revocations,
    folder: tempfile::TempDir,
    chains: Arc<Chains>,
    enrolment: Enrolment,
    stored: Mutex<Vec<StoredCertificate>>,
    pages: Pages,
    number: AtomicU64,
}

impl Site {
    /// Every list is there, and Dovecot has them.
    pub(super) async fn new() -> Self {
        let site = Self::without_lists().await;
        site.let_dovecot_reload();
        site.publish().await;
        site
    }

    /// No list is there yet, and Dovecot's reload fails.
    pub(super) async fn without_lists() -> Self {
        let (igc, other) = (Igc::at(Names::Test, NOW).unwrap(), Igc::at(Names::Production, NOW).unwrap());
        let chain = |name, kind, domain: &str, listen: &str, igc: &Igc| {
            let files = [(PathBuf::from("ca.pem"), igc.bundle().into_bytes())];
            Chain::new(name, kind, vec![domain.to_owned()], vec![listen.parse().unwrap()], &files).unwrap()
        };
        let chains = Arc::new(Chains(vec![
            chain("igc-test", ChainKind::Test, "bal.example.test", LISTEN, &igc),
            chain("igc", ChainKind::Production, "other.example.test", OTHER_LISTEN, &other),
        ]));
        let (clock, folder, pages) =
            (Clock::manual(UnixSeconds(NOW)), tempfile::tempdir().unwrap(), Pages::serve().unwrap());
        let source = |at: usize, path| (at, pages.url(path).parse().unwrap());
        let settings = RevocationSettings {
            refresh: Duration::from_secs(3600),
            max_stale: Duration::ZERO,
            folder: folder.path().join("crl"),
            sources: PATHS.iter().enumerate().flat_map(|(at, paths)| paths.map(|path| source(at, path))).collect(),
            dovecot: Some(DovecotFiles {
                folder: folder.path().join("dovecot"),
                setting: "ssl_require_crl",
                reload: vec!["test".to_owned(), "-e".to_owned(), reloads(&folder).to_str().unwrap().to_owned()],
            }),
        };
        let http = HttpClient::new(&HttpSettings::default()).unwrap();
        let revocations = Revocations::start(Arc::clone(&chains), settings, http, clock.clone());
        let (enrolment, stored, number) = (Enrolment::default(), Mutex::default(), AtomicU64::new(1));
        Self { igc, other, clock, revocations, folder, chains, enrolment, stored, pages, number }
    }

    /// From now on Dovecot's reload succeeds.
    pub(super) fn let_dovecot_reload(&self) {
        std::fs::write(reloads(&self.folder), "").unwrap();
    }

    /// New lists of all authorities, fetched, and Dovecot told of them.
    pub(super) async fn publish(&self) {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (this, next) = (self.clock.now().0 - DAY, self.clock.now().0 + DAY);
        for (igc, [below, root]) in [&self.igc, &self.other].into_iter().zip(PATHS) {
            self.pages.put(below, igc.organisations().crl(number, this, next).unwrap().der);
            self.pages.put(root, igc.root().crl(number, this, next).unwrap().der);
        }
        self.revocations.refresh().await;
    }

    pub(super) fn certificates(&self) -> Certificates {
        let (chains, enrolment) = (Arc::clone(&self.chains), self.enrolment.clone());
        Certificates { chains, enrolment, revocations: Some(self.revocations.clone()) }
    }

    /// A certificate of the one chain, enrolled.
    pub(super) fn leaf(&self, structure: &str, name: &str) -> Leaf {
        self.enrolled(self.igc.organisation(&[structure], "CABINET", name).unwrap())
    }

    pub(super) fn enrolled(&self, leaf: Leaf) -> Leaf {
        let stored = StoredCertificate { der: leaf.der.clone(), enrolled_at: UnixSeconds(NOW), withdrawn_at: None };
        self.store(|all| all.push(stored));
        leaf
    }

    pub(super) fn withdraw(&self, leaf: &Leaf) {
        self.store(|all| {
            all.iter_mut().find(|one| one.der == leaf.der).unwrap().withdrawn_at = Some(self.clock.now());
        });
    }

    fn store(&self, change: impl FnOnce(&mut Vec<StoredCertificate>)) {
        let mut stored = self.stored.lock().unwrap();
        change(&mut stored);
        let stored = StoredCertificates { whole: stored.clone(), damaged: Vec::new() };
        self.enrolment.publish(Set::load(stored, &self.chains));
    }

    /// What no import lets in: a certificate with whatever names, taken for one of the structure.
    pub(super) fn force(&self, leaf: Leaf) -> Leaf {
        let of = |der: &[u8]| Certificate::from_der(der).unwrap();
        let mut all = self.enrolment.snapshot().all().to_vec();
        all.push(Enrolled {
            certificate: of(&leaf.der),
            structure: StructureId::parse(STRUCTURE).unwrap(),
            chain: Some("igc-test".to_owned()),
            issuer: Some(of(self.igc.organisations().der()).fingerprint()),
            enrolled_at: UnixSeconds(NOW),
            withdrawn_at: None,
        });
        self.enrolment.publish(Set::new(all));
        leaf
    }

    /// A gate with this policy, and a directory in which two mailboxes are for these certificates alone.
    pub(super) async fn gate(&self, wasm: &'static [u8], only: &Leaf) -> Bench {
        let (certificates, clock) = (self.certificates(), Some(self.clock.clone()));
        let bench = Bench::with(Setup { wasm, certificates, clock, ..Setup::default() }).await;
        bench.directory.publish(directory(only));
        bench
    }
}

fn reloads(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("dovecot-reloads")
}

/// The mailboxes. One is for this certificate, one for its issuer, and one for its name.
fn directory(only: &Leaf) -> Snapshot {
    let only = Certificate::from_der(&only.der).unwrap();
    let mailbox = |address: &str, kind, structures: &[&str], certificates: CertificateLimits| Mailbox {
        address: MailboxAddress::parse(address).unwrap(),
        kind,
        persons: Vec::new(),
        aliases: Vec::new(),
        structures: structures.iter().map(|structure| StructureId::parse(structure).unwrap()).collect(),
        certificates: Arc::new(certificates),
    };
    let (org, none) = (MailboxKind::Org, CertificateLimits::default);
    let own: &[&str] = &[STRUCTURE];
    let alias = |address: &str| MailboxAddress::parse(address).unwrap();
    let aliases = vec![alias("contact@bal.example.test"), alias("contact@elsewhere.example.test")];
    let issuers = |issuer: &str| CertificateLimits { issuers: vec![issuer.to_owned()], ..none() };
    Snapshot::new(vec![
        Mailbox { aliases, ..mailbox(ACCUEIL, org, &[ANOTHER, STRUCTURE], none()) },
        mailbox(AUTOMATE, MailboxKind::App, own, none()),
        mailbox(BY_NAME, org, own, CertificateLimits { common_names: vec![NAME.to_owned()], ..none() }),
        mailbox(BY_ISSUER, org, own, issuers(only.issuer())),
        mailbox(OF_OTHER_ISSUER, org, own, issuers("CN=ANOTHER")),
        mailbox(BY_FINGERPRINT, org, own, CertificateLimits { fingerprints: vec![only.fingerprint()], ..none() }),
        mailbox(ELSEWHERE, org, own, none()),
        mailbox(OTHER_DOMAIN, org, own, none()),
        mailbox(PERSONAL, MailboxKind::Per, own, none()),
        mailbox(OF_ANOTHER, org, &[ANOTHER], none()),
        mailbox(OF_NOBODY, org, &[], none()),
    ])
}

/// As Postfix tells of a certificate.
pub(super) fn by_fingerprint(leaf: &Leaf) -> Shown {
    Shown::Fingerprint(fingerprint(leaf))
}

pub(super) fn fingerprint(leaf: &Leaf) -> Fingerprint {
    Fingerprint::parse(&leaf.fingerprint).unwrap()
}

/// As Dovecot tells of one.
pub(super) fn by_structure(unit: &str, listen: &str) -> Shown {
    Shown::Structure { unit: unit.to_owned(), listen: listen.parse::<IpAddr>().unwrap() }
}

/// Asks the gate.
pub(super) fn judged(bench: &Bench, shown: &Shown, mailbox: &str) -> CertificateOutcome {
    let attempt = CertificateAttempt {
        shown: shown.clone(),
        mailbox: mailbox.to_owned(),
        protocol: Protocol::Imap,
        door: Door::DovecotPolicy,
        client: Some(CLIENT),
    };
    bench.gate.judge_certificate(&attempt).outcome
}

/// One word for the outcome: the mailbox, or the code of the reason.
pub(super) fn said(bench: &Bench, shown: &Shown, mailbox: &str) -> String {
    match judged(bench, shown, mailbox) {
        CertificateOutcome::Allow(opened) => opened.mailbox().as_str().to_owned(),
        CertificateOutcome::Deny(reason) => format!("deny {}", reason.code()),
        CertificateOutcome::Unavailable(reason) => format!("unavailable {}", reason.code()),
    }
}
