//! What every import has in common: reads a file or the input, and prints why a file was refused.

use std::io::{Read as _, Write};
use std::path::Path;

use anyhow::Context as _;

use crate::evidence::import::BadLine as Line;
use crate::proto::BadLine;

/// Bad lines printed; a file with more is best mended a part at a time.
const SHOWN: usize = 100;

/// The content of `file`, or of the input where it is `-`.
///
/// # Errors
/// It can't be read, or has `limit` bytes or more.
pub(super) fn read(file: &Path, limit: usize) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    // One byte more than the sidecar takes shows that it would not.
    let most = limit as u64;
    if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut content).context("reading the input")?;
    } else {
        let opened = std::fs::File::open(file).with_context(|| format!("reading {}", file.display()))?;
        opened.take(most).read_to_end(&mut content).with_context(|| format!("reading {}", file.display()))?;
    }
    anyhow::ensure!(content.len() < limit, "{} is larger than {limit} bytes", file.display());
    Ok(content)
}

/// Prints the first problems of a file; where there are any, that is the error.
///
/// # Errors
/// There are problems, or the output can't be written.
pub(super) fn refuse(problems: &[BadLine], count: u64, file: &Path, output: &mut impl Write) -> anyhow::Result<()> {
    if count == 0 {
        return Ok(());
    }
    for problem in problems.iter().take(SHOWN) {
        let line = Line { line: problem.line, column: problem.column, expected: problem.expected.clone() };
        writeln!(output, "{line}")?;
    }
    let hidden = usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(SHOWN);
    if hidden > 0 {
        writeln!(output, "and {hidden} more")?;
    }
    anyhow::bail!("nothing imported: {count} problems in {}", file.display())
}
