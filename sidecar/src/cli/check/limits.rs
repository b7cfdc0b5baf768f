//! The size of a token against what each server takes.
//!
//! Dovecot's login process reads an AUTHENTICATE command of at most 8192 bytes (LOGIN_MAX_AUTH_BUF_SIZE, fixed), which
//! a token of 6100 bytes fills. Postfix reads lines of `line_length_limit` bytes (2048 as shipped) and hands the cut
//! response on: a client that sends it with AUTH fails in a way that nobody understands.

use std::time::Duration;

use super::report::Report;
use crate::config::Config;

/// Largest token that Dovecot passes on, bytes: measured with both versions.
const DOVECOT: usize = 6100;
/// Bytes of `AUTH XOAUTH2 ` and of the message around a token, with a long address.
const AROUND: usize = 13 + 300;
const DEADLINE: Duration = Duration::from_secs(10);

pub(super) async fn look(config: &Config, postconf: Option<&str>, token: Option<usize>, report: &mut Report) {
    if !config.check.dovecot.is_empty() {
        dovecot(token, report);
    }
    if let Some(command) = postconf {
        let run = tokio::process::Command::new(command).args(["-h", "line_length_limit"]).kill_on_drop(true).output();
        let limit = match tokio::time::timeout(DEADLINE, run).await {
            Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).trim().parse().ok(),
            Ok(Err(_)) | Err(_) => None,
        };
        postfix(command, limit, token, report);
    }
}

/// Bytes of an AUTH line with this token; without one, with the largest that Dovecot takes, so that both servers take
/// the same.
pub(super) fn line_of(token: Option<usize>) -> usize {
    (token.unwrap_or(DOVECOT) + AROUND).div_ceil(3) * 4
}

fn dovecot(token: Option<usize>, report: &mut Report) {
    match token {
        None => report.unchecked(
            "token size",
            format!("Dovecot takes tokens of up to {DOVECOT} bytes; none was given to compare"),
            "run with --token and a token of a real client",
        ),
        Some(size) if size <= DOVECOT => {
            report.good("token size", format!("{size} bytes; Dovecot takes up to {DOVECOT}"));
        }
        Some(size) => report.mistake(
            "token size",
            format!("{size} bytes, and Dovecot takes {DOVECOT} at most"),
            "ask the provider for fewer claims in the access token: Dovecot's limit is fixed",
        ),
    }
}

fn postfix(command: &str, limit: Option<usize>, token: Option<usize>, report: &mut Report) {
    let Some(limit) = limit else {
        report.mistake("Postfix", format!("{command} -h line_length_limit gave no number"), "name it with --postconf");
        return;
    };
    let size = token.unwrap_or(DOVECOT);
    if limit < line_of(token) {
        let what = format!("line_length_limit = {limit} cuts the AUTH line of a token of {size} bytes");
        report.mistake(
            "Postfix",
            what,
            "set line_length_limit = 12288 in main.cf: what smtpd_sasl_response_limit takes",
        );
    } else {
        report.good("Postfix", format!("line_length_limit = {limit} takes a token of {size} bytes"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(look: impl FnOnce(&mut Report)) -> usize {
        let mut report = Report::default();
        look(&mut report);
        report.mistakes()
    }

    #[test]
    fn a_token_larger_than_dovecot_takes_is_a_mistake() {
        assert_eq!(mistakes(|report| dovecot(Some(6100), report)), 0);
        assert_eq!(mistakes(|report| dovecot(Some(6101), report)), 1);
    }

    #[test]
    fn a_postfix_as_shipped_cuts_tokens() {
        assert_eq!(mistakes(|report| postfix("postconf", Some(2048), Some(2000), report)), 1);
        assert_eq!(mistakes(|report| postfix("postconf", Some(2048), Some(1000), report)), 0);
        assert_eq!(mistakes(|report| postfix("postconf", Some(12_288), None, report)), 0);
        assert_eq!(mistakes(|report| postfix("postconf", None, None, report)), 1);
    }
}
