//! A site that takes client certificates: a stand-in for IGC-Sante with its revocation lists on a web server, and the
//! folder in which the sidecar keeps what the mail servers of one root read.
//!
//! Owns that folder and the web server. Must never be trusted by anything but the servers that it is handed to.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Result;
use octroi_igc::{DAY, Igc, Leaf, Names};

use crate::dovecot::Version;
use crate::servers::{Place, Suite, put};
use crate::warden::Warden;
use crate::web::Pages;

/// The address at which Dovecot asks for certificates.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The structure to which the mailboxes for certificates belong.
pub const STRUCTURE: &str = "499700367909006";
/// Another one, with a certificate of the same chain.
pub const OTHER_STRUCTURE: &str = "499700999999999";
/// Name of the chain in the configuration.
pub const CHAIN: &str = "igc-sante";

/// A site's stand-in, web server and folder.
pub struct Site {
    /// The chain of the site.
    pub igc: Igc,
    suite: Suite,
    place: Place,
    lists: Pages,
    /// Of the folder: a site that tests share is never dropped.
    _warden: Warden,
}

impl Site {
    /// For a Dovecot of this version, and for the other servers of its root.
    pub fn open(version: Version) -> Result<Self> {
        let suite = match version {
            Version::V2_3 => Suite::Bookworm,
            Version::V2_4 => Suite::Trixie,
        };
        let place = Place::new(suite)?;
        let warden = Warden::of(&place.folder)?;
        // Dovecot's and Postfix's own users must pass through; the folder for tests is made for its owner alone.
        fs::set_permissions(&place.folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let igc = Igc::new(Names::Production)?;
        put(&place.folder.join("authorities.pem"), &igc.bundle(), 0o644)?;
        // Dovecot may start after the sidecar has written: then there is nobody yet who could be told.
        put(&place.folder.join("reload.sh"), "exit 0\n", 0o755)?;
        let site = Self { igc, suite, place, lists: Pages::serve()?, _warden: warden };
        site.publish(1)?;
        Ok(site)
    }

    /// Puts a list of each authority on the web server, with this number, valid from yesterday on for a month.
    pub fn publish(&self, number: u64) -> Result<()> {
        let now = self.igc.now();
        self.put("organisations.crl", self.igc.organisations().crl(number, now - DAY, now + 30 * DAY)?.der);
        self.put("root.crl", self.igc.root().crl(number, now - DAY, now + 30 * DAY)?.der);
        Ok(())
    }

    /// Puts anything in the place of a list.
    pub fn put(&self, name: &str, content: Vec<u8>) {
        self.lists.put(&format!("/{name}"), content);
    }

    /// A certificate of the site's structure.
    pub fn leaf(&self) -> Result<Leaf> {
        self.igc.organisation(&[STRUCTURE], "CABINET M DOC0036790", "DRIMbox")
    }

    /// `[[chain]]` and `[crl]` of the sidecar's configuration.
    pub fn sidecar_sections(&self) -> String {
        let folder = self.place.folder.display();
        let version = if self.suite == Suite::Bookworm { "2.3" } else { "2.4" };
        format!(
            "[[chain]]\nname = \"{CHAIN}\"\nca_files = [\"{folder}/authorities.pem\"]\n\
             mailbox_domains = [\"{}\"]\nimap_listen = [\"{ADDRESS}\"]\n\
             crl_urls = [\"{}\", \"{}\"]\n\
             [crl]\ndovecot_folder = \"{folder}/certificates\"\ndovecot_version = \"{version}\"\n\
             dovecot_reload = [\"/bin/sh\", \"{folder}/reload.sh\"]\n",
            octroi_psc::MAILBOX_DOMAIN,
            self.lists.url("/organisations.crl"),
            self.lists.url("/root.crl"),
        )
    }

    /// The folder that the sidecar writes for the mail servers.
    pub fn folder(&self) -> PathBuf {
        self.place.folder.join("certificates")
    }

    /// The same as the servers see it.
    pub fn seen_as(&self) -> String {
        format!("{}/certificates", self.place.seen_as)
    }

    /// From now on the sidecar tells this server of new lists.
    pub fn tell(&self, configuration: &str) -> Result<()> {
        let command = self.place.command(&["/usr/bin/doveadm", "-c", configuration, "reload"]);
        put(&self.place.folder.join("reload.sh"), &format!("exec {}\n", command.join(" ")), 0o755)
    }

    /// Writes a certificate with its issuer's and its key into files, for programs that want them there.
    pub fn files(&self, leaf: &Leaf, name: &str) -> Result<(PathBuf, PathBuf)> {
        let [certificate, key] = ["pem", "key"].map(|end| self.place.folder.join(format!("{name}.{end}")));
        put(&certificate, &leaf.chain_pem, 0o644)?;
        put(&key, &leaf.key_pem, 0o600)?;
        Ok((certificate, key))
    }
}
