//! Messages of a backend: how much of a server's is looked at, and what pgherd says to a client.

use bytes::{Bytes, BytesMut};

use super::frame::{Looks, PLAIN, UNKNOWN};
use super::startup::Startup;
use crate::limits;

/// Type bytes of a backend's messages.
pub mod tag {
    /// `Authentication…`.
    pub const AUTHENTICATION: u8 = b'R';
    /// `BackendKeyData`.
    pub const KEY_DATA: u8 = b'K';
    /// `BindComplete`.
    pub const BIND_COMPLETE: u8 = b'2';
    /// `CloseComplete`.
    pub const CLOSE_COMPLETE: u8 = b'3';
    /// `CommandComplete`.
    pub const COMMAND_COMPLETE: u8 = b'C';
    /// `CopyInResponse`.
    pub const COPY_IN: u8 = b'G';
    /// `CopyOutResponse`.
    pub const COPY_OUT: u8 = b'H';
    /// `CopyBothResponse`.
    pub const COPY_BOTH: u8 = b'W';
    /// `CopyData`.
    pub const COPY_DATA: u8 = b'd';
    /// `CopyDone`.
    pub const COPY_DONE: u8 = b'c';
    /// `DataRow`.
    pub const DATA_ROW: u8 = b'D';
    /// `EmptyQueryResponse`.
    pub const EMPTY_QUERY: u8 = b'I';
    /// `ErrorResponse`.
    pub const ERROR: u8 = b'E';
    /// `FunctionCallResponse`.
    pub const FUNCTION_CALL: u8 = b'V';
    /// `NegotiateProtocolVersion`.
    pub const NEGOTIATE: u8 = b'v';
    /// `NoData`.
    pub const NO_DATA: u8 = b'n';
    /// `NoticeResponse`.
    pub const NOTICE: u8 = b'N';
    /// `NotificationResponse`.
    pub const NOTIFICATION: u8 = b'A';
    /// `ParameterDescription`.
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    /// `ParameterStatus`.
    pub const PARAMETER_STATUS: u8 = b'S';
    /// `ParseComplete`.
    pub const PARSE_COMPLETE: u8 = b'1';
    /// `PortalSuspended`.
    pub const PORTAL_SUSPENDED: u8 = b's';
    /// `ReadyForQuery`.
    pub const READY: u8 = b'Z';
    /// `RowDescription`.
    pub const ROW_DESCRIPTION: u8 = b'T';
}

/// Length of a `ReadyForQuery`, header included. A longer one would end an answer before its own
/// last byte has passed.
pub const READY_LEN: usize = 6;

const WHOLE: u32 = limits::SERVER_VIEW_LEN as u32;

/// How much of each of a server's messages must be in view.
#[expect(clippy::indexing_slicing, reason = "a byte is always inside 256 places")]
pub const LOOKS: Looks = {
    let mut looks = [UNKNOWN; 256];
    looks[tag::AUTHENTICATION as usize] = WHOLE;
    looks[tag::KEY_DATA as usize] = WHOLE;
    looks[tag::BIND_COMPLETE as usize] = PLAIN;
    looks[tag::CLOSE_COMPLETE as usize] = 0;
    looks[tag::COMMAND_COMPLETE as usize] = PLAIN;
    looks[tag::COPY_IN as usize] = 0;
    looks[tag::COPY_OUT as usize] = PLAIN;
    looks[tag::COPY_BOTH as usize] = 0;
    looks[tag::COPY_DATA as usize] = PLAIN;
    looks[tag::COPY_DONE as usize] = PLAIN;
    looks[tag::DATA_ROW as usize] = PLAIN;
    looks[tag::EMPTY_QUERY as usize] = PLAIN;
    looks[tag::ERROR as usize] = WHOLE;
    looks[tag::FUNCTION_CALL as usize] = PLAIN;
    looks[tag::NEGOTIATE as usize] = WHOLE;
    looks[tag::NO_DATA as usize] = PLAIN;
    looks[tag::NOTICE as usize] = WHOLE;
    looks[tag::NOTIFICATION as usize] = 0;
    looks[tag::PARAMETER_DESCRIPTION as usize] = PLAIN;
    looks[tag::PARAMETER_STATUS as usize] = WHOLE;
    looks[tag::PARSE_COMPLETE as usize] = 0;
    looks[tag::PORTAL_SUSPENDED as usize] = PLAIN;
    looks[tag::READY as usize] = 1;
    looks[tag::ROW_DESCRIPTION as usize] = PLAIN;
    looks
};

