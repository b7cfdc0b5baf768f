//! Lines over a connection that may be encrypted: what the strict clients share below their protocols.
//!
//! Owns patience and sizes. Must never forgive: a line without CRLF, or with one of the two inside, is an error.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader};

/// Longer than anything a server waits for before it answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than any line a server of these tests sends.
const LONGEST_LINE: u64 = 64 * 1024;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The next line with its end; nothing where the server has closed.
pub(crate) async fn read_line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    match stream.take(LONGEST_LINE).read_until(b'\n', &mut line).await {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(line)),
        // Reset, or closed without TLS's goodbye: closed all the same.
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::UnexpectedEof) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = std::io::Result<T>>) -> Result<T> {
    Ok(tokio::time::timeout(PATIENCE, future).await.context("the server fell silent")??)
}

/// A line as IMAP (RFC 9051) and SMTP (RFC 5321) have it: ends with CRLF, holds neither of the two elsewhere, no NUL.
pub(crate) fn line(bytes: &[u8]) -> Result<&str> {
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        bail!("a line without CRLF: {:?}", String::from_utf8_lossy(bytes))
    };
    ensure!(!line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "CR, LF or NUL inside a line");
    Ok(str::from_utf8(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_crlf_and_holds_neither_elsewhere() {
        for bytes in [b"a OK b\n".as_slice(), b"a OK b", b"a\rb\r\n", b"a\nb\r\n", b"a\0\r\n"] {
            assert!(line(bytes).is_err(), "{bytes:?}");
        }
        assert!(line(b"a OK b\r\n").is_ok_and(|line| line == "a OK b"));
    }
}
