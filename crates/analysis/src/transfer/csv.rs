//! Comma-separated values (RFC 4180), as spreadsheets write them: quoted or not, with `;` or tabs as well.
//!
//! Nothing here knows a rule.

/// Rows of cells. Empty lines are no rows.
pub(super) fn read(text: &str) -> Result<Vec<Vec<String>>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = Reader { separator: separator(text), rows: Vec::new(), row: Vec::new(), cell: String::new() };
    reader.read(text)?;
    Ok(reader.rows)
}

/// The separator that the first line has most of.
fn separator(text: &str) -> char {
    let first = text.lines().next().unwrap_or_default();
    let count = |separator: char| first.matches(separator).count();
    [',', ';', '\t'].into_iter().rev().max_by_key(|separator| count(*separator)).unwrap_or(',')
}

struct Reader {
    separator: char,
    rows: Vec<Vec<String>>,
    row: Vec<String>,
    cell: String,
}

impl Reader {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut characters = text.chars().peekable();
        let mut is_quoted = false;
        while let Some(character) = characters.next() {
            match (character, is_quoted) {
                ('"', true) if characters.peek() == Some(&'"') => {
                    characters.next();
                    self.cell.push('"');
                }
                ('"', true) => is_quoted = false,
                ('"', false) if self.cell.trim().is_empty() => {
                    self.cell.clear();
                    is_quoted = true;
                }
                ('\r', false) if characters.peek() == Some(&'\n') => {}
                ('\n' | '\r', false) => self.end_row(),
                (other, false) if other == self.separator => self.end_cell(),
                (other, _) => self.cell.push(other),
            }
        }
        if is_quoted {
            return Err("a quote is opened and never closed".to_owned());
        }
        self.end_row();
        Ok(())
    }

    fn end_cell(&mut self) {
        self.row.push(std::mem::take(&mut self.cell));
    }

    fn end_row(&mut self) {
        self.end_cell();
        let row = std::mem::take(&mut self.row);
        if row.iter().any(|cell| !cell.trim().is_empty()) {
            self.rows.push(row);
        }
    }
}

/// One line, without its end. Every cell that could be misread is quoted.
pub(super) fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cell = |cell: &str| {
        let is_plain = !cell.contains(['"', ',', ';', '\t', '\n', '\r']) && cell.trim() == cell;
        if is_plain { cell.to_owned() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    };
    cells.into_iter().map(cell).collect::<Vec<_>>().join(",")
}
