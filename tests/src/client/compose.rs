//! What a client can say (PostgreSQL docs, "Message Formats"). Several are sent as one by
//! putting them together: `[parse(…), sync()].concat()`.

/// `Query`.
#[must_use]
pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', |body| body.text(sql))
}

/// `Parse`, with types for none of the parameters.
#[must_use]
pub fn parse(statement: &str, sql: &str) -> Vec<u8> {
    message(b'P', |body| {
        body.text(statement);
        body.text(sql);
        body.short(0);
    })
}

/// `Bind`, with everything as text.
#[must_use]
pub fn bind(portal: &str, statement: &str, params: &[&str]) -> Vec<u8> {
    message(b'B', |body| {
        body.text(portal);
        body.text(statement);
        body.short(0);
        body.short(params.len());
        for param in params {
            body.value(param.as_bytes());
        }
        body.short(0);
    })
}

/// `Describe` of a prepared statement.
#[must_use]
pub fn describe_statement(statement: &str) -> Vec<u8> {
    named(b'D', b'S', statement)
}

/// `Describe` of a portal.
#[must_use]
pub fn describe_portal(portal: &str) -> Vec<u8> {
    named(b'D', b'P', portal)
}

/// `Close` of a prepared statement.
#[must_use]
pub fn close_statement(statement: &str) -> Vec<u8> {
    named(b'C', b'S', statement)
}

/// `Close` of a portal.
#[must_use]
pub fn close_portal(portal: &str) -> Vec<u8> {
    named(b'C', b'P', portal)
}

/// `Execute`; at most `rows_max` rows, or all of them if it is 0.
#[must_use]
pub fn execute(portal: &str, rows_max: u32) -> Vec<u8> {
    message(b'E', |body| {
        body.text(portal);
        body.word(rows_max);
    })
}

/// `Flush`.
#[must_use]
pub fn flush() -> Vec<u8> {
    message(b'H', |_| ())
}

/// `Sync`.
#[must_use]
pub fn sync() -> Vec<u8> {
    message(b'S', |_| ())
}

/// What drivers send for one statement, without a `Sync`.
#[must_use]
pub fn statement(sql: &str, params: &[&str]) -> Vec<u8> {
    [parse("", sql), bind("", "", params), describe_portal(""), execute("", 0)].concat()
}

/// `CopyData`.
#[must_use]
pub fn copy_data(data: &[u8]) -> Vec<u8> {
    message(b'd', |body| body.0.extend_from_slice(data))
}

/// `CopyDone`.
#[must_use]
pub fn copy_done() -> Vec<u8> {
    message(b'c', |_| ())
}

/// `CopyFail`.
#[must_use]
pub fn copy_fail(reason: &str) -> Vec<u8> {
    message(b'f', |body| body.text(reason))
}

/// `FunctionCall`, with everything as text.
#[must_use]
pub fn function_call(function: u32, args: &[&str]) -> Vec<u8> {
    message(b'F', |body| {
        body.word(function);
        body.short(0);
        body.short(args.len());
        for arg in args {
            body.value(arg.as_bytes());
        }
        body.short(0);
    })
}

/// `Terminate`.
#[must_use]
pub fn terminate() -> Vec<u8> {
    message(b'X', |_| ())
}

/// `PasswordMessage`, and with it `SASLResponse`.
#[must_use]
pub fn password(bytes: &[u8]) -> Vec<u8> {
    message(b'p', |body| body.0.extend_from_slice(bytes))
}

/// `CancelRequest`.
#[must_use]
pub fn cancel(process: u32, secret: &[u8]) -> Vec<u8> {
    first_packet(CANCEL_CODE, |body| {
        body.word(process);
        body.0.extend_from_slice(secret);
    })
}

/// `SSLRequest`.
#[must_use]
pub fn ssl_request() -> Vec<u8> {
    first_packet(SSL_CODE, |_| ())
}

/// `GSSENCRequest`.
#[must_use]
pub fn gss_request() -> Vec<u8> {
    first_packet(GSS_CODE, |_| ())
}

/// `StartupMessage`.
#[must_use]
pub fn startup(version: u32, params: &[(String, String)]) -> Vec<u8> {
    first_packet(version, |body| {
        for (name, value) in params {
            body.text(name);
            body.text(value);
        }
        body.0.push(0);
    })
}

/// A message of any type and content, with a true length.
#[must_use]
pub fn raw(tag: u8, content: &[u8]) -> Vec<u8> {
    message(tag, |body| body.0.extend_from_slice(content))
}

fn named(tag: u8, kind: u8, name: &str) -> Vec<u8> {
    message(tag, |body| {
        body.0.push(kind);
        body.text(name);
    })
}

fn message(tag: u8, fill: impl FnOnce(&mut Body)) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(with_len(fill));
    bytes
}

fn first_packet(code: u32, fill: impl FnOnce(&mut Body)) -> Vec<u8> {
    with_len(|body| {
        body.word(code);
        fill(body);
    })
}

fn with_len(fill: impl FnOnce(&mut Body)) -> Vec<u8> {
    let mut body = Body(vec![0; 4]);
    fill(&mut body);
    let len = u32::try_from(body.0.len()).expect("scenarios compose less than 4 GB");
    body.0[..4].copy_from_slice(&len.to_be_bytes());
    body.0
}

struct Body(Vec<u8>);

impl Body {
    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    fn short(&mut self, count: usize) {
        let count = u16::try_from(count).expect("a count of parameters");
        self.0.extend_from_slice(&count.to_be_bytes());
    }

    fn word(&mut self, word: u32) {
        self.0.extend_from_slice(&word.to_be_bytes());
    }

    fn value(&mut self, value: &[u8]) {
        self.word(u32::try_from(value.len()).expect("a parameter's length"));
        self.0.extend_from_slice(value);
    }
}

/// Protocol version 3.0.
pub const VERSION_3_0: u32 = 3 << 16;
const CANCEL_CODE: u32 = (1234 << 16) | 5678;
const SSL_CODE: u32 = (1234 << 16) | 5679;
const GSS_CODE: u32 = (1234 << 16) | 5680;
