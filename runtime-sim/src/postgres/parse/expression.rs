//! Expressions, by precedence climbing.

use super::Parser;
use crate::postgres::syntax::{Expr, Op};
use crate::postgres::token::Token;
use crate::postgres::value::{SqlError, Type, Value};

/// Operators that bind ever more closely.
const LEVELS: [&[(&str, Op)]; 4] = [
    &[
        ("=", Op::Equal),
        ("<>", Op::Unequal),
        ("!=", Op::Unequal),
        ("<=", Op::LessEqual),
        (">=", Op::GreaterEqual),
        ("<", Op::Less),
        (">", Op::Greater),
    ],
    &[("||", Op::Concat)],
    &[("+", Op::Add), ("-", Op::Subtract)],
    &[("*", Op::Multiply), ("/", Op::Divide), ("%", Op::Modulo)],
];

impl Parser {
    /// Reads an expression.
    pub(super) fn expression(&mut self) -> Result<Expr, SqlError> {
        let mut left = self.conjunction()?;
        while self.word("or") {
            left = binary(Op::Or, left, self.conjunction()?);
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Expr, SqlError> {
        let mut left = self.negation()?;
        while self.word("and") {
            left = binary(Op::And, left, self.negation()?);
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Expr, SqlError> {
        if self.word("not") {
            return Ok(Expr::Not(Box::new(self.negation()?)));
        }
        let mut left = self.level(0)?;
        while self.word("is") {
            let not = self.word("not");
            self.expect_word("null")?;
            left = Expr::IsNull(Box::new(left));
            if not {
                left = Expr::Not(Box::new(left));
            }
        }
        if self.word("between") {
            let low = self.level(1)?;
            self.expect_word("and")?;
            let high = self.level(1)?;
            let above = binary(Op::GreaterEqual, left.clone(), low);
            left = binary(Op::And, above, binary(Op::LessEqual, left, high));
        } else if self.word("in") {
            self.expect_symbol("(")?;
            let choices = self.list(Self::expression)?;
            self.expect_symbol(")")?;
            let equals = choices.into_iter().map(|one| binary(Op::Equal, left.clone(), one));
            let any = equals.reduce(|any, one| binary(Op::Or, any, one));
            left = any.ok_or_else(|| self.wrong())?;
        }
        Ok(left)
    }

    fn level(&mut self, level: usize) -> Result<Expr, SqlError> {
        let Some(operators) = LEVELS.get(level) else { return self.postfix() };
        let mut left = self.level(level + 1)?;
        while let Some((_, op)) = operators.iter().find(|(symbol, _)| self.symbol(symbol)) {
            left = binary(*op, left, self.level(level + 1)?);
        }
        Ok(left)
    }

    fn postfix(&mut self) -> Result<Expr, SqlError> {
        if self.symbol("-") {
            let zero = Expr::Literal(Value::Int(0), Type::Int4);
            return Ok(binary(Op::Subtract, zero, self.postfix()?));
        }
        let mut expr = self.primary()?;
        while self.symbol("::") {
            expr = Expr::Cast(Box::new(expr), self.ty()?);
        }
        Ok(expr)
    }

    fn primary(&mut self) -> Result<Expr, SqlError> {
        let text = |text: &str| Expr::Literal(Value::Text(text.to_owned()), Type::Text);
        match self.advance() {
            Some(Token::Number(number)) => match number.parse::<i64>() {
                Ok(value) if i32::try_from(value).is_ok() => {
                    Ok(Expr::Literal(Value::Int(value), Type::Int4))
                }
                Ok(value) => Ok(Expr::Literal(Value::Int(value), Type::Int8)),
                Err(_) => Ok(text(&number)),
            },
            Some(Token::Text(value)) => Ok(text(&value)),
            Some(Token::Param(number)) => Ok(Expr::Param(number)),
            Some(Token::Symbol("(")) => {
                let inside = self.expression()?;
                self.expect_symbol(")")?;
                Ok(inside)
            }
            Some(Token::Quoted(name)) => self.after_name(name),
            Some(Token::Word(word)) => match word.as_str() {
                "null" => Ok(Expr::Literal(Value::Null, Type::Text)),
                "true" => Ok(Expr::Literal(Value::Bool(true), Type::Bool)),
                "false" => Ok(Expr::Literal(Value::Bool(false), Type::Bool)),
                "current_user" | "session_user" | "user" => Ok(Expr::Call(word, Vec::new())),
                "cast" => {
                    self.expect_symbol("(")?;
                    let inside = self.expression()?;
                    self.expect_word("as")?;
                    let ty = self.ty()?;
                    self.expect_symbol(")")?;
                    Ok(Expr::Cast(Box::new(inside), ty))
                }
                "from" | "where" | "select" | "order" | "limit" | "group" | "into" => {
                    self.at -= 1;
                    Err(self.wrong())
                }
                _ => self.after_name(word),
            },
            Some(Token::Symbol(_)) | None => {
                self.at -= 1;
                Err(self.wrong())
            }
        }
    }

    /// After a name: a call, a column of a table, or a column.
    fn after_name(&mut self, name: String) -> Result<Expr, SqlError> {
        if self.symbol(".") {
            let name = self.name()?;
            return self.after_name(name);
        }
        if !self.symbol("(") {
            return Ok(Expr::Column(name));
        }
        let mut arguments = Vec::new();
        if !self.symbol("*") && !matches!(self.peek(), Some(Token::Symbol(")"))) {
            arguments = self.list(Self::expression)?;
        }
        self.expect_symbol(")")?;
        Ok(Expr::Call(name, arguments))
    }

    /// Reads a type's name, with what may follow it.
    pub(super) fn ty(&mut self) -> Result<Type, SqlError> {
        let name = self.name()?;
        let Some(ty) = Type::named(&name) else {
            return Err(SqlError::new("42704", format!("type \"{name}\" does not exist")));
        };
        let _ = self.word("varying") || self.word("precision");
        if self.symbol("(") {
            while !self.symbol(")") {
                self.advance().ok_or_else(|| SqlError::syntax("("))?;
            }
        }
        Ok(ty)
    }
}

fn binary(op: Op, left: Expr, right: Expr) -> Expr {
    Expr::Binary(op, Box::new(left), Box::new(right))
}
