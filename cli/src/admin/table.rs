//! Tables for people: columns side by side, and no wider than the terminal.

/// Lays a table out. Where it is wider than `width`, the widest column gives way, and what is cut
/// ends with `…`; a terminal that is too narrow for that has longer lines.
pub(super) fn table(header: &[&str], rows: &[Vec<String>], width: Option<usize>) -> String {
    let mut widths: Vec<usize> = header.iter().map(|title| len(title)).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(len(cell));
        }
    }
    if let Some(width) = width {
        narrow(&mut widths, width);
    }
    let titles: Vec<String> = header.iter().map(|title| (*title).to_owned()).collect();
    let lines = std::iter::once(&titles).chain(rows);
    lines.map(|row| line(row, &widths)).collect()
}

/// Blanks between two columns.
const GAP: &str = "  ";

/// A column is not made narrower than so many letters: of less, nothing can be read.
const WIDTH_MIN: usize = 8;

fn narrow(widths: &mut [usize], most: usize) {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(most);
    while excess > 0 {
        let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > WIDTH_MIN) else {
            return;
        };
        *widest -= 1;
        excess -= 1;
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| {
        let cell = cut(cell, *width);
        format!("{cell:<width$}")
    });
    let cells: Vec<String> = cells.collect();
    format!("{}\n", cells.join(GAP).trim_end())
}

fn cut(cell: &str, width: usize) -> String {
    if len(cell) <= width {
        return cell.to_owned();
    }
    let kept: String = cell.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

fn len(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        let rows = [["0", "db1.example.org", "up"], ["10", "db2", "waiting"]];
        rows.map(|row| row.map(str::to_owned).to_vec()).to_vec()
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let expected = "id  host             status\n\
                        0   db1.example.org  up\n\
                        10  db2              waiting\n";
        for width in [None, Some(28), Some(200)] {
            assert_eq!(table(&["id", "host", "status"], &rows(), width), expected);
        }
        assert_eq!(table(&["id"], &[], None), "id\n");
    }

    #[test]
    fn the_widest_column_gives_way_as_far_as_it_can() {
        let narrow = table(&["id", "host", "status"], &rows(), Some(24));
        let expected = "id  host         status\n\
                        0   db1.exampl…  up\n\
                        10  db2          waiting\n";
        assert_eq!(narrow, expected);
        assert!(narrow.lines().all(|line| len(line) <= 24), "{narrow}");
        let narrowest = table(&["id", "host", "status"], &rows(), Some(3));
        assert!(narrowest.contains("db1.exa…  up\n"), "{narrowest}");
    }
}
