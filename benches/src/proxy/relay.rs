//! The relay of this source tree: a connection to the primary for every client.

use pgherd_herd::HOST;
use rustix::process::Signal;

use super::{Launch, Place, RunAs, find_own};
use crate::trouble::Trouble;

pub(super) fn launch(place: &Place<'_>) -> Result<Launch, Trouble> {
    let program = find_own("pgherd-relay", "cargo build --release -p pgherd-benches")?;
    let port = Place::port()?;
    let server = place.herd.primary().port();
    let args = [port, server].map(|port| format!("{HOST}:{port}").into()).to_vec();
    Ok(Launch { program, args, port, stop: Signal::TERM, user: RunAs::Caller })
}
