//! What a server can say, read strictly (PostgreSQL docs, "Message Formats").

use std::fmt;

/// One message of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// `Authentication…`.
    Authentication(Request),
    /// `BackendKeyData`.
    BackendKeyData(u32, Vec<u8>),
    /// `BindComplete`.
    BindComplete,
    /// `CloseComplete`.
    CloseComplete,
    /// `CommandComplete`.
    CommandComplete(String),
    /// `CopyData`.
    CopyData(Vec<u8>),
    /// `CopyDone`.
    CopyDone,
    /// `CopyInResponse`.
    CopyIn,
    /// `CopyOutResponse`.
    CopyOut,
    /// `DataRow`; none is a null.
    DataRow(Vec<Option<Vec<u8>>>),
    /// `EmptyQueryResponse`.
    EmptyQuery,
    /// `ErrorResponse`.
    Error(Fields),
    /// `FunctionCallResponse`; none is a null.
    FunctionResult(Option<Vec<u8>>),
    /// `NegotiateProtocolVersion`.
    Negotiate(u32, Vec<String>),
    /// `NoData`.
    NoData,
    /// `NoticeResponse`.
    Notice(Fields),
    /// `NotificationResponse`.
    Notification(u32, String, String),
    /// `ParameterDescription`: the types.
    ParameterDescription(Vec<u32>),
    /// `ParameterStatus`.
    ParameterStatus(String, String),
    /// `ParseComplete`.
    ParseComplete,
    /// `PortalSuspended`.
    PortalSuspended,
    /// `ReadyForQuery`: the status byte.
    ReadyForQuery(u8),
    /// `RowDescription`: names and types of the columns.
    RowDescription(Vec<(String, u32)>),
}

/// What a server asks for during a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Nothing more.
    Ok,
    /// The password in clear text.
    CleartextPassword,
    /// A digest with this salt.
    Md5Password([u8; 4]),
    /// One of these mechanisms.
    Sasl(Vec<String>),
    /// The next message of the mechanism.
    SaslContinue(Vec<u8>),
    /// The last message of the mechanism.
    SaslFinal(Vec<u8>),
}

/// The fields of an error or a notice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(u8, String)>);

impl Fields {
    /// Finds a field; empty if there is none.
    #[must_use]
    pub fn get(&self, field: u8) -> &str {
        self.0.iter().find(|(f, _)| *f == field).map_or("", |(_, value)| value)
    }

    /// The SQLSTATE.
    #[must_use]
    pub fn code(&self) -> &str {
        self.get(b'C')
    }

    /// The primary message.
    #[must_use]
    pub fn message(&self) -> &str {
        self.get(b'M')
    }

    /// Tells whether the connection ends with it.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self.get(b'V'), "FATAL" | "PANIC")
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.get(b'S'), self.code(), self.message())?;
        let detail = self.get(b'D');
        if detail.is_empty() { Ok(()) } else { write!(f, " ({detail})") }
    }
}

/// Reads one message.
///
/// # Errors
/// No server sends such a message.
pub fn parse(tag: u8, body: &[u8]) -> Result<Message, String> {
    let mut rest = Rest(body);
    let message = read(tag, &mut rest).ok_or_else(|| {
        format!("malformed message {:?} of {} bytes", char::from(tag), body.len())
    })?;
    if rest.0.is_empty() {
        Ok(message)
    } else {
        Err(format!("{} bytes too many at the end of {message:?}", rest.0.len()))
    }
}

fn read(tag: u8, rest: &mut Rest<'_>) -> Option<Message> {
    Some(match tag {
        b'R' => Message::Authentication(request(rest)?),
        b'K' => Message::BackendKeyData(rest.word()?, rest.all()),
        b'2' => Message::BindComplete,
        b'3' => Message::CloseComplete,
        b'C' => Message::CommandComplete(rest.text()?),
        b'd' => Message::CopyData(rest.all()),
        b'c' => Message::CopyDone,
        b'G' => rest.copy_response().map(|()| Message::CopyIn)?,
        b'H' => rest.copy_response().map(|()| Message::CopyOut)?,
        b'D' => Message::DataRow(rest.values()?),
        b'I' => Message::EmptyQuery,
        b'E' => Message::Error(rest.fields()?),
        b'V' => Message::FunctionResult(rest.value()?),
        b'v' => Message::Negotiate(rest.word()?, rest.names()?),
        b'n' => Message::NoData,
        b'N' => Message::Notice(rest.fields()?),
        b'A' => Message::Notification(rest.word()?, rest.text()?, rest.text()?),
        b't' => Message::ParameterDescription(rest.types()?),
        b'S' => Message::ParameterStatus(rest.text()?, rest.text()?),
        b'1' => Message::ParseComplete,
        b's' => Message::PortalSuspended,
        b'Z' => Message::ReadyForQuery(rest.byte().filter(|status| b"ITE".contains(status))?),
        b'T' => Message::RowDescription(rest.columns()?),
        _ => return None,
    })
}

