//! Tables that fit the terminal, and stay plain where the output is none.

use std::io::{self, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, presets};

/// Prints a table: to the terminal's width, or as wide as it is.
pub(super) fn print<R: Into<Row>>(
    output: &mut impl Write,
    header: impl IntoIterator<Item = &'static str>,
    rows: impl IntoIterator<Item = R>,
) -> io::Result<()> {
    print_keeping(output, &[], header, rows)
}

/// The same; columns `kept`, from 0, are not broken where the terminal is narrow: what stands there is copied.
pub(super) fn print_keeping<R: Into<Row>>(
    output: &mut impl Write,
    kept: &[usize],
    header: impl IntoIterator<Item = &'static str>,
    rows: impl IntoIterator<Item = R>,
) -> io::Result<()> {
    writeln!(output, "{}", render(width(), kept, header, rows))
}

pub(super) fn render<R: Into<Row>>(
    width: Option<u16>,
    kept: &[usize],
    header: impl IntoIterator<Item = &'static str>,
    rows: impl IntoIterator<Item = R>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(header.into_iter().collect::<Vec<_>>());
    table.add_rows(rows);
    for at in kept {
        if let Some(column) = table.column_mut(*at) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.trim_fmt()
}

/// Columns of the terminal; `None` where the output is none.
fn width() -> Option<u16> {
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_the_terminal() {
        let long = "a remedy that takes more than one line of a narrow terminal ".repeat(3);
        let table = render(Some(40), &[], ["what", "remedy"], [["one", long.as_str()]]);
        assert!(table.lines().all(|line| line.chars().count() <= 40), "{table}");
        let plain = render(None, &[], ["what", "remedy"], [["one", long.as_str()]]);
        assert!(plain.contains(long.trim()));
    }
}
