//! `octroi-psc`: the stand-in Pro Santé Connect as a program, and a mint for its tokens.
//!
//! Owns the command line alone. With a state folder its key, secrets and certificate outlive it, so that tokens can be
//! minted beside it and a mail client keeps its trust.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use octroi_psc::state_dir::{self, Card};
use octroi_psc::{Clock, Deviation, Identity, Psc, Token, directory_csv, identities};
use tokio::signal::unix::{SignalKind, signal};

/// A stand-in Pro Santé Connect for tests: invented people, loopback only.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Args)]
struct Serve {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Speak HTTPS, with an own certificate authority
    #[arg(long)]
    tls: bool,
    /// Folder for key, secrets and certificate
    #[arg(long, default_value = "octroi-psc-state")]
    state_dir: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Print an access token of one of the identities
    Token(Mint),
    /// List the identities
    Identities,
    /// Print the directory that suits the identities (CSV)
    Directory,
}

#[derive(Args)]
struct Mint {
    /// State folder of the stand-in
    #[arg(long, default_value = "octroi-psc-state")]
    state_dir: PathBuf,
    /// Number in the list of identities, or a national identifier
    #[arg(long, default_value = "1")]
    identity: String,
    /// Depart from a good token; may be repeated
    #[arg(long, value_enum)]
    deviate: Vec<Deviation>,
    /// Exact length of the token, in bytes
    #[arg(long)]
    bytes: Option<usize>,
    /// Issuer, where it is not the one of the stand-in
    #[arg(long)]
    issuer: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.command {
        None => serve(cli.serve).await,
        Some(Command::Token(mint)) => say(&token(mint)?),
        Some(Command::Identities) => {
            let line = |(at, identity): (usize, Identity)| {
                format!("{}\t{}\t{} {}", at + 1, identity.id_nat, identity.given_name, identity.family_name)
            };
            let lines: Vec<String> = identities().into_iter().enumerate().map(line).collect();
            say(&lines.join("\n"))
        }
        Some(Command::Directory) => say(directory_csv().trim_end()),
    }
}

async fn serve(serve: Serve) -> Result<()> {
    ensure!(serve.listen.ip().is_loopback(), "it lets anybody be anybody: it listens on loopback only");
    let folder = &serve.state_dir;
    std::fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    let mut builder =
        Psc::builder().listen(serve.listen).key(state_dir::signing_key(folder)?).operator(state_dir::operator(folder)?);
    if serve.tls {
        builder = builder.certificate(state_dir::certificate(folder)?);
    }
    // Before the line is printed: whoever reads it may end this program at once.
    let (mut interrupted, mut ended) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut psc = builder.start().await?;
    say(&publish(&psc, folder)?)?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = ended.recv() => {}
    }
    psc.stop().await;
    Ok(())
}

/// Writes the directory and the card into the state folder; gives the card as one line of JSON.
fn publish(psc: &Psc, folder: &Path) -> Result<String> {
    let folder = folder.canonicalize().context("the state folder")?;
    let directory = folder.join("directory.csv");
    std::fs::write(&directory, directory_csv()).context("directory.csv can't be written")?;
    let path = |file: PathBuf| file.into_os_string().into_string().ok().context("a path that is no UTF-8");
    let card = Card {
        issuer: psc.issuer().to_owned(),
        ca: psc.ca_pem().map(|_| path(folder.join("ca.pem"))).transpose()?,
        client_id: psc.operator().id.clone(),
        client_secret: psc.operator_secret().to_owned(),
        public_client_id: octroi_psc::PUBLIC_CLIENT.to_owned(),
        directory: path(directory)?,
    };
    card.store(&folder)?;
    Ok(serde_json::to_string(&card)?)
}

fn token(mint: Mint) -> Result<String> {
    let issuer = match mint.issuer {
        Some(issuer) => issuer,
        None => Card::load(&mint.state_dir)?.issuer,
    };
    let key = Arc::new(state_dir::stored_signing_key(&mint.state_dir)?);
    let mut token = Token::new(&key, &issuer, &identity(&mint.identity), Clock::system().now());
    for deviation in mint.deviate {
        token = token.deviate(deviation)?;
    }
    match mint.bytes {
        Some(bytes) => token.sized(bytes).try_mint(),
        None => token.try_mint(),
    }
}

fn identity(asked: &str) -> Identity {
    let numbered = asked.parse::<usize>().ok().and_then(|at| identities().into_iter().nth(at.checked_sub(1)?));
    let named = || identities().into_iter().find(|identity| identity.id_nat == asked);
    numbered.or_else(named).unwrap_or_else(|| Identity::of(asked))
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output is closed")
}