fn request(rest: &mut Rest<'_>) -> Option<Request> {
    Some(match rest.word()? {
        0 => Request::Ok,
        3 => Request::CleartextPassword,
        5 => Request::Md5Password(rest.take(4)?.try_into().ok()?),
        10 => {
            let mut mechanisms = Vec::new();
            loop {
                match rest.text()? {
                    end if end.is_empty() => break,
                    mechanism => mechanisms.push(mechanism),
                }
            }
            Request::Sasl(mechanisms)
        }
        11 => Request::SaslContinue(rest.all()),
        12 => Request::SaslFinal(rest.all()),
        _ => return None,
    })
}

/// What of a body has not been read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn all(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn word(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let len = self.0.iter().position(|byte| *byte == 0)?;
        let text = String::from_utf8(self.take(len)?.to_vec()).ok()?;
        self.byte()?;
        Some(text)
    }

    fn value(&mut self) -> Option<Option<Vec<u8>>> {
        match self.word()? {
            u32::MAX => Some(None),
            len => Some(Some(self.take(usize::try_from(len).ok()?)?.to_vec())),
        }
    }

    fn values(&mut self) -> Option<Vec<Option<Vec<u8>>>> {
        (0..self.short()?).map(|_| self.value()).collect()
    }

    fn types(&mut self) -> Option<Vec<u32>> {
        (0..self.short()?).map(|_| self.word()).collect()
    }

    fn names(&mut self) -> Option<Vec<String>> {
        (0..self.word()?).map(|_| self.text()).collect()
    }

    fn columns(&mut self) -> Option<Vec<(String, u32)>> {
        (0..self.short()?)
            .map(|_| {
                let name = self.text()?;
                self.take(6)?;
                let kind = self.word()?;
                self.take(8)?;
                Some((name, kind))
            })
            .collect()
    }

    fn copy_response(&mut self) -> Option<()> {
        self.byte().filter(|format| *format <= 1)?;
        for _ in 0..self.short()? {
            self.short().filter(|format| *format <= 1)?;
        }
        Some(())
    }

    /// Every error and notice has a severity, a SQLSTATE of five characters and a message.
    fn fields(&mut self) -> Option<Fields> {
        let mut fields = Fields::default();
        loop {
            match self.byte()? {
                0 => break,
                field => fields.0.push((field, self.text()?)),
            }
        }
        let complete = !fields.get(b'S').is_empty()
            && !fields.get(b'V').is_empty()
            && fields.code().len() == 5
            && !fields.message().is_empty();
        complete.then_some(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_to_the_byte() {
        let cases: &[(&str, u8, &[u8], Option<Message>)] = &[
            ("a tag", b'C', b"SELECT 1\0", Some(Message::CommandComplete("SELECT 1".into()))),
            ("a tag that does not end", b'C', b"SELECT 1", None),
            ("bytes too many", b'Z', b"II", None),
            ("no such status", b'Z', b"X", None),
            (
                "a null and a text",
                b'D',
                b"\0\x02\xff\xff\xff\xff\0\0\0\x01a",
                Some(Message::DataRow(vec![None, Some(b"a".to_vec())])),
            ),
            ("a value longer than its row", b'D', b"\0\x01\0\0\0\x02a", None),
            ("an error without a code", b'E', b"SERROR\0VERROR\0Mno\0\0", None),
            ("an error without an end", b'E', b"SERROR\0VERROR\0C42601\0Mno\0", None),
            ("no such message", b'@', b"", None),
        ];
        for (name, tag, body, expected) in cases {
            assert_eq!(parse(*tag, body).ok(), *expected, "{name}");
        }
    }
}
