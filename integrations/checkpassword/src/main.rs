//! The program: see the library.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use octroi_checkpassword::handover::{self, Form, Place};
use octroi_checkpassword::request::{Malformed, Request, Shape};
use octroi_checkpassword::verdict::Refusal;
use octroi_checkpassword::{descriptor, gate};

/// Redeems a login ticket of Octroi, in the place of a checkpassword program.
///
/// Reads name and password from descriptor 3, as Dovecot 2.3 and qmail write them. Runs PROGRAM once the ticket is
/// redeemed; else ends with 1 (not a good ticket), 2 (misused) or 111 (nobody can say), and tells the reason on the
/// error output.
#[derive(Parser)]
#[command(name = "octroi-checkpassword", version)]
struct Arguments {
    /// The sidecar's socket, `[server] gate_socket` [default: $OCTROI_GATE_SOCKET, else /run/octroi/gate.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// qmail's form: the user as whom PROGRAM runs; needed where this runs as root
    #[arg(long, value_name = "USER")]
    run_as: Option<String>,
    /// qmail's form: the folder in which it runs, and its HOME; %u is the mailbox, %n its local part, %d its domain
    #[arg(long, value_name = "PATTERN")]
    home: Option<String>,
    /// What to run on success. Dovecot adds its checkpassword-reply by itself
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// What to do about a token where a ticket belongs.
const GET_A_TICKET: &str = "an access token can't be a password: the interface carries 512 bytes; show the token to \
                            IssueTicket on gate.sock and use the ticket";

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no misuse. A message that can't be written is told by the status.
            let _ = error.print();
            return if error.use_stderr() { 2.into() } else { ExitCode::SUCCESS };
        }
    };
    let refusal = attempt(arguments);
    if let Some(text) = refusal.text() {
        // Which login it was: Dovecot's session, as its own lines have it.
        let session = std::env::var("AUTH_SESSION").unwrap_or_default();
        let session = if session.is_empty() { session } else { format!("session=<{session}>: ") };
        let _ = writeln!(std::io::stderr(), "octroi-checkpassword: {session}{text}");
    }
    (&refusal).into()
}

/// Returns only where nothing is run.
fn attempt(arguments: Arguments) -> Refusal {
    let bytes = match descriptor::read() {
        Ok(bytes) => bytes,
        Err(error) => {
            return Refusal::Misused(format!("descriptor 3: {error}; it is a mail server that starts this program"));
        }
    };
    let place = Place { user: arguments.run_as, home: arguments.home };
    let form = Form::of(std::env::var_os("ORIG_UID").as_deref(), place, nix::unistd::geteuid().is_root());
    let request = match Request::parse(&bytes) {
        Ok(request) => request,
        Err(Malformed::TooLong) => return Refusal::Denied(Some(format!("{}: {GET_A_TICKET}", Malformed::TooLong))),
        Err(malformed) => return Refusal::Misused(malformed.to_string()),
    };
    match (form, request.shape()) {
        (Err(refusal), _) => refusal,
        // As a userdb it would have to know every user, and a "no" here would bounce their mail.
        (Ok(_), Shape::Empty) if std::env::var_os("AUTHORIZED").is_some() => Refusal::Unavailable(
            "asked for a user without a password: this knows tickets alone; take it out of the userdb, and keep \
             \"mechanisms = plain login\" in its passdb"
                .to_owned(),
        ),
        (Ok(_), Shape::Empty | Shape::Other) => Refusal::Denied(None),
        (Ok(_), Shape::Token) => Refusal::Denied(Some(GET_A_TICKET.to_owned())),
        (Ok(form), Shape::Ticket) => {
            let socket = arguments.socket.or_else(|| std::env::var_os("OCTROI_GATE_SOCKET").map(PathBuf::from));
            let socket = socket.unwrap_or_else(|| gate::SOCKET.into());
            redeem(&form, &request, &socket, &arguments.program)
        }
    }
}

fn redeem(form: &Form, request: &Request<'_>, socket: &Path, program: &[OsString]) -> Refusal {
    let Some(mailbox) = request.mailbox() else {
        return Refusal::Denied(Some("the user name is not the address of a mailbox".to_owned()));
    };
    // Dovecot and tcpserver (ucspi-tcp) agree on this name.
    let client = std::env::var("TCPREMOTEIP").unwrap_or_default();
    let redeemed =
        handover::check(form, mailbox, program).and_then(|()| gate::redeem(socket, request.password, mailbox, &client));
    match redeemed {
        Ok(mailbox) => handover::run(form, &mailbox, program),
        Err(refusal) => refusal,
    }
}
