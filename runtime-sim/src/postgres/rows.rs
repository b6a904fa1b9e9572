//! Rows of an answer, read back from the wire for who looks at the server from outside.

use pgherd_core::wire::word;

/// Reads the rows of an answer, or its error.
pub(super) fn rows(mut bytes: &[u8]) -> Result<Vec<Vec<String>>, String> {
    let mut rows = Vec::new();
    while let (Some(tag), Some(len)) = (bytes.first(), word(bytes, 1)) {
        let end = (len as usize).saturating_add(1);
        let body = bytes.get(5..end).unwrap_or_default();
        match tag {
            b'D' => rows.push(row(body)),
            b'E' => {
                let fields = pgherd_core::wire::error::Fields::read(body);
                let text = |field| String::from_utf8_lossy(field).into_owned();
                return Err(format!("{}: {}", text(fields.code), text(fields.message)));
            }
            _ => {}
        }
        bytes = bytes.get(end..).unwrap_or_default();
    }
    Ok(rows)
}

fn row(body: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = body.get(2..).unwrap_or_default();
    while let Some(len) = word(rest, 0) {
        let len = if len == u32::MAX { 0 } else { len as usize };
        let value = rest.get(4..len.saturating_add(4)).unwrap_or_default();
        values.push(String::from_utf8_lossy(value).into_owned());
        rest = rest.get(len.saturating_add(4)..).unwrap_or_default();
    }
    values
}
