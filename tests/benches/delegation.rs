//! Postfix's policy delegation over a unix socket, beside an echo and beside postfwd: may this login send to this
//! recipient?

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::bench::Bench;
use crate::contest::{self, Asked, Contender};
use crate::credentials::{Credentials, MAILBOX};
use crate::echo::Echo;
use crate::figure::{Figure, Goal};
use crate::load::Connection as _;
use crate::load::lines::{Grammar, Lines};
use crate::server::{Address, Server};
use crate::{sasl, sidecar};

const VS_ECHO: &str = "delegation-vs-echo";
const VS_POSTFWD: &str = "delegation-vs-postfwd";

/// The ids of this module.
pub(crate) const IDS: &[&str] = &[VS_ECHO, VS_POSTFWD];

/// Requests in rotation: recipients differ.
const REQUESTS: usize = 1000;

/// A message may go on.
const GRAMMAR: Grammar = Grammar { opening: None, end: b"\n\n", expect: |answer, _| answer == b"action=DUNNO\n\n" };

/// Measures.
///
/// # Errors
/// A server can't be started, or answers what it should not.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let credentials = Credentials::generate()?;
    let sidecar = sidecar::start(bench, &credentials, &sidecar::Options::SHIPPED).await?;
    // The kernel tells the sidecar which process connects: this one, whatever the connection. One login is everybody's.
    sasl::log_in(&sidecar.sasl(), &credentials).await?;
    let requests: Vec<_> = (0..REQUESTS).map(|number| request(number, MAILBOX, MAILBOX)).collect();
    let asked = || Asked::Lines(requests.clone(), GRAMMAR);
    let ours = Contender { server: sidecar.delegation(), asked: asked() };
    let echo = Contender { server: Echo::Delegation.start(bench.folder()).await?, asked: asked() };
    let postfwd = Contender { server: postfwd(bench.folder()).await?, asked: asked() };
    for server in [&ours.server, &postfwd.server] {
        refuses(server, "docteur.un@bal.example.test", MAILBOX).await?;
        refuses(server, MAILBOX, "").await?;
    }

    let [ours, echo, postfwd] = contest::alternate(bench.progress(), [&ours, &echo, &postfwd]).await?;
    let vs_echo = contest::pair(VS_ECHO, &ours, ("line echo", &echo), [Some(Goal::RatioAtLeast(0.5)), None])?;
    let goals = [Some(Goal::RatioAtLeast(20.0)), None];
    let vs_postfwd = contest::pair(VS_POSTFWD, &ours, ("postfwd1", &postfwd), goals)?;
    Ok(vs_echo.into_iter().chain(vs_postfwd).collect())
}

/// What Postfix 3.7 asks at RCPT, over TLS and under a login: 29 attributes.
fn request(number: usize, sender: &str, sasl_username: &str) -> Vec<u8> {
    let method = if sasl_username.is_empty() { "" } else { "XOAUTH2" };
    format!(
        "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.7\n\
         client_name=client.example.test\nclient_port=47196\nreverse_client_name=client.example.test\n\
         server_address=192.0.2.1\nserver_port=587\nhelo_name=client.example.test\nsender={sender}\n\
         recipient=confrere{number}@chu.example.test\nrecipient_count=0\nqueue_id=\ninstance=4412.6b0654e8.7fe6e.0\n\
         size=4711\netrn_domain=\nstress=\nsasl_method={method}\nsasl_username={sasl_username}\nsasl_sender=\n\
         ccert_subject=\nccert_issuer=\nccert_fingerprint=\nccert_pubkey_fingerprint=\nencryption_protocol=TLSv1.3\n\
         encryption_cipher=TLS_AES_256_GCM_SHA384\nencryption_keysize=256\npolicy_context=\n\n"
    )
    .into_bytes()
}

/// postfwd1, the faster of the two in Debian's package (the other, of several processes, took more than twice the CPU a
/// request where the two were compared), with the same rules as far as it has them: a login, a sender that is the
/// login's, a least version of TLS. Without its cache, which would answer without looking.
async fn postfwd(folder: &Path) -> anyhow::Result<Server> {
    let (rules, socket) = (folder.join("postfwd.cf"), folder.join("postfwd.sock"));
    std::fs::write(&rules, RULES)?;
    let [rules, place] = [&rules, &socket].map(|path| path.to_str().context("a folder in ASCII"));
    let port = format!("--port={}", place?);
    let pid_file = format!("--pidfile={}", folder.join("postfwd.pid").display());
    // It takes names alone.
    let [user, group] = ["-un", "-gn"].map(name);
    let (user, group) = (user?, group?);
    // It always goes into the background, where its CPU time could not be told: kept from that one fork alone.
    let arguments = [
        "-MNet::Server",
        "-e",
        "no warnings; *Net::Server::safe_fork = sub { 0 }; do '/usr/sbin/postfwd1' or die $@ || $!",
        "--",
        "--daemon",
        "--file",
        rules?,
        "--proto=unix",
        &port,
        "--user",
        &user,
        "--group",
        &group,
        &pid_file,
        "--cache=0",
        "--nodns",
        "--norulelog",
    ];
    let log = folder.join("postfwd.log");
    Server::start("postfwd", Path::new("/usr/bin/perl"), &arguments, &[], Address::Unix(socket.clone()), &log).await
}

/// What id(1) says of this process.
fn name(which: &str) -> anyhow::Result<String> {
    Ok(String::from_utf8(Command::new("id").arg(which).output()?.stdout)?.trim().to_owned())
}

const RULES: &str = "\
id=login ; sasl_username=~/^$/ ; action=REJECT authentication required
id=tls ; encryption_protocol!~/^TLSv1\\.[23]$/ ; action=REJECT TLS version refused
id=own ; sender==$$sasl_username ; action=DUNNO
id=others ; action=REJECT sender refused
";

/// A server that lets one send as another is no contender.
async fn refuses(server: &Server, sender: &str, sasl_username: &str) -> anyhow::Result<()> {
    let requests = [request(0, sender, sasl_username)];
    let refused = Grammar { expect: |answer, _| answer.starts_with(b"action=REJECT "), ..GRAMMAR };
    let mut connections = Lines::connect(server, &requests, refused).await?;
    let refuses = connections.first_mut().context("a connection")?.exchange(0).await?;
    anyhow::ensure!(refuses, "{} lets {sender} be sent under {sasl_username:?}", server.name());
    Ok(())
}
