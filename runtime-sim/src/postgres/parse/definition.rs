//! Statements that define or change data.

use super::Parser;
use crate::postgres::syntax::{
    Column, ColumnKind, Exists, From, Grip, Item, Life, RowLock, Rows, Select, Statement,
};
use crate::postgres::token::Token;
use crate::postgres::value::{SqlError, Type};

impl Parser {
    /// Reads the rest of a statement that begins with `word`.
    pub(super) fn definition(&mut self, word: &str) -> Result<Statement, SqlError> {
        match word {
            "insert" => self.insert(),
            "update" => self.update(),
            "delete" => {
                self.expect_word("from")?;
                let table = self.name()?;
                let filter = if self.word("where") { Some(self.expression()?) } else { None };
                Ok(Statement::Delete { table, filter, returning: self.returning()? })
            }
            "truncate" => {
                self.word("table");
                let tables = self.list(Self::name)?;
                self.skip();
                Ok(Statement::Truncate(tables))
            }
            "create" => self.create(),
            "drop" => self.drop(),
            "lock" => {
                self.word("table");
                let tables = self.list(Self::name)?;
                let mut grip = Grip::Hard;
                if self.word("in") {
                    // `access share`, `row share` and `row exclusive` are what reads and writes
                    // take themselves.
                    let access = self.word("access");
                    let row = self.word("row");
                    let exclusive = self.word("exclusive");
                    if row || (access && !exclusive) {
                        grip = Grip::Light;
                    }
                }
                self.skip();
                Ok(Statement::Lock(tables, grip))
            }
            _ => self.copy(),
        }
    }

    pub(super) fn if_exists(&mut self, words: &[&str]) -> Exists {
        let all = words.iter().all(|word| self.word(word));
        if all { Exists::IsFine } else { Exists::Matters }
    }

    fn returning(&mut self) -> Result<Vec<Item>, SqlError> {
        if self.word("returning") { self.items() } else { Ok(Vec::new()) }
    }

    fn insert(&mut self) -> Result<Statement, SqlError> {
        self.expect_word("into")?;
        let table = self.name()?;
        let columns = self.names_in_brackets()?;
        let rows = if self.word("default") {
            self.expect_word("values")?;
            Rows::Values(vec![Vec::new()])
        } else if self.word("values") {
            Rows::Values(self.list(|parser| {
                parser.expect_symbol("(")?;
                let row = parser.list(|parser| {
                    if parser.word("default") {
                        return Ok(None);
                    }
                    parser.expression().map(Some)
                })?;
                parser.expect_symbol(")")?;
                Ok(row)
            })?)
        } else {
            Rows::Select(self.select()?)
        };
        let mut conflict = Exists::Matters;
        if self.word("on") {
            self.expect_word("conflict")?;
            self.names_in_brackets()?;
            self.expect_word("do")?;
            self.expect_word("nothing")?;
            conflict = Exists::IsFine;
        }
        Ok(Statement::Insert { table, columns, rows, conflict, returning: self.returning()? })
    }

    fn update(&mut self) -> Result<Statement, SqlError> {
        let table = self.name()?;
        self.expect_word("set")?;
        let set = self.list(|parser| {
            let column = parser.name()?;
            parser.expect_symbol("=")?;
            Ok((column, parser.expression()?))
        })?;
        let filter = if self.word("where") { Some(self.expression()?) } else { None };
        Ok(Statement::Update { table, set, filter, returning: self.returning()? })
    }

    fn create(&mut self) -> Result<Statement, SqlError> {
        if let Some(other) = self.create_other()? {
            return Ok(other);
        }
        let temporary = self.word("temp") || self.word("temporary");
        let unlogged = self.word("unlogged");
        self.expect_word("table")?;
        let exists = self.if_exists(&["if", "not", "exists"]);
        let table = self.name()?;
        let mut life = match (temporary, unlogged) {
            (true, _) => Life::Temporary,
            (false, true) => Life::Unlogged,
            (false, false) => Life::Lasting,
        };
        let mut columns = Vec::new();
        let mut from = None;
        if self.word("as") {
            from = Some(self.select()?);
        } else {
            self.expect_symbol("(")?;
            if !self.symbol(")") {
                columns = self.list(Self::column)?;
                self.expect_symbol(")")?;
            }
        }
        if temporary && self.word("on") && self.word("commit") && self.word("drop") {
            life = Life::Transaction;
        }
        // Storage options change nothing here.
        self.skip();
        Ok(Statement::Create { table, columns, exists, life, from })
    }

    fn column(&mut self) -> Result<Column, SqlError> {
        let name = self.name()?;
        let serial = matches!(self.peek(), Some(Token::Word(word)) if word.ends_with("serial"));
        let ty = self.ty()?;
        let mut key = false;
        loop {
            match self.peek() {
                Some(Token::Word(word)) => key |= word == "primary" || word == "unique",
                Some(Token::Symbol("," | ")")) | None => break,
                Some(_) => {}
            }
            self.at += 1;
        }
        let kind = match (serial, key) {
            (false, false) => ColumnKind::Plain,
            (true, false) => ColumnKind::Serial,
            (false, true) => ColumnKind::Key,
            (true, true) => ColumnKind::SerialKey,
        };
        Ok(Column { name, ty, kind })
    }

    fn copy(&mut self) -> Result<Statement, SqlError> {
        let statement = if self.symbol("(") {
            let select = self.select()?;
            self.expect_symbol(")")?;
            self.expect_word("to")?;
            self.expect_word("stdout")?;
            Statement::CopyOut(select)
        } else {
            let table = self.name()?;
            let columns = self.names_in_brackets()?;
            if self.word("from") {
                self.expect_word("stdin")?;
                Statement::CopyIn { table, columns }
            } else {
                self.expect_word("to")?;
                self.expect_word("stdout")?;
                Statement::CopyOut(Select {
                    items: vec![Item::All],
                    from: From::Table(table),
                    filter: None,
                    order: Vec::new(),
                    limit: None,
                    lock: RowLock::None,
                })
            }
        };
        self.skip();
        Ok(statement)
    }
}

/// The columns of `create table … as`.
pub(in crate::postgres) fn columns_of(columns: &[(String, Type)]) -> Vec<Column> {
    let plain = |(name, ty): &(String, Type)| Column {
        name: name.clone(),
        ty: *ty,
        kind: ColumnKind::Plain,
    };
    columns.iter().map(plain).collect()
}
