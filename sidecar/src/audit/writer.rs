//! The thread that writes the trail, and the bounded queue before it.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::append;
use super::entry::Entry;
use crate::pseudonym::Pseudonyms;

/// Records that may wait: some seconds of a full sidecar, about 4 MiB.
const QUEUE: usize = 8192;

/// Pause between two batches. Waking the thread costs the login that does it some microseconds: a busy sidecar does so
/// 200 times a second at most, and a record reaches the file that much later.
const PAUSE: Duration = Duration::from_millis(5);

/// The writing thread's other end. Dropping it waits until everything accepted is written.
pub(super) struct Writer {
    queue: Option<SyncSender<Entry>>,
    thread: Option<JoinHandle<()>>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn start(
        output: Box<dyn Write + Send>,
        file: Option<PathBuf>,
        pseudonyms: Pseudonyms,
    ) -> io::Result<Self> {
        let (queue, entries) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::default());
        let trail = Trail { output: BufWriter::new(output), file, pseudonyms, lost: Arc::clone(&lost), told: false };
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || trail.write_all(&entries))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), lost })
    }

    /// Hands an entry over, or counts it as lost.
    pub(super) fn send(&self, entry: Entry) {
        let sent = self.queue.as_ref().is_some_and(|queue| queue.try_send(entry).is_ok());
        if !sent {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Asks for the file to be opened anew. Waits for a place in the queue: a signal must not get lost.
    pub(super) fn reopen(&self) {
        if let Some(queue) = &self.queue {
            // Only a thread that has ended refuses it, and then there is no file to reopen.
            let _ = queue.send(Entry::Reopen);
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // Its own panic, if any, was reported by the panic hook.
            drop(thread.join());
        }
    }
}

struct Trail {
    output: BufWriter<Box<dyn Write + Send>>,
    file: Option<PathBuf>,
    pseudonyms: Pseudonyms,
    lost: Arc<AtomicU64>,
    told: bool,
}

impl Trail {
    fn write_all(mut self, entries: &Receiver<Entry>) {
        while let Ok(entry) = entries.recv() {
            let mut unflushed = self.write(entry);
            while let Ok(entry) = entries.try_recv() {
                unflushed += self.write(entry);
            }
            if let Err(error) = self.output.flush() {
                self.lose(unflushed, &error);
            }
            #[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do")]
            std::thread::sleep(PAUSE);
        }
    }

    /// Returns how many lines it added to the buffer.
    fn write(&mut self, entry: Entry) -> u64 {
        let line = match entry {
            Entry::Judgement(entry) => entry.finish(&self.pseudonyms),
            Entry::AfterAuth(entry) => entry.finish(),
            Entry::Opening(entry) => entry.finish(&self.pseudonyms),
            Entry::Submission(entry) => entry.finish(&self.pseudonyms),
            Entry::Ticket(entry) => entry.finish(&self.pseudonyms),
            Entry::Policy(entry) => entry.finish(),
            Entry::Certificate(entry) => entry.finish(&self.pseudonyms),
            Entry::Reopen => {
                self.reopen();
                return 0;
            }
        };
        let written = line.map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.output.write_all(&line)
        });
        match written {
            Ok(()) => 1,
            Err(error) => {
                self.lose(1, &error);
                0
            }
        }
    }

    fn reopen(&mut self) {
        let Some(file) = &self.file else { return };
        let _ = self.output.flush();
        match append(file) {
            Ok(output) => {
                self.output = BufWriter::new(output);
                self.told = false;
            }
            Err(error) => tracing::error!(%error, "the audit file can't be opened anew: the old one stays in use"),
        }
    }

    /// Counts lost lines, tells it once per file, and drops what the buffer holds: half a line would spoil the next.
    fn lose(&mut self, lines: u64, error: &io::Error) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
        if !self.told {
            self.told = true;
            tracing::error!(%error, "audit records are being lost; counted as audit_records_lost");
        }
        let broken = std::mem::replace(&mut self.output, BufWriter::new(Box::new(io::sink())));
        let (output, _) = broken.into_parts();
        self.output = BufWriter::new(output);
    }
}
