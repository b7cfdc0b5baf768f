//! The thread that writes the trail, and the bounded buffer before it.

use std::io::{self, Write};
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::append;

/// Bytes that may wait: some ten thousand records.
const BUFFER: usize = 4 << 20;

/// What the buffer keeps of its room between two batches, in bytes.
const ROOM: usize = 64 << 10;

/// Pause between two batches. Waking the thread costs the login that does it some microseconds: a busy sidecar does so
/// 200 times a second at most, and a record reaches the file that much later.
const PAUSE: Duration = Duration::from_millis(5);

/// The writing thread's other end. Dropping it waits until everything accepted is written.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    lost: AtomicU64,
}

/// What waits to be written.
#[derive(Default)]
struct Waiting {
    /// Whole lines.
    lines: Vec<u8>,
    /// How many bytes of them belong to the file that is open now. What follows belongs to the one opened anew.
    reopen: Option<usize>,
    /// Nothing more comes.
    closed: bool,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Whoever panicked had not begun to change it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut Waiting)) {
        let idle = {
            let mut waiting = self.waiting();
            let idle = waiting.is_empty();
            change(&mut waiting);
            idle
        };
        if idle {
            self.arrived.notify_one();
        }
    }

    fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
    }
}

impl Waiting {
    const fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.reopen.is_none() && !self.closed
    }
}

impl Writer {
    pub(super) fn start(output: Box<dyn Write + Send>, file: Option<PathBuf>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let trail = Trail { output, file, shared: Arc::clone(&shared), torn: false, told: false };
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || trail.write_all())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands a line over, or counts it as lost.
    pub(super) fn send(&self, line: &[u8]) {
        self.shared.tell(|waiting| {
            if waiting.lines.len() + line.len() < BUFFER {
                waiting.lines.extend_from_slice(line);
                waiting.lines.push(b'\n');
            } else {
                self.lose(1);
            }
        });
    }

    /// Counts lines that could not be handed over.
    pub(super) fn lose(&self, lines: u64) {
        self.shared.lose(lines);
    }

    /// Asks for the file to be opened anew, between what was handed over so far and what is from now on.
    pub(super) fn reopen(&self) {
        self.shared.tell(|waiting| waiting.reopen = Some(waiting.lines.len()));
    }

    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.tell(|waiting| waiting.closed = true);
        if let Some(thread) = self.thread.take() {
            // Its own panic, if any, was reported by the panic hook.
            drop(thread.join());
        }
    }
}

struct Trail {
    output: Box<dyn Write + Send>,
    file: Option<PathBuf>,
    shared: Arc<Shared>,
    /// The file ends with a part of a line.
    torn: bool,
    told: bool,
}

impl Trail {
    fn write_all(mut self) {
        let mut lines = Vec::new();
        loop {
            let (reopen, closed) = self.take(&mut lines);
            let (before, after) = lines.split_at_checked(reopen.unwrap_or(0)).unwrap_or((&lines, &[]));
            self.write(before);
            if reopen.is_some() {
                self.reopen();
            }
            self.write(after);
            if closed {
                return;
            }
            #[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do")]
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until there is something to do and takes all of it: the lines in exchange for the room of the last ones.
    fn take(&self, lines: &mut Vec<u8>) -> (Option<usize>, bool) {
        lines.clear();
        lines.shrink_to(ROOM);
        let waiting = self.shared.arrived.wait_while(self.shared.waiting(), |waiting| waiting.is_empty());
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut waiting.lines, lines);
        (waiting.reopen.take(), waiting.closed)
    }

    /// Appends lines. What the disk does not take is counted as lost.
    fn write(&mut self, lines: &[u8]) {
        let mut rest = lines;
        if let Err(error) = self.append(&mut rest) {
            let taken = lines.get(..lines.len() - rest.len()).unwrap_or_default();
            self.torn = taken.last().map_or(self.torn, |last| *last != b'\n');
            let lost = rest.iter().filter(|byte| **byte == b'\n').count();
            self.lose(u64::try_from(lost).unwrap_or(u64::MAX), &error);
        }
    }

    /// Leaves in `rest` what was not written.
    fn append(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        if self.torn && !rest.is_empty() {
            // Half a line would spoil the next one.
            self.output.write_all(b"\n")?;
            self.torn = false;
        }
        while !rest.is_empty() {
            match self.output.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => *rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn reopen(&mut self) {
        let Some(file) = &self.file else { return };
        match append(file) {
            Ok(output) => {
                self.output = output;
                (self.torn, self.told) = (false, false);
            }
            Err(error) => tracing::error!(%error, "the audit file can't be opened anew: the old one stays in use"),
        }
    }

    /// Told once per file.
    fn lose(&mut self, lines: u64, error: &io::Error) {
        self.shared.lose(lines);
        if !self.told {
            self.told = true;
            tracing::error!(%error, "audit records are being lost; counted as audit_records_lost");
        }
    }
}
