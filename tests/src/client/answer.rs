//! What a server answered to one `Query`, `Sync` or `FunctionCall`.

use super::message::{Fields, Message};

/// Everything up to a `ReadyForQuery`, or up to the end of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The messages in order, without the `ReadyForQuery` and without those that belong to no
    /// answer (`ParameterStatus`, `NotificationResponse`).
    pub messages: Vec<Message>,
    /// The status byte of the `ReadyForQuery`; none if the connection ended instead.
    pub status: Option<u8>,
}

impl Answer {
    pub(super) fn new(messages: Vec<Message>, status: Option<u8>) -> Self {
        Self { messages, status }
    }

    /// The rows of all statements, as text; a null is `NULL`.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<String>> {
        self.messages
            .iter()
            .filter_map(
                |message| {
                    if let Message::DataRow(values) = message { Some(values) } else { None }
                },
            )
            .map(|values| values.iter().map(|value| text(value.as_deref())).collect())
            .collect()
    }

    /// The only value of the only row.
    ///
    /// # Panics
    /// There is another number of values.
    #[must_use]
    pub fn value(&self) -> String {
        let rows = self.rows();
        let [row] = rows.as_slice() else { panic!("not one row: {self:?}") };
        let [value] = row.as_slice() else { panic!("not one column: {self:?}") };
        value.clone()
    }

    /// The names of the columns of the first statement that has some.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let columns = self.messages.iter().find_map(|message| {
            if let Message::RowDescription(columns) = message { Some(columns) } else { None }
        });
        columns.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// The tags of the statements that were completed.
    #[must_use]
    pub fn tags(&self) -> Vec<&str> {
        self.messages.iter().filter_map(tag).collect()
    }

    /// The error, if there is one.
    ///
    /// # Panics
    /// There is more than one.
    #[must_use]
    pub fn error(&self) -> Option<&Fields> {
        let mut errors = self.messages.iter().filter_map(error);
        let first = errors.next();
        assert!(errors.next().is_none(), "more than one error in one answer: {self:?}");
        first
    }

    /// The SQLSTATE of the error; empty if there is none.
    #[must_use]
    pub fn code(&self) -> &str {
        self.error().map_or("", Fields::code)
    }

    /// Tells whether something went wrong: an error, or the end of the connection.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.status.is_none() || self.error().is_some()
    }

    /// Passes the answer on if nothing went wrong.
    ///
    /// # Panics
    /// Something did.
    #[allow(clippy::must_use_candidate, reason = "often nothing more is asked")]
    pub fn good(self) -> Self {
        assert!(!self.failed(), "{}", self.trouble());
        self
    }

    /// The messages of notices.
    #[must_use]
    pub fn notices(&self) -> Vec<&str> {
        self.messages.iter().filter_map(notice).collect()
    }

    /// The copied data, put together.
    #[must_use]
    pub fn copied(&self) -> Vec<u8> {
        self.messages.iter().filter_map(data).flatten().copied().collect()
    }

    /// What went wrong, for a person.
    #[must_use]
    pub fn trouble(&self) -> String {
        match (self.error(), self.status) {
            (Some(fields), _) => fields.to_string(),
            (None, None) => "the connection was closed without a word".into(),
            (None, Some(_)) => "nothing went wrong".into(),
        }
    }

    /// One letter for each message, in order, as in the protocol: `1 2 T D C` and so on.
    #[must_use]
    pub fn shape(&self) -> String {
        self.messages.iter().map(letter).collect()
    }
}

fn text(value: Option<&[u8]>) -> String {
    value.map_or_else(|| "NULL".into(), |value| String::from_utf8_lossy(value).into_owned())
}

fn tag(message: &Message) -> Option<&str> {
    if let Message::CommandComplete(tag) = message { Some(tag) } else { None }
}

fn error(message: &Message) -> Option<&Fields> {
    if let Message::Error(fields) = message { Some(fields) } else { None }
}

fn notice(message: &Message) -> Option<&str> {
    if let Message::Notice(fields) = message { Some(fields.message()) } else { None }
}

fn data(message: &Message) -> Option<&[u8]> {
    if let Message::CopyData(data) = message { Some(data) } else { None }
}

fn letter(message: &Message) -> char {
    match message {
        Message::Authentication(_) => 'R',
        Message::BackendKeyData(..) => 'K',
        Message::BindComplete => '2',
        Message::CloseComplete => '3',
        Message::CommandComplete(_) => 'C',
        Message::CopyData(_) => 'd',
        Message::CopyDone => 'c',
        Message::CopyIn => 'G',
        Message::CopyOut => 'H',
        Message::DataRow(_) => 'D',
        Message::EmptyQuery => 'I',
        Message::Error(_) => 'E',
        Message::FunctionResult(_) => 'V',
        Message::Negotiate(..) => 'v',
        Message::NoData => 'n',
        Message::Notice(_) => 'N',
        Message::Notification(..) => 'A',
        Message::ParameterDescription(_) => 't',
        Message::ParameterStatus(..) => 'S',
        Message::ParseComplete => '1',
        Message::PortalSuspended => 's',
        Message::ReadyForQuery(_) => 'Z',
        Message::RowDescription(_) => 'T',
    }
}
