//! What a client says, as values: they can be sent, and they can be read.

use std::fmt;

use crate::client::compose;

/// One message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    /// `Query`.
    Query(String),
    /// `Parse`: the statement's name, its text, and the types of its parameters.
    Parse(String, String, Vec<u32>),
    /// `Bind`.
    Bind(Bind),
    /// `Describe` of a statement.
    DescribeStatement(String),
    /// `Describe` of a portal.
    DescribePortal(String),
    /// `Execute`: a portal, and how many rows at most; 0 for all.
    Execute(String, u32),
    /// `Close` of a statement.
    CloseStatement(String),
    /// `Close` of a portal.
    ClosePortal(String),
    /// `Flush`.
    Flush,
    /// `Sync`.
    Sync,
    /// `FunctionCall`: the function's number and its arguments as text.
    FunctionCall(u32, Vec<String>),
    /// `CopyData`.
    CopyData(String),
    /// `CopyDone`.
    CopyDone,
    /// `CopyFail`.
    CopyFail(String),
    /// `Terminate`.
    Terminate,
}

/// What a `Bind` has in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bind {
    /// The portal to make.
    pub portal: String,
    /// The statement to make it from.
    pub statement: String,
    /// How the parameters are written: as many as there are, one for all, or none for text.
    pub formats: Vec<u16>,
    /// The parameters; none is a null.
    pub params: Vec<Option<Vec<u8>>>,
    /// How the columns of the result are to be written, likewise.
    pub results: Vec<u16>,
}

impl Saying {
    /// The message as it is sent.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Query(sql) => compose::query(sql),
            Self::Parse(name, sql, types) => {
                let mut body = [name.as_bytes(), b"\0", sql.as_bytes(), b"\0"].concat();
                body.extend(count(types.len()));
                body.extend(types.iter().flat_map(|ty| ty.to_be_bytes()));
                compose::raw(b'P', &body)
            }
            Self::Bind(bind) => bind.bytes(),
            Self::DescribeStatement(name) => compose::describe_statement(name),
            Self::DescribePortal(name) => compose::describe_portal(name),
            Self::Execute(portal, rows_max) => compose::execute(portal, *rows_max),
            Self::CloseStatement(name) => compose::close_statement(name),
            Self::ClosePortal(name) => compose::close_portal(name),
            Self::Flush => compose::flush(),
            Self::Sync => compose::sync(),
            Self::FunctionCall(function, args) => {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                compose::function_call(*function, &args)
            }
            Self::CopyData(data) => compose::copy_data(data.as_bytes()),
            Self::CopyDone => compose::copy_done(),
            Self::CopyFail(reason) => compose::copy_fail(reason),
            Self::Terminate => compose::terminate(),
        }
    }

    /// Tells whether somebody who counts on answers counts on this one's: a `ReadyForQuery`, or the
    /// end of a copy or of the connection.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        matches!(
            self,
            Self::Query(_)
                | Self::Flush
                | Self::Sync
                | Self::FunctionCall(..)
                | Self::CopyDone
                | Self::CopyFail(_)
                | Self::Terminate
        )
    }

    /// Tells whether a server answers it, if all goes well, with a message that ends its part of
    /// the answer: see [`Heard::completes`](super::transcript::Heard::completes).
    #[must_use]
    pub const fn is_answered(&self) -> bool {
        match self {
            Self::Parse(..)
            | Self::Bind(_)
            | Self::DescribeStatement(_)
            | Self::DescribePortal(_)
            | Self::Execute(..)
            | Self::CloseStatement(_)
            | Self::ClosePortal(_) => true,
            Self::Query(_)
            | Self::Flush
            | Self::Sync
            | Self::FunctionCall(..)
            | Self::CopyData(_)
            | Self::CopyDone
            | Self::CopyFail(_)
            | Self::Terminate => false,
        }
    }
}

impl Bind {
    fn bytes(&self) -> Vec<u8> {
        let names = [self.portal.as_bytes(), b"\0", self.statement.as_bytes(), b"\0"];
        let mut body = names.concat();
        body.extend(codes(&self.formats));
        body.extend(count(self.params.len()));
        for param in &self.params {
            let len = param.as_ref().map_or(u32::MAX, |value| {
                u32::try_from(value.len()).expect("parameters are short")
            });
            body.extend(len.to_be_bytes());
            body.extend(param.iter().flatten());
        }
        body.extend(codes(&self.results));
        compose::raw(b'B', &body)
    }
}

fn count(len: usize) -> [u8; 2] {
    u16::try_from(len).expect("a conversation counts to a few").to_be_bytes()
}

fn codes(codes: &[u16]) -> Vec<u8> {
    let codes_bytes = codes.iter().flat_map(|code| code.to_be_bytes());
    count(codes.len()).into_iter().chain(codes_bytes).collect()
}

impl fmt::Display for Saying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(sql) => write!(f, "Query {sql:?}"),
            Self::Parse(name, sql, types) => write!(f, "Parse {name:?} {sql:?} {types:?}"),
            Self::Bind(bind) => {
                let Bind { portal, statement, formats, params, results } = bind;
                write!(f, "Bind {portal:?} {statement:?} ")?;
                for param in params {
                    match param {
                        Some(value) => write!(f, "'{}' ", value.escape_ascii())?,
                        None => write!(f, "null ")?,
                    }
                }
                write!(f, "{formats:?} -> {results:?}")
            }
            Self::DescribeStatement(name) => write!(f, "Describe statement {name:?}"),
            Self::DescribePortal(name) => write!(f, "Describe portal {name:?}"),
            Self::Execute(portal, rows_max) => write!(f, "Execute {portal:?} {rows_max}"),
            Self::CloseStatement(name) => write!(f, "Close statement {name:?}"),
            Self::ClosePortal(name) => write!(f, "Close portal {name:?}"),
            Self::Flush => write!(f, "Flush"),
            Self::Sync => write!(f, "Sync"),
            Self::FunctionCall(function, args) => write!(f, "FunctionCall {function} {args:?}"),
            Self::CopyData(data) => write!(f, "CopyData {data:?}"),
            Self::CopyDone => write!(f, "CopyDone"),
            Self::CopyFail(reason) => write!(f, "CopyFail {reason:?}"),
            Self::Terminate => write!(f, "Terminate"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_composed_as_documented() {
        let bind = Bind {
            portal: "p".into(),
            statement: "s".into(),
            formats: vec![1],
            params: vec![None, Some(b"x".to_vec())],
            results: vec![0, 1],
        };
        let cases: &[(Saying, &[u8])] = &[
            (Saying::Parse("s".into(), "q".into(), vec![23]), b"P\0\0\0\x0es\0q\0\0\x01\0\0\0\x17"),
            (
                Saying::Bind(bind),
                b"B\0\0\0\x1dp\0s\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x01x\
                  \0\x02\0\0\0\x01",
            ),
            (Saying::Execute(String::new(), 7), b"E\0\0\0\x09\0\0\0\0\x07"),
        ];
        for (saying, expected) in cases {
            assert_eq!(saying.bytes(), *expected, "{saying}");
        }
    }
}
