//! `pgpool.conf`: lines of names and values.
//!
//! One setting a line, `=` optional, `#` comments, single quotes. Whatever Pgpool-II's scanner
//! reads as something else than it looks like (two settings on a line, a unit behind a blank,
//! double quotes) is a mistake here. `include 'file'` is followed, relative to its file.

use super::files::{Files, beside};
use super::findings::Findings;
use super::mistake::Syntax;
use super::settings::Setting;
use super::value::Written;

/// How deep includes may go, as in Pgpool-II.
const DEEPEST: usize = 10;

/// What one line says.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    Empty,
    Setting { name: &'a str, value: &'a str },
}

/// Reads the settings of a file and of those it includes, in order.
pub(super) fn read(
    path: &str,
    text: &str,
    files: &dyn Files,
    findings: &mut Findings,
) -> Vec<Setting> {
    let mut reading = Reading { files, findings, open: Vec::new(), settings: Vec::new() };
    reading.file(path, text);
    reading.settings
}

/// A file being read, and those that include it.
struct Reading<'a> {
    files: &'a dyn Files,
    findings: &'a mut Findings,
    /// The files between the first one and the current one, both included.
    open: Vec<String>,
    settings: Vec<Setting>,
}

impl Reading<'_> {
    fn file(&mut self, path: &str, text: &str) {
        self.open.push(path.to_owned());
        for (index, line) in text.trim_start_matches('\u{feff}').split('\n').enumerate() {
            self.line(path, index + 1, line);
        }
        self.open.pop();
    }

    fn line(&mut self, path: &str, number: usize, line: &str) {
        match parse(line) {
            Ok(Line::Empty) => {}
            Ok(Line::Setting { name: "include", value }) => self.include(path, number, value),
            Ok(Line::Setting { name, value }) => self.settings.push(Setting {
                file: path.to_owned(),
                line: Some(number),
                key: name.to_owned(),
                name: name.to_owned(),
                written: Written::Bare(value.to_owned()),
            }),
            Err((name, syntax)) => self.findings.mistake(path, Some(number), name, syntax),
        }
    }

    fn include(&mut self, path: &str, number: usize, value: &str) {
        let included = beside(path, value);
        let mistake = if self.open.contains(&included) {
            Syntax::IncludeLoop
        } else if self.open.len() > DEEPEST {
            Syntax::IncludeTooDeep
        } else {
            match self.files.read(&included) {
                Ok(text) => return self.file(&included, &text),
                Err(why) => Syntax::Unreadable(why),
            }
        };
        self.findings.mistake(path, Some(number), Some("include"), mistake);
    }
}

/// Reads one line; a mistake comes with the name, if that much was understood.
fn parse(line: &str) -> Result<Line<'_>, (Option<&str>, Syntax)> {
    let line = line.trim_matches(BLANKS);
    if line.is_empty() || line.starts_with('#') {
        return Ok(Line::Empty);
    }
    if !line.starts_with(|c: char| begins_name(c)) {
        return Err((None, Syntax::NoName));
    }
    let rest = line.trim_start_matches(|c: char| begins_name(c) || c.is_ascii_digit());
    let name = line.get(..line.len() - rest.len()).unwrap_or_default();
    if !rest.is_empty() && !rest.starts_with(BLANKS) && !rest.starts_with(['=', '\'', '"', '#']) {
        return Err((None, Syntax::NoName));
    }
    let rest = rest.trim_start_matches(BLANKS);
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start_matches(BLANKS);
    match value(rest) {
        Ok(value) => Ok(Line::Setting { name, value }),
        Err(syntax) => Err((Some(name), syntax)),
    }
}

/// Reads the value that `rest` begins with, and insists on nothing but a comment behind it.
fn value(rest: &str) -> Result<&str, Syntax> {
    match rest.chars().next() {
        None | Some('#') => Err(Syntax::NoValue),
        Some('"') => Err(Syntax::DoubleQuotes),
        Some('\'') => quoted(rest.get(1..).unwrap_or_default()),
        Some(_) => unquoted(rest),
    }
}

/// Reads up to the closing quote. A backslash keeps the next letter inside, and stays.
fn quoted(rest: &str) -> Result<&str, Syntax> {
    let mut letters = rest.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            '\'' => {
                let behind = rest.get(at + 1..).unwrap_or_default();
                if behind.starts_with('\'') {
                    return Err(Syntax::DoubledQuote);
                }
                if !is_comment(behind) {
                    return Err(Syntax::TrailingText);
                }
                return Ok(rest.get(..at).unwrap_or_default());
            }
            _ => {}
        }
    }
    Err(Syntax::OpenQuote)
}

fn unquoted(rest: &str) -> Result<&str, Syntax> {
    let end = rest.find(|c: char| BLANKS.contains(&c) || c == '#').unwrap_or(rest.len());
    let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
    // Pgpool-II manual, "Parameter Names and Values": other values need quotes.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.:/-+".contains(c);
    if !word.chars().all(is_plain) || word.starts_with(['/', ':']) {
        return Err(Syntax::Unquoted);
    }
    if is_comment(behind) {
        return Ok(word);
    }
    let next = behind.trim_start_matches(BLANKS);
    let next = next.split(|c: char| BLANKS.contains(&c) || c == '#').next().unwrap_or_default();
    let number = word.chars().all(|c| c.is_ascii_digit() || c == '.');
    if number && UNITS.contains(&next) {
        return Err(Syntax::UnitApart { number: word.to_owned(), unit: next.to_owned() });
    }
    Err(Syntax::TrailingText)
}

/// Tells whether what is behind a value is nothing or a comment.
fn is_comment(behind: &str) -> bool {
    let behind = behind.trim_start_matches(BLANKS);
    behind.is_empty() || behind.starts_with('#')
}

/// Tells whether a name may begin with, or contain, this letter. The digits come on top.
fn begins_name(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_' || !letter.is_ascii()
}

/// What separates words on a line.
const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// The units that Pgpool-II knows.
const UNITS: [&str; 11] = ["us", "ms", "s", "min", "h", "d", "B", "kB", "MB", "GB", "TB"];

/// Tells whether a line can be a `pgpool.conf` line and nothing in TOML, for recognising files.
pub(super) fn votes(line: &str) -> bool {
    let Ok(Line::Setting { name, value }) = parse(line) else { return false };
    if name == "include" {
        return true;
    }
    let rest = line.trim_start_matches(BLANKS).get(name.len()..).unwrap_or_default();
    let Some(behind) = rest.trim_start_matches(BLANKS).strip_prefix('=') else { return true };
    if behind.trim_start_matches(BLANKS).starts_with('\'') {
        return false;
    }
    // TOML takes without quotes only true, false, infinities, dates and plain numbers.
    let leading_zero =
        value.len() > 1 && value.starts_with('0') && value.chars().all(|c| c.is_ascii_digit());
    let plain_number = value.parse::<f64>().is_ok() && !leading_zero;
    !(value == "true" || value == "false" || plain_number || value.starts_with("0x"))
}

#[cfg(test)]
mod tests;
