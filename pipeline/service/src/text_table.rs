//! Prints aligned tables for a terminal. A cell that went through [`shown`] is one line without control characters,
//! so text from outside can neither move the cursor nor break a row.

use std::io::{self, Write};

pub use state::is_unprintable;

/// The longest text from outside that is shown, in characters.
const SHOWN_MAX: usize = 90;

/// Prints rows in columns two spaces apart, those in `right` flush right, the last one as long as it is. Every row has
/// as many cells as the first.
///
/// # Errors
/// `out` cannot be written.
pub fn write_rows(out: &mut impl Write, rows: &[Vec<String>], right: &[usize]) -> io::Result<()> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            line += &if right.contains(&column) {
                format!("{gap}{cell:>width$}")
            } else {
                format!("{gap}{cell:<width$}")
            };
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Text that may come from outside, fit for a terminal and for a line.
#[must_use]
pub fn shown(text: &str) -> String {
    shown_in(text, SHOWN_MAX)
}

/// As [`shown`], in at most `width` characters; what is longer ends in `…`.
#[must_use]
pub fn shown_in(text: &str, width: usize) -> String {
    let mut shown: String = text.chars().take(width).collect();
    if shown.len() < text.len() {
        shown.pop();
        shown.push('…');
    }
    shown.replace(is_unprintable, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["id", "count", "why"], ["amber", "7", ""], ["b", "12,000", "gone"]]
            .map(|row| row.map(str::to_owned).to_vec());
        let mut out = Vec::new();
        write_rows(&mut out, &rows, &[1]).unwrap();
        let expected = "id      count  why\namber       7\nb      12,000  gone\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn text_from_outside_stays_on_its_line_and_within_its_width() {
        assert_eq!(shown("cut\n off\u{1b}[2J\u{202e}"), "cut\u{fffd} off\u{fffd}[2J\u{fffd}");
        assert_eq!(shown_in("indigo", 6), "indigo");
        assert_eq!(shown_in("indigo-2", 6), "indig…");
    }
}
