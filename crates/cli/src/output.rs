//! How answers are printed: pages of lines and tables for people, JSON for programs.
//!
//! Colours and widths follow the terminal; what is piped or has `NO_COLOR` set is plain and never wrapped.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Write as _},
};

use comfy_table::{Cell, Color, ContentArrangement, Row, Table, presets};
use sekimori_core::rule::Action;
use sekimori_server::api::Revised;
use serde::Serialize;

use crate::{cli::Format, exit::Failure};

/// A terminal that is narrower, or does not tell its width, is better off with long lines.
const WIDTH_MIN: u16 = 60;

/// What a person reads: paragraphs, in order.
#[derive(Default)]
pub(crate) struct Page(Vec<Paragraph>);

enum Paragraph {
    Line(String),
    Table(Box<Table>),
}

impl Page {
    /// Adds a line of text.
    pub(crate) fn line(mut self, text: impl Into<String>) -> Self {
        self.0.push(Paragraph::Line(text.into()));
        self
    }

    /// Adds several lines of text.
    pub(crate) fn lines(self, texts: &[String]) -> Self {
        texts.iter().fold(self, |page, text| page.line(text.as_str()))
    }

    /// Adds a table, or a line in its place if it would be empty.
    pub(crate) fn table<R: Into<Row>>(
        mut self,
        header: &[&str],
        rows: impl IntoIterator<Item = R>,
        if_empty: &str,
    ) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(header.iter().copied()).add_rows(rows);
        if table.is_empty() {
            return self.line(if_empty);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        self.0.push(Paragraph::Table(Box::new(table)));
        self
    }

    /// The page as text with colours; lines of tables are wrapped at `width` if there is one.
    fn render(self, width: Option<u16>) -> String {
        let mut text = String::new();
        for paragraph in self.0 {
            let part = match paragraph {
                Paragraph::Line(line) => line,
                Paragraph::Table(table) => render_table(*table, width),
            };
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{part}");
        }
        text
    }

    /// The page as tests look at it.
    #[cfg(test)]
    pub(crate) fn plain(self) -> String {
        anstream::adapter::strip_str(&self.render(None)).to_string()
    }
}

/// Prints an answer in the format that was asked for.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn show<T: Serialize>(format: Format, value: &T, page: impl FnOnce(&T) -> Page) -> Result<(), Failure> {
    if format.is_json() {
        return print(&(json(value)? + "\n"));
    }
    print(&page(value).render(terminal_width()))
}

/// Prints the state that a change has brought a thing to.
///
/// # Errors
/// As [`show`].
pub(crate) fn state(format: Format, what: &str, state: &str, revised: &Revised) -> Result<(), Failure> {
    show(format, revised, |revised| state_page(what, state, revised))
}

/// The state that a change has brought a thing to.
pub(crate) fn state_page(what: &str, state: &str, revised: &Revised) -> Page {
    Page::default().line(format!("{what} is {state}, revision {}", revised.revision))
}

/// Prints text.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Whether a person is looking at standard output.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// `allow` in green, `deny` in red.
pub(crate) fn action(action: Action) -> Cell {
    let colour = match action {
        Action::Allow => Color::Green,
        Action::Deny => Color::Red,
    };
    Cell::new(action).fg(colour)
}

/// A cell that is red if it tells of something wrong.
pub(crate) fn alarm(text: impl ToString, is_wrong: bool) -> Cell {
    let cell = Cell::new(text);
    if is_wrong { cell.fg(Color::Red) } else { cell }
}

/// What stands where there is nothing.
pub(crate) const NONE: &str = "-";

/// A value, or a dash.
pub(crate) fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

/// Indented JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(|error| Failure::Failed(error.into()))
}

fn render_table(mut table: Table, width: Option<u16>) -> String {
    match width {
        Some(width) => table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table.enforce_styling();
    // Padding without colours can be trimmed at the end of a line.
    table.style_text_only();
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn terminal_width() -> Option<u16> {
    if !is_terminal() {
        return None;
    }
    Table::new().width().filter(|width| *width >= WIDTH_MIN)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn page() -> Page {
        let row = |name: &str, decision| Row::from(vec![Cell::new(name), action(decision)]);
        let rows = [row("a long name", Action::Allow), row("b", Action::Deny)];
        Page::default().line("title").table(&["NAME", "ACTION"], rows, "nothing")
    }

    #[test]
    fn columns_line_up_without_borders() {
        expect![[r#"
            title
            NAME         ACTION
            a long name  allow
            b            deny
        "#]]
        .assert_eq(&page().plain());
    }

    #[test]
    fn colours_are_there_until_they_are_stripped() {
        assert!(page().render(None).contains("\u{1b}["));
        assert!(!page().plain().contains('\u{1b}'));
    }

    #[test]
    fn an_empty_table_says_so() {
        let page = Page::default().table(&["NAME"], Vec::<Row>::new(), "no accounts");
        assert_eq!(page.plain(), "no accounts\n");
    }

    #[test]
    fn a_narrow_terminal_wraps() {
        assert!(page().render(Some(14)).lines().count() > 4);
    }
}