/// The same where rows are read, not passed on.
#[expect(clippy::indexing_slicing, reason = "a byte is always inside 256 places")]
pub const READING_LOOKS: Looks = {
    let mut looks = LOOKS;
    looks[tag::DATA_ROW as usize] = WHOLE;
    looks
};

/// What `ReadyForQuery` said of the transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TxStatus {
    /// No transaction block.
    #[default]
    Idle,
    /// In a transaction block.
    Open,
    /// In a transaction block that failed.
    Failed,
}

impl TxStatus {
    /// Reads the byte of a `ReadyForQuery`.
    #[must_use]
    pub const fn read(byte: u8) -> Option<Self> {
        match byte {
            b'I' => Some(Self::Idle),
            b'T' => Some(Self::Open),
            b'E' => Some(Self::Failed),
            _ => None,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::Open => b'T',
            Self::Failed => b'E',
        }
    }
}

/// Composes messages for a client, one after the other.
#[derive(Debug, Default)]
pub struct Composer {
    bytes: BytesMut,
}

impl Composer {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns everything composed so far.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.bytes.freeze()
    }

    /// Adds a message: `fill` writes its body.
    pub fn message(&mut self, tag: u8, fill: impl FnOnce(&mut BytesMut)) -> &mut Self {
        self.bytes.extend_from_slice(&[tag]);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        fill(&mut self.bytes);
        let len = u32::try_from(self.bytes.len() - at).unwrap_or(u32::MAX);
        if let Some(word) = self.bytes.get_mut(at..at + 4) {
            word.copy_from_slice(&len.to_be_bytes());
        }
        self
    }

    /// Adds a message without a body.
    pub fn bare(&mut self, tag: u8) -> &mut Self {
        self.message(tag, |_| ())
    }

    /// Adds an `Authentication…` with its code and what follows it.
    pub fn authentication(&mut self, code: u32, rest: &[u8]) -> &mut Self {
        self.message(tag::AUTHENTICATION, |body| {
            body.extend_from_slice(&code.to_be_bytes());
            body.extend_from_slice(rest);
        })
    }

    /// Adds a `ParameterStatus`.
    pub fn parameter_status(&mut self, name: &[u8], value: &[u8]) -> &mut Self {
        self.message(tag::PARAMETER_STATUS, |body| {
            put_text(body, name);
            put_text(body, value);
        })
    }

    /// Adds a `BackendKeyData`.
    pub fn key_data(&mut self, process: u32, secret: &[u8]) -> &mut Self {
        self.message(tag::KEY_DATA, |body| {
            body.extend_from_slice(&process.to_be_bytes());
            body.extend_from_slice(secret);
        })
    }

    /// Adds a `NegotiateProtocolVersion`: the latest minor version spoken here, and the options
    /// that are not known here.
    pub fn negotiate(&mut self, startup: &Startup) -> &mut Self {
        self.message(tag::NEGOTIATE, |body| {
            body.extend_from_slice(&startup.version.to_be_bytes());
            let count = u32::try_from(startup.options_unknown.len()).unwrap_or(u32::MAX);
            body.extend_from_slice(&count.to_be_bytes());
            for option in &startup.options_unknown {
                put_text(body, option);
            }
        })
    }

    /// Adds a `ReadyForQuery`.
    pub fn ready(&mut self, status: TxStatus) -> &mut Self {
        self.message(tag::READY, |body| body.extend_from_slice(&[status.byte()]))
    }

    /// Adds an `ErrorResponse` or a `NoticeResponse` with the fields that are not empty.
    pub fn report(&mut self, tag: u8, report: &Report<'_>) -> &mut Self {
        self.message(tag, |body| {
            for (field, value) in [
                (b'S', report.severity),
                (b'V', report.severity),
                (b'C', report.code),
                (b'M', report.message),
                (b'D', report.detail),
                (b'H', report.hint),
            ] {
                if !value.is_empty() {
                    body.extend_from_slice(&[field]);
                    put_text(body, value.as_bytes());
                }
            }
            body.extend_from_slice(&[0]);
        })
    }

    /// Adds a `RowDescription` of text columns.
    pub fn row_description(&mut self, columns: &[&str]) -> &mut Self {
        self.message(tag::ROW_DESCRIPTION, |body| {
            let count = u16::try_from(columns.len()).unwrap_or(u16::MAX);
            body.extend_from_slice(&count.to_be_bytes());
            for (column, number) in columns.iter().zip(0u16..) {
                put_text(body, column.as_bytes());
                body.extend_from_slice(&[0; 4]); // of no table
                body.extend_from_slice(&number.to_be_bytes());
                body.extend_from_slice(&25u32.to_be_bytes()); // type text
                body.extend_from_slice(&(-1i16).to_be_bytes()); // of variable length
                body.extend_from_slice(&(-1i32).to_be_bytes()); // without modifier
                body.extend_from_slice(&0u16.to_be_bytes()); // in text format
            }
        })
    }

    /// Adds a `DataRow` of texts.
    pub fn data_row<'a>(&mut self, values: impl ExactSizeIterator<Item = &'a str>) -> &mut Self {
        self.message(tag::DATA_ROW, |body| {
            let count = u16::try_from(values.len()).unwrap_or(u16::MAX);
            body.extend_from_slice(&count.to_be_bytes());
            for value in values {
                let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
                body.extend_from_slice(&len.to_be_bytes());
                body.extend_from_slice(value.as_bytes());
            }
        })
    }

    /// Adds a `CommandComplete`.
    pub fn command_complete(&mut self, command: &str) -> &mut Self {
        self.message(tag::COMMAND_COMPLETE, |body| put_text(body, command.as_bytes()))
    }
}

