//! A site that takes client certificates: a stand-in for IGC-Sante with its revocation lists on a web server, and the folder
//! in which the sidecar keeps what the mail servers of one root read.
//!
//! Owns that folder and the web server. Must never be trusted by anything but the servers that it is handed to.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use octroi_igc::{DAY, Igc, Leaf, Names};

use crate::dovecot::Version;
use crate::servers::{Place, Suite, put};

/// The address at which Dovecot asks for certificates.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The structure to which the mailboxes for certificates belong.
pub const STRUCTURE: &str = "499700367909006";
/// Another one, with a certificate of the same chain.
pub const OTHER_STRUCTURE: &str = "499700999999999";
/// Name of the chain in the configuration.
pub const CHAIN: &str = "igc-sante";

/// Revocation lists by their path.
type Lists = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// A site's stand-in, web server and folder.
pub struct Site {
    /// The chain of the site.
    pub igc: Igc,
    suite: Suite,
    place: Place,
    lists: Lists,
    port: u16,
}

impl Site {
    /// For a Dovecot of this version, and for the other servers of its root. Needs a Tokio runtime, and ends with it.
    pub async fn open(version: Version) -> Result<Self> {
        let suite = match version {
            Version::V2_3 => Suite::Bookworm,
            Version::V2_4 => Suite::Trixie,
        };
        let place = Place::new(suite)?;
        // Dovecot's and Postfix's own users must pass through; the folder for tests is made for its owner alone.
        fs::set_permissions(&place.folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let igc = Igc::new(Names::Production)?;
        put(&place.folder.join("authorities.pem"), &igc.bundle(), 0o644)?;
        // Dovecot may start after the sidecar has written: then there is nobody yet who could be told.
        put(&place.folder.join("reload.sh"), "exit 0\n", 0o755)?;
        let lists = Lists::default();
        let port = serve(Arc::clone(&lists)).await?;
        let site = Self { igc, suite, place, lists, port };
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
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("/{name}"), content);
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
             crl_urls = [\"http://127.0.0.1:{port}/organisations.crl\", \"http://127.0.0.1:{port}/root.crl\"]\n\
             [crl]\ndovecot_folder = \"{folder}/certificates\"\ndovecot_version = \"{version}\"\n\
             dovecot_reload = [\"/bin/sh\", \"{folder}/reload.sh\"]\n",
            octroi_psc::MAILBOX_DOMAIN,
            port = self.port,
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

impl Drop for Site {
    fn drop(&mut self) {
        // What is left is in a folder for tests.
        let _ = fs::remove_dir_all(&self.place.folder);
    }
}

/// Serves the lists on a free port of 127.0.0.1, as long as the runtime lives.
async fn serve(lists: Lists) -> Result<u16> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a web server")?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let lists = Arc::clone(&lists);
            let answer = service_fn(move |request: Request<Incoming>| {
                let found = lists.lock().unwrap_or_else(PoisonError::into_inner).get(request.uri().path()).cloned();
                let status = if found.is_some() { 200 } else { 404 };
                let mut response = Response::new(Full::new(Bytes::from(found.unwrap_or_default())));
                *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
                std::future::ready(Ok::<_, Infallible>(response))
            });
            // A client that goes away is none of ours.
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    Ok(port)
}
