//! Words of SQL. As much of PostgreSQL's lexical structure as scenarios use: comments (nested),
//! quoted identifiers, `'…'`, `E'…'` and `$tag$…$tag$` texts, numbers, parameters, operators.

use super::value::SqlError;

/// A word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// An unquoted word, in lower case.
    Word(String),
    /// A quoted identifier.
    Quoted(String),
    /// A text.
    Text(String),
    /// A number without a sign.
    Number(String),
    /// `$1` and so on.
    Param(usize),
    /// An operator or a bracket.
    Symbol(&'static str),
}

/// Operators, longer ones first.
const SYMBOLS: [&str; 24] = [
    "::", "<=", ">=", "<>", "!=", "||", "->", ":=", "(", ")", ",", ";", "+", "-", "*", "/", "%",
    "=", "<", ">", ".", "[", "]", ":",
];

impl Token {
    /// Shows the word in an error.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Word(text) | Self::Quoted(text) | Self::Number(text) => text.clone(),
            Self::Text(text) => format!("'{text}'"),
            Self::Param(number) => format!("${number}"),
            Self::Symbol(symbol) => (*symbol).to_owned(),
        }
    }
}

/// Cuts a text into words.
pub(super) fn tokens(sql: &str) -> Result<Vec<Token>, SqlError> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    loop {
        rest = skip_blank(rest)?;
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (token, after) = token(first, rest)?;
        tokens.push(token);
        rest = after;
    }
}

fn skip_blank(mut rest: &str) -> Result<&str, SqlError> {
    loop {
        rest = rest.trim_start();
        if rest.starts_with("--") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(inside) = rest.strip_prefix("/*") {
            rest = skip_comment(inside)?;
        } else {
            return Ok(rest);
        }
    }
}

fn skip_comment(mut rest: &str) -> Result<&str, SqlError> {
    let mut depth = 1;
    while depth > 0 {
        if let Some(after) = rest.strip_prefix("*/") {
            depth -= 1;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("/*") {
            depth += 1;
            rest = after;
        } else {
            let mut chars = rest.chars();
            if chars.next().is_none() {
                return Err(SqlError::new("42601", "unterminated /* comment"));
            }
            rest = chars.as_str();
        }
    }
    Ok(rest)
}

fn token(first: char, rest: &str) -> Result<(Token, &str), SqlError> {
    if matches!(first, 'e' | 'E') && rest.get(1..2) == Some("'") {
        let (text, after) = quoted(rest.get(2..).unwrap_or_default(), '\'', true)?;
        return Ok((Token::Text(text), after));
    }
    if first.is_alphabetic() || first == '_' {
        let (word, after) = split_while(rest, |c| c.is_alphanumeric() || c == '_' || c == '$');
        return Ok((Token::Word(word.to_lowercase()), after));
    }
    if first.is_ascii_digit() {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        return Ok((Token::Number(number.to_owned()), after));
    }
    match first {
        '\'' => {
            let (text, after) = quoted(rest.get(1..).unwrap_or_default(), '\'', false)?;
            Ok((Token::Text(text), after))
        }
        '"' => {
            let (text, after) = quoted(rest.get(1..).unwrap_or_default(), '"', false)?;
            Ok((Token::Quoted(text), after))
        }
        '$' => dollar(rest.get(1..).unwrap_or_default()),
        _ => {
            let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
            let symbol = symbol.ok_or_else(|| SqlError::syntax(&first.to_string()))?;
            Ok((Token::Symbol(symbol), rest.get(symbol.len()..).unwrap_or_default()))
        }
    }
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Reads up to the closing quote; a doubled quote stands for itself.
fn quoted(text: &str, quote: char, escapes: bool) -> Result<(String, &str), SqlError> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == quote {
            if chars.as_str().starts_with(quote) {
                chars.next();
                value.push(quote);
            } else {
                return Ok((value, chars.as_str()));
            }
        } else if c == '\\' && escapes {
            value.push(match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(other) => other,
                None => '\\',
            });
        } else {
            value.push(c);
        }
    }
    Err(SqlError::new("42601", "unterminated quoted string"))
}

fn dollar(rest: &str) -> Result<(Token, &str), SqlError> {
    let (tag, after) = split_while(rest, |c| c.is_alphanumeric() || c == '_');
    if let Ok(number) = tag.parse() {
        return Ok((Token::Param(number), after));
    }
    let body = after.strip_prefix('$').ok_or_else(|| SqlError::syntax("$"))?;
    let end = format!("${tag}$");
    let (text, after) = body
        .split_once(&end)
        .ok_or_else(|| SqlError::new("42601", "unterminated dollar-quoted string"))?;
    Ok((Token::Text(text.to_owned()), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        let sql =
            "SELECT /* a /* b */ ; */ 'it''s', $1::int, E'a\\nb' -- end\n, \"A\"\"b\", $x$;$x$;";
        let text = |text: &str| Token::Text(text.to_owned());
        let comma = Token::Symbol(",");
        assert_eq!(
            tokens(sql).unwrap(),
            [
                Token::Word("select".to_owned()),
                text("it's"),
                comma.clone(),
                Token::Param(1),
                Token::Symbol("::"),
                Token::Word("int".to_owned()),
                comma.clone(),
                text("a\nb"),
                comma.clone(),
                Token::Quoted("A\"b".to_owned()),
                comma,
                text(";"),
                Token::Symbol(";"),
            ]
        );
        for wrong in ["'a", "/* a", "$x$ a", "\"a", "#"] {
            assert!(tokens(wrong).is_err(), "{wrong}");
        }
    }
}
