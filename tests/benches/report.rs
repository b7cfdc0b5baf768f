//! What a person reads at the end, and the file that machines read.

use std::path::Path;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};

use crate::figure::{Figure, Goal};

/// The table of all figures.
pub(crate) fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["figure", "value", "against", "ratio", "min - max", "goal", "met"]);
    for figure in figures {
        table.add_row([
            figure.id.clone(),
            figure.value.map_or_else(|| "void".to_owned(), |value| format!("{} {}", number(value), figure.unit)),
            figure.against.clone().unwrap_or_default(),
            figure.ratio.map(number).unwrap_or_default(),
            figure.range.map(|(min, max)| format!("{} - {}", number(min), number(max))).unwrap_or_default(),
            figure.goal.map(Goal::text).unwrap_or_default(),
            match figure.met() {
                Some(true) => "yes".to_owned(),
                Some(false) => "NO".to_owned(),
                None => String::new(),
            },
        ]);
    }
    for column in [1, 3, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// As many digits as say something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Writes `target/bench.json`, whole or not at all. Figures that this run was not asked for are not kept from an
/// earlier one: a file never mixes runs.
///
/// # Errors
/// The file can't be written.
pub(crate) fn write(target: &Path, figures: &[Figure]) -> anyhow::Result<()> {
    let records: Vec<_> = figures.iter().map(Figure::record).collect();
    let (path, draft) = (target.join("bench.json"), target.join("bench.json.new"));
    let mut text = serde_json::to_string_pretty(&records)?;
    text.push('\n');
    std::fs::write(&draft, text).with_context(|| format!("writing {}", draft.display()))?;
    std::fs::rename(&draft, &path).with_context(|| format!("writing {}", path.display()))
}

/// How to read the table.
pub(crate) const NOTE: &str = "\
value: median of the rounds; ratio: median of each round's value over the other's in that round; min - max: of the\n\
ratio where there is one, else of the value. Contenders run in turn, the first round is thrown away. Server CPU is the\n\
sum over its threads (/proc/PID/task/*/schedstat). Load: 16 connections, closed loop, one thread, on the same machine.";
