//! Frames of a line protocol, read from a stream within limits: a size, a time between frames, a time for a frame.
//!
//! Both protocols of the submission side use it: Dovecot's auth protocol ends a frame with LF, Postfix's policy
//! delegation with an empty line. Nothing is kept of a frame once the next is asked for.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroize;

/// Limits of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// What ends a frame.
    pub end: &'static [u8],
    /// Largest frame, its end included, in bytes.
    pub bytes: usize,
    /// Time from the end of one frame to the first byte of the next.
    pub idle: Duration,
    /// Time from the first byte of a frame to its end, however its bytes trickle in.
    pub frame: Duration,
}

/// Why there is no further frame.
#[derive(Debug, Error)]
pub enum FrameError {
    /// More bytes than the limit without an end.
    #[error("a message is longer than the limit")]
    TooLong,
    /// The end of a frame did not come in time.
    #[error("a message was not completed in time")]
    Slow,
    /// No frame was begun in time.
    #[error("nothing came for too long")]
    Idle,
    /// The stream ended within a frame.
    #[error("the connection ended within a message")]
    Truncated,
    /// A NUL, which neither protocol knows.
    #[error("a message holds a NUL")]
    Nul,
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Reads frames.
#[derive(Debug)]
pub struct Frames<R> {
    stream: R,
    limits: FrameLimits,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that the previous frame took.
    taken: usize,
}

/// What a connection at rest may keep allocated. A thousand idle ones then cost next to nothing.
const IDLE_BYTES: usize = 1024;

impl<R: AsyncRead + Unpin> Frames<R> {
    /// Frames of `stream`.
    pub const fn new(stream: R, limits: FrameLimits) -> Self {
        Self { stream, limits, buffer: Vec::new(), taken: 0 }
    }

