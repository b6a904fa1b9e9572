//! Bytes to messages and back: the frontend/backend protocol, version 3.
//!
//! Nothing here knows what a message is for. Where it comes from: PostgreSQL docs, chapter
//! "Frontend/Backend Protocol", sections "Message Flow" and "Message Formats".

pub mod backend;
pub mod error;
pub mod frame;
pub mod frontend;
pub mod startup;

use std::ffi::CStr;

/// Reads the NUL-terminated text at the front of `bytes`; returns it and what follows the NUL.
#[must_use]
pub fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // The standard library looks for the NUL word by word.
    let text = CStr::from_bytes_until_nul(bytes).ok()?.to_bytes();
    Some((text, bytes.get(text.len() + 1..)?))
}

/// Reads a 32-bit word in network order at `at`.
#[must_use]
pub fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(word.try_into().ok()?))
}