/// What an error or a notice tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report<'a> {
    /// `ERROR`, `FATAL`, `NOTICE`…
    pub severity: &'a str,
    /// The SQLSTATE.
    pub code: &'a str,
    /// What happened.
    pub message: &'a str,
    /// More of it.
    pub detail: &'a str,
    /// The way out.
    pub hint: &'a str,
}

fn put_text(body: &mut BytesMut, text: &[u8]) {
    // A NUL would end the text early, and let its rest pass for another field.
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    body.extend_from_slice(text.get(..end).unwrap_or_default());
    body.extend_from_slice(&[0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::error::Fields;

    #[test]
    fn an_error_reads_as_composed() {
        let mut composer = Composer::new();
        let report = Report {
            severity: "FATAL",
            code: "28P01",
            message: "no\0way",
            detail: "",
            hint: "another",
        };
        composer.report(tag::ERROR, &report).ready(TxStatus::Failed);
        let bytes = composer.finish();
        let len = bytes.len();
        assert_eq!(&bytes[len - 6..], b"Z\0\0\0\x05E");
        let fields = Fields::read(&bytes[5..len - 6]);
        assert!(fields.is_fatal());
        assert_eq!((fields.code, fields.message), (&b"28P01"[..], &b"no"[..]));
        assert_eq!((fields.detail, fields.hint), (&b""[..], &b"another"[..]));
    }
}
