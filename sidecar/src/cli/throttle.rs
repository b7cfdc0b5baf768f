//! `octroi throttle`: who wasted the sidecar's work and is slowed for it, and how to forget it.

use std::io::Write;
use std::path::Path;

use clap::builder::NonEmptyStringValueParser;

use super::{admin, table};
use crate::proto::throttle_client::ThrottleClient;
use crate::proto::{ClearThrottledRequest, ListThrottledRequest, ThrottledOrigin};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists the client addresses that caused work for nothing, those slowed now first.
    List,
    /// Forgets what an address wasted: it is slowed no longer.
    Clear {
        /// The address, or an origin as the list shows it.
        #[arg(required_unless_present = "all", value_parser = NonEmptyStringValueParser::new())]
        address: Option<String>,
        /// Every address.
        #[arg(long, conflicts_with = "address")]
        all: bool,
    },
}

pub(super) fn run(socket: &Path, command: Command, output: &mut impl Write) -> anyhow::Result<()> {
    match command {
        Command::List => list(socket, output),
        // clap lets no other pair through, and no empty address, which would mean all.
        Command::Clear { address, all: _ } => clear(socket, address.unwrap_or_default(), output),
    }
}

fn list(socket: &Path, output: &mut impl Write) -> anyhow::Result<()> {
    let origins = admin::ask(socket, |channel| async {
        let reply = ThrottleClient::new(channel).list(ListThrottledRequest {}).await;
        reply.map(|reply| reply.into_inner().origins).map_err(|status| admin::refusal(&status))
    })?;
    print(&origins, output)
}

fn print(origins: &[ThrottledOrigin], output: &mut impl Write) -> anyhow::Result<()> {
    if origins.is_empty() {
        writeln!(output, "no address has caused work for nothing")?;
        return Ok(());
    }
    let rows = origins.iter().map(|line| {
        let work = match line.work.as_str() {
            "signature" => "signatures that do not hold",
            "introspection" => "tokens that are not active",
            "key-fetch" => "keys that do not exist",
            other => other,
        };
        let slowed = match line.slowed_milliseconds {
            0 => "no".to_owned(),
            milliseconds => format!("for {} s", milliseconds.div_ceil(1000)),
        };
        [line.origin.clone(), work.to_owned(), line.charged.to_string(), slowed]
    });
    table::print(output, ["address", "wasted on", "times", "slowed"], rows)?;
    Ok(())
}

fn clear(socket: &Path, address: String, output: &mut impl Write) -> anyhow::Result<()> {
    let shown = if address.is_empty() { "all addresses".to_owned() } else { address.clone() };
    let cleared = admin::ask(socket, |channel| async {
        let reply = ThrottleClient::new(channel).clear(ClearThrottledRequest { origin: address }).await;
        reply.map(|reply| reply.into_inner().cleared).map_err(|status| admin::refusal(&status))
    })?;
    writeln!(output, "{shown}: {cleared} forgotten")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn all_is_forgotten_only_where_it_was_said() {
        let read =
            |words: &[&str]| Line::try_parse_from(std::iter::once(&"throttle").chain(words)).map(|line| line.command);
        assert!(matches!(read(&["clear", "192.0.2.1"]), Ok(Command::Clear { address: Some(_), all: false })));
        assert!(matches!(read(&["clear", "--all"]), Ok(Command::Clear { address: None, all: true })));
        for words in [&["clear"][..], &["clear", ""], &["clear", "--all", "192.0.2.1"]] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_line_says_who_what_how_often_and_how_long_still() {
        let line = |work: &str, slowed_milliseconds| ThrottledOrigin {
            origin: "2001:db8:1:2::/64".to_owned(),
            work: work.to_owned(),
            charged: 71,
            slowed_milliseconds,
        };
        let mut output = Vec::new();
        print(&[line("signature", 2001), line("key-fetch", 0)], &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        for part in
            ["2001:db8:1:2::/64", "signatures that do not hold", "71", "for 3 s", "keys that do not exist", "no"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
