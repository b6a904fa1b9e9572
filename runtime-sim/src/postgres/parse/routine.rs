//! Statements that define what is no table: views, functions, databases.

use super::{Parser, parse};
use crate::postgres::syntax::{Access, Exists, Function, Parameter, Statement, Volatility};
use crate::postgres::token::{Token, tokens};
use crate::postgres::value::{SqlError, Type};

impl Parser {
    /// Reads what follows `create`, if it is no table.
    pub(super) fn create_other(&mut self) -> Result<Option<Statement>, SqlError> {
        let start = self.at;
        let exists = if self.word("or") {
            self.expect_word("replace")?;
            Exists::IsFine
        } else {
            Exists::Matters
        };
        if self.word("view") {
            let name = self.name()?;
            self.expect_word("as")?;
            let select = self.select()?;
            return Ok(Some(Statement::CreateView { name, select, exists }));
        }
        if self.word("function") {
            return self.create_function(exists).map(Some);
        }
        if self.word("access") {
            self.expect_word("method")?;
            let name = self.name()?;
            self.skip();
            return Ok(Some(Statement::CreateAccessMethod(name)));
        }
        if self.word("database") {
            let name = self.name()?;
            self.skip();
            return Ok(Some(Statement::CreateDatabase(name)));
        }
        self.at = start;
        Ok(None)
    }

    /// Reads what follows `alter`: what a user's role is at a login to a database, or whom the
    /// server follows.
    pub(super) fn alter(&mut self) -> Result<Statement, SqlError> {
        if self.word("system") {
            if self.word("reset") {
                self.expect_word("default_transaction_read_only")?;
                return Ok(Statement::AlterSystem(Parameter::Access(Access::ReadWrite)));
            }
            self.expect_word("set")?;
            if self.word("default_transaction_read_only") {
                self.expect_symbol("=")?;
                self.expect_word("on")?;
                return Ok(Statement::AlterSystem(Parameter::Access(Access::ReadOnly)));
            }
            let of_whom = self.word("synchronous_standby_names");
            if !of_whom {
                self.expect_word("primary_conninfo")?;
            }
            self.expect_symbol("=")?;
            let parameter = if of_whom { Parameter::Synchrony } else { Parameter::Conninfo };
            return Ok(Statement::AlterSystem(parameter(self.text()?)));
        }
        self.expect_word("role")?;
        let user = self.name()?;
        self.expect_word("in")?;
        self.expect_word("database")?;
        let database = self.name()?;
        let resets = self.word("reset");
        if !resets {
            self.expect_word("set")?;
        }
        self.expect_word("role")?;
        let role = if resets {
            None
        } else {
            self.expect_symbol("=")?;
            Some(self.text()?)
        };
        Ok(Statement::AlterRole { user, database, role })
    }

    /// Reads what follows `drop`.
    pub(super) fn drop(&mut self) -> Result<Statement, SqlError> {
        let view = self.word("view");
        if view || self.word("table") {
            let exists = self.if_exists(&["if", "exists"]);
            let names = self.list(Self::name)?;
            let _ = self.word("cascade") || self.word("restrict");
            return Ok(if view {
                Statement::DropView { names, exists }
            } else {
                Statement::Drop { tables: names, exists }
            });
        }
        if self.word("access") {
            self.expect_word("method")?;
            return Ok(Statement::DropAccessMethod(self.name()?));
        }
        if self.word("database") {
            let exists = self.if_exists(&["if", "exists"]);
            return Ok(Statement::DropDatabase { name: self.name()?, exists });
        }
        self.expect_word("function")?;
        let exists = self.if_exists(&["if", "exists"]);
        let name = self.name()?;
        self.skip();
        Ok(Statement::DropFunction { name, exists })
    }

    fn create_function(&mut self, exists: Exists) -> Result<Statement, SqlError> {
        let name = self.name()?;
        self.expect_symbol("(")?;
        let mut takes = Vec::new();
        if !self.symbol(")") {
            takes = self.list(Self::argument)?;
            self.expect_symbol(")")?;
        }
        let mut function = Function {
            takes,
            returns: Type::Void,
            volatility: Volatility::Volatile,
            source: String::new(),
            body: Vec::new(),
        };
        let mut language = String::new();
        while self.peek().is_some_and(|token| *token != Token::Symbol(";")) {
            if self.word("returns") {
                function.returns = self.ty()?;
            } else if self.word("language") {
                language = self.name()?;
            } else if self.word("volatile") {
                function.volatility = Volatility::Volatile;
            } else if self.word("stable") {
                function.volatility = Volatility::Stable;
            } else if self.word("immutable") {
                function.volatility = Volatility::Immutable;
            } else if self.word("as") {
                function.source = self.text()?;
            } else {
                return Err(self.wrong());
            }
        }
        function.body = body(&language, &function.source)?;
        Ok(Statement::CreateFunction { name, function, exists })
    }

    /// Reads an argument's type, with its name in front or not.
    fn argument(&mut self) -> Result<Type, SqlError> {
        let start = self.at;
        match self.ty() {
            Ok(ty) if matches!(self.peek(), Some(Token::Symbol("," | ")"))) => Ok(ty),
            Ok(_) | Err(_) => {
                self.at = start;
                self.name()?;
                self.ty()
            }
        }
    }
}

/// Reads a function's body. Of PL/pgSQL there is `begin … end` around plain statements, `perform`
/// and `return`.
fn body(language: &str, source: &str) -> Result<Vec<Statement>, SqlError> {
    match language {
        "sql" => parse(source),
        "plpgsql" => block(source),
        "" => Err(SqlError::new("42P13", "no language specified")),
        other => Err(SqlError::new("42704", format!("language \"{other}\" does not exist"))),
    }
}

fn block(source: &str) -> Result<Vec<Statement>, SqlError> {
    let mut words = tokens(source)?;
    while words.last() == Some(&Token::Symbol(";")) {
        words.pop();
    }
    let is = |token: Option<&Token>, word: &str| matches!(token, Some(Token::Word(found)) if found == word);
    if !is(words.first(), "begin") || !is(words.last(), "end") {
        return Err(SqlError::unsupported("PL/pgSQL beyond begin and end"));
    }
    words.pop();
    words.remove(0);
    let mut parser = Parser { tokens: Vec::new(), at: 0 };
    for statement in words.split(|token| *token == Token::Symbol(";")) {
        let mut statement = statement.to_vec();
        if is(statement.first(), "return") && statement.len() == 1 {
            continue;
        }
        if let Some(first) = statement.first_mut()
            && (is(Some(first), "return") || is(Some(first), "perform"))
        {
            *first = Token::Word("select".to_owned());
        }
        parser.tokens.extend(statement);
        parser.tokens.push(Token::Symbol(";"));
    }
    parser.script()
}
