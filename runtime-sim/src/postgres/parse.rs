//! Tokens to statements: the few forms that scenarios use.

mod definition;
pub(super) use self::definition::columns_of;
mod expression;
mod query;
mod routine;

use super::syntax::{Access, Discard, Hold, Scope, Statement};
use super::token::{Token, tokens};
use super::value::{SqlError, Type};

/// Parses a text into its statements.
pub(super) fn parse(sql: &str) -> Result<Vec<Statement>, SqlError> {
    Parser { tokens: tokens(sql)?, at: 0 }.script()
}

/// Reads tokens one by one.
#[derive(Debug)]
struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn script(&mut self) -> Result<Vec<Statement>, SqlError> {
        let mut statements = Vec::new();
        loop {
            while self.symbol(";") {}
            if self.peek().is_none() {
                return Ok(statements);
            }
            statements.push(self.statement()?);
            if self.peek().is_some() && !self.symbol(";") {
                return Err(self.wrong());
            }
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn advance(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    /// The error about the next token.
    fn wrong(&self) -> SqlError {
        match self.peek() {
            Some(token) => SqlError::syntax(&token.shown()),
            None => SqlError::new("42601", "syntax error at end of input"),
        }
    }

    /// Takes a word if it is the next token.
    fn word(&mut self, word: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Word(next)) if next == word);
        self.at += usize::from(there);
        there
    }

    /// Takes a symbol if it is the next token.
    fn symbol(&mut self, symbol: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Symbol(next)) if *next == symbol);
        self.at += usize::from(there);
        there
    }

    fn expect_word(&mut self, word: &str) -> Result<(), SqlError> {
        if self.word(word) { Ok(()) } else { Err(self.wrong()) }
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<(), SqlError> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.wrong()) }
    }

    /// Reads a name; a schema in front of it is dropped.
    fn name(&mut self) -> Result<String, SqlError> {
        match self.advance() {
            Some(Token::Word(name) | Token::Quoted(name)) => {
                if self.symbol(".") {
                    self.name()
                } else {
                    Ok(name)
                }
            }
            _ => {
                self.at -= 1;
                Err(self.wrong())
            }
        }
    }

    /// Reads one or more of something, separated by commas.
    fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let mut list = vec![one(self)?];
        while self.symbol(",") {
            list.push(one(self)?);
        }
        Ok(list)
    }

    /// Reads a list of names in brackets, if there is one.
    fn names_in_brackets(&mut self) -> Result<Vec<String>, SqlError> {
        if !self.symbol("(") {
            return Ok(Vec::new());
        }
        let names = self.list(Self::name)?;
        self.expect_symbol(")")?;
        Ok(names)
    }

    /// Skips to the end of the statement.
    fn skip(&mut self) {
        while self.peek().is_some_and(|token| *token != Token::Symbol(";")) {
            self.at += 1;
        }
    }

    fn statement(&mut self) -> Result<Statement, SqlError> {
        let Some(Token::Word(word)) = self.peek().cloned() else { return Err(self.wrong()) };
        if word == "select" || word == "values" || word == "table" {
            return Ok(Statement::Select(self.select()?));
        }
        self.at += 1;
        match word.as_str() {
            "insert" | "update" | "delete" | "truncate" | "create" | "drop" | "copy" | "lock" => {
                self.definition(&word)
            }
            "alter" => self.alter(),
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint"
            | "release" => self.transaction(&word),
            "set" | "show" | "reset" | "discard" => self.setting(&word),
            "prepare" | "execute" | "deallocate" | "declare" | "fetch" | "move" | "close" => {
                self.named(&word)
            }
            "listen" => Ok(Statement::Listen(self.name()?)),
            "unlisten" => {
                let all = self.symbol("*");
                Ok(Statement::Unlisten(if all { None } else { Some(self.name()?) }))
            }
            "notify" => {
                let channel = self.name()?;
                let payload = if self.symbol(",") { self.text()? } else { String::new() };
                Ok(Statement::Notify(channel, payload))
            }
            "do" => {
                if self.word("language") {
                    self.name()?;
                }
                let body = self.text()?;
                self.skip();
                Ok(Statement::Do(body))
            }
            "checkpoint" => Ok(Statement::Checkpoint),
            "explain" => {
                self.skip();
                Ok(Statement::Explain)
            }
            _ => {
                self.at -= 1;
                Err(self.wrong())
            }
        }
    }

    fn text(&mut self) -> Result<String, SqlError> {
        match self.advance() {
            Some(Token::Text(text)) => Ok(text),
            _ => {
                self.at -= 1;
                Err(self.wrong())
            }
        }
    }

    fn transaction(&mut self, word: &str) -> Result<Statement, SqlError> {
        Ok(match word {
            "begin" => {
                let _ = self.word("work") || self.word("transaction");
                Statement::Begin(self.modes())
            }
            "start" => {
                self.expect_word("transaction")?;
                Statement::Begin(self.modes())
            }
            "savepoint" => Statement::Savepoint(self.name()?),
            "release" => {
                self.word("savepoint");
                Statement::Release(self.name()?)
            }
            "commit" | "end" => {
                let _ = self.word("work") || self.word("transaction");
                self.chain()?;
                Statement::Commit
            }
            _ => {
                let _ = self.word("work") || self.word("transaction");
                if self.word("to") {
                    self.word("savepoint");
                    return Ok(Statement::RollbackTo(self.name()?));
                }
                self.chain()?;
                Statement::Rollback
            }
        })
    }

    fn chain(&mut self) -> Result<(), SqlError> {
        if self.word("and") {
            self.expect_word("no")?;
            self.expect_word("chain")?;
        }
        Ok(())
    }

    /// Reads transaction modes, of which only the access matters.
    fn modes(&mut self) -> Option<Access> {
        let mut access = None;
        loop {
            if self.word("read") {
                if self.word("only") {
                    access = Some(Access::ReadOnly);
                } else if self.word("write") {
                    access = Some(Access::ReadWrite);
                } else {
                    let _ = self.word("committed") || self.word("uncommitted");
                }
            } else if !(self.symbol(",")
                || ["isolation", "level", "serializable", "repeatable", "not", "deferrable"]
                    .iter()
                    .any(|word| self.word(word)))
            {
                return access;
            }
        }
    }

    fn setting(&mut self, word: &str) -> Result<Statement, SqlError> {
        match word {
            "set" => self.set(),
            "show" => {
                if self.word("transaction") {
                    self.expect_word("isolation")?;
                    self.expect_word("level")?;
                    return Ok(Statement::Show("transaction_isolation".to_owned()));
                }
                Ok(Statement::Show(self.setting_name()?))
            }
            "reset" => {
                let all = self.word("all");
                Ok(Statement::Reset(if all { None } else { Some(self.setting_name()?) }))
            }
            _ => match self.name()?.as_str() {
                "all" => Ok(Statement::Discard(Discard::All)),
                "temp" | "temporary" => Ok(Statement::Discard(Discard::Temporary)),
                "plans" => Ok(Statement::Discard(Discard::Plans)),
                "sequences" => Ok(Statement::Discard(Discard::Sequences)),
                other => Err(SqlError::syntax(other)),
            },
        }
    }

    /// Reads a setting's name, which may have a dot in it.
    fn setting_name(&mut self) -> Result<String, SqlError> {
        if self.word("time") {
            self.expect_word("zone")?;
            return Ok("timezone".to_owned());
        }
        if self.word("session") {
            self.expect_word("authorization")?;
            return Ok("session_authorization".to_owned());
        }
        let mut name = match self.advance() {
            Some(Token::Word(name) | Token::Quoted(name)) => name,
            _ => {
                self.at -= 1;
                return Err(self.wrong());
            }
        };
        while self.symbol(".") {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(name)
    }

    fn set(&mut self) -> Result<Statement, SqlError> {
        if self.word("transaction") {
            return Ok(Statement::SetTransaction(self.modes()));
        }
        let mut scope = Scope::Session;
        if self.word("local") {
            scope = Scope::Transaction;
        } else if self.word("session") {
            if self.word("characteristics") {
                self.expect_word("as")?;
                self.expect_word("transaction")?;
                let value = match self.modes() {
                    Some(Access::ReadOnly) => "on",
                    Some(Access::ReadWrite) | None => "off",
                };
                let name = "default_transaction_read_only".to_owned();
                return Ok(Statement::Set { name, value: Some(vec![value.to_owned()]), scope });
            }
            if matches!(self.peek(), Some(Token::Word(word)) if word == "authorization") {
                self.at -= 1;
            }
        }
        if self.word("names") {
            let value = Some(self.setting_value()?);
            return Ok(Statement::Set { name: "client_encoding".to_owned(), value, scope });
        }
        let name = self.setting_name()?;
        let assigned = self.symbol("=") || self.word("to");
        let bare = matches!(name.as_str(), "timezone" | "role" | "session_authorization");
        if !assigned && !bare {
            return Err(self.wrong());
        }
        let local = name == "timezone" && self.word("local");
        if local || self.word("default") {
            return Ok(Statement::Set { name, value: None, scope });
        }
        Ok(Statement::Set { name, value: Some(self.setting_value()?), scope })
    }

    fn setting_value(&mut self) -> Result<Vec<String>, SqlError> {
        self.list(|parser| {
            let minus = if parser.symbol("-") { "-" } else { "" };
            match parser.advance() {
                Some(
                    Token::Word(text)
                    | Token::Quoted(text)
                    | Token::Text(text)
                    | Token::Number(text),
                ) => Ok(format!("{minus}{text}")),
                Some(Token::Param(_) | Token::Symbol(_)) | None => {
                    parser.at -= 1;
                    Err(parser.wrong())
                }
            }
        })
    }

    fn named(&mut self, word: &str) -> Result<Statement, SqlError> {
        Ok(match word {
            "prepare" => {
                let name = self.name()?;
                let types = self.types_in_brackets()?;
                self.expect_word("as")?;
                Statement::Prepare { name, types, statement: Box::new(self.statement()?) }
            }
            "execute" => {
                let name = self.name()?;
                let mut arguments = Vec::new();
                if self.symbol("(") {
                    arguments = self.list(Self::expression)?;
                    self.expect_symbol(")")?;
                }
                Statement::Execute { name, arguments }
            }
            "deallocate" => {
                self.word("prepare");
                let all = self.word("all");
                Statement::Deallocate(if all { None } else { Some(self.name()?) })
            }
            "declare" => {
                let name = self.name()?;
                let mut hold = Hold::Without;
                while !self.word("for") {
                    if self.word("with") {
                        self.expect_word("hold")?;
                        hold = Hold::With;
                    } else if self.advance().is_none() {
                        return Err(self.wrong());
                    }
                }
                Statement::Declare { name, select: self.select()?, hold }
            }
            "fetch" | "move" => {
                let count = self.fetch_count()?;
                let _ = self.word("from") || self.word("in");
                let name = self.name()?;
                if word == "move" {
                    return Ok(Statement::Move { name, count });
                }
                Statement::Fetch { name, count }
            }
            _ => {
                let all = self.word("all");
                Statement::CloseCursor(if all { None } else { Some(self.name()?) })
            }
        })
    }

    /// Reads how many rows are fetched; none for all.
    fn fetch_count(&mut self) -> Result<Option<u64>, SqlError> {
        let forward = self.word("next") || self.word("forward");
        match self.peek().cloned() {
            Some(Token::Number(number)) => {
                self.at += 1;
                Ok(Some(number.parse().map_err(|_| SqlError::syntax(&number))?))
            }
            _ if self.word("all") => Ok(None),
            _ => {
                let _ = forward || self.word("next") || self.word("forward");
                Ok(Some(1))
            }
        }
    }

    fn types_in_brackets(&mut self) -> Result<Vec<Type>, SqlError> {
        if !self.symbol("(") {
            return Ok(Vec::new());
        }
        let types = self.list(Self::ty)?;
        self.expect_symbol(")")?;
        Ok(types)
    }
}

#[cfg(test)]
mod tests;