    /// The next frame without its end, or `None` where the stream ended between two frames.
    ///
    /// # Errors
    /// [`FrameError`]; the connection is of no further use.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, FrameError> {
        self.forget();
        let begun = Instant::now();
        let mut deadline = begun + if self.buffer.is_empty() { self.limits.idle } else { self.limits.frame };
        let mut searched = 0;
        loop {
            if let Some(at) = find(&self.buffer, self.limits.end, searched) {
                self.taken = at + self.limits.end.len();
                let frame = self.buffer.get(..at).unwrap_or_default();
                return if self.taken > self.limits.bytes {
                    Err(FrameError::TooLong)
                } else if frame.contains(&0) {
                    Err(FrameError::Nul)
                } else {
                    Ok(Some(frame))
                };
            }
            if self.buffer.len() >= self.limits.bytes {
                return Err(FrameError::TooLong);
            }
            searched = (self.buffer.len() + 1).saturating_sub(self.limits.end.len());
            let first = self.buffer.is_empty();
            match timeout_at(deadline, self.stream.read_buf(&mut self.buffer)).await {
                Err(_) => return Err(if first { FrameError::Idle } else { FrameError::Slow }),
                Ok(Ok(0)) if first => return Ok(None),
                Ok(Ok(0)) => return Err(FrameError::Truncated),
                Ok(Ok(_)) if first => deadline = Instant::now() + self.limits.frame,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// Changes the time between frames, for the frames to come.
    pub const fn set_idle(&mut self, idle: Duration) {
        self.limits.idle = idle;
    }

    /// The stream, to write answers to.
    pub const fn stream(&mut self) -> &mut R {
        &mut self.stream
    }

    /// Wipes the previous frame (it may have held a token) and gives back what a long one took.
    fn forget(&mut self) {
        if let Some(previous) = self.buffer.get_mut(..self.taken) {
            previous.zeroize();
        }
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE_BYTES {
            self.buffer = Vec::new();
        }
    }
}

/// Where `end` first stands at or after `from`.
fn find(buffer: &[u8], end: &[u8], from: usize) -> Option<usize> {
    buffer.get(from..)?.windows(end.len()).position(|window| window == end).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    use super::*;

    const LINES: FrameLimits =
        FrameLimits { end: b"\n", bytes: 16, idle: Duration::from_secs(60), frame: Duration::from_secs(10) };
    const BLOCKS: FrameLimits = FrameLimits { end: b"\n\n", bytes: 64, ..LINES };

    async fn read(limits: FrameLimits, bytes: &[u8]) -> (Vec<Vec<u8>>, Option<String>) {
        let mut frames = Frames::new(bytes, limits);
        let mut seen = Vec::new();
        loop {
            match frames.next().await {
                Ok(Some(frame)) => seen.push(frame.to_vec()),
                Ok(None) => return (seen, None),
                Err(error) => return (seen, Some(error.to_string())),
            }
        }
    }

    #[tokio::test]
    async fn frames_are_what_stands_between_their_ends() {
        assert_eq!(
            read(LINES, b"a\nbc\n\nd\n").await,
            (vec![b"a".to_vec(), b"bc".into(), b"".into(), b"d".into()], None)
        );
        assert_eq!(read(BLOCKS, b"a=1\nb=2\n\nc=3\n\n").await, (vec![b"a=1\nb=2".to_vec(), b"c=3".into()], None));
    }

    #[tokio::test]
    async fn truncated_long_and_nul_frames_end_the_reading() {
        for (bytes, error) in [
            (&b"a\nb"[..], FrameError::Truncated),
            (b"a\n0123456789abcdef\n", FrameError::TooLong),
            (b"a\n0123456789abcdefghijk", FrameError::TooLong),
            (b"a\nb\0c\n", FrameError::Nul),
        ] {
            assert_eq!(read(LINES, bytes).await, (vec![b"a".to_vec()], Some(error.to_string())));
        }
        assert_eq!(read(LINES, b"0123456789abcde\n").await.0.len(), 1, "a frame of exactly the limit is read");
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_a_second_is_too_slow_and_silence_ends_later() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let trickle = tokio::spawn(async move {
            loop {
                if writer.write_all(b"x").await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let begun = Instant::now();
        assert!(matches!(Frames::new(reader, LINES).next().await, Err(FrameError::Slow)));
        assert_eq!(begun.elapsed(), LINES.frame);
        trickle.await.unwrap();
        let (_silent, reader) = tokio::io::duplex(64);
        let begun = Instant::now();
        assert!(matches!(Frames::new(reader, LINES).next().await, Err(FrameError::Idle)));
        assert_eq!(begun.elapsed(), LINES.idle);
    }

    #[tokio::test]
    async fn what_a_long_frame_took_is_given_back() {
        let limits = FrameLimits { bytes: 100_000, ..LINES };
        let long = [vec![b'x'; 50_000], b"\n".to_vec()].concat();
        let (mut writer, reader) = tokio::io::duplex(200_000);
        writer.write_all(&long).await.unwrap();
        drop(writer);
        let mut frames = Frames::new(reader, limits);
        assert_eq!(frames.next().await.unwrap().unwrap().len(), 50_000);
        assert!(frames.next().await.unwrap().is_none());
        assert!(frames.buffer.capacity() <= IDLE_BYTES);
    }

    proptest! {
        #[test]
        fn frames_do_not_depend_on_how_the_bytes_are_cut(
            bytes in prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 0..60),
            cuts in prop::collection::vec(1_usize..6, 0..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let whole = runtime.block_on(read(BLOCKS, &bytes));
            let cut = runtime.block_on(async {
                let (mut writer, reader) = tokio::io::duplex(1);
                let sent = async move {
                    let mut rest = &bytes[..];
                    for cut in cuts.into_iter().chain(std::iter::repeat(7)) {
                        if rest.is_empty() { break }
                        let (head, tail) = rest.split_at(cut.min(rest.len()));
                        if writer.write_all(head).await.is_err() { break }
                        rest = tail;
                    }
                };
                let received = async move {
                    let mut frames = Frames::new(reader, BLOCKS);
                    let mut seen = Vec::new();
                    loop {
                        match frames.next().await {
                            Ok(Some(frame)) => seen.push(frame.to_vec()),
                            Ok(None) => return (seen, None),
                            Err(error) => return (seen, Some(error.to_string())),
                        }
                    }
                };
                tokio::join!(sent, received).1
            });
            prop_assert_eq!(whole, cut);
        }
    }
}
