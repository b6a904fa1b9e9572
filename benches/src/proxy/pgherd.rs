//! pgherd: the release build of this source tree, or what `PGHERD_BIN` names.

use std::fmt::Write as _;
use std::path::PathBuf;

use pgherd_herd::{HOST, PASSWORD, USER};
use rustix::process::Signal;

use super::{Launch, Layout, Place, RunAs};
use crate::trouble::Trouble;

pub(super) fn launch(place: &Place<'_>) -> Result<Launch, Trouble> {
    let program = find()?;
    let port = Place::port()?;
    let Layout { pooling, connections_max, clients_max, method, .. } = place.layout;
    let mut text = format!(
        "listen_addresses = \"{HOST}\"\nport = {port}\nunix_socket_directories = \"\"\n\
         sr_check_user = \"{USER}\"\nauth_method = \"{}\"\npool_mode = \"{}\"\n\
         pool_size_max = {connections_max}\nclient_max = {clients_max}\n",
        method.name(),
        pooling.name(),
    );
    for (name, server) in place.servers() {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[backends]]\nhostname = \"{HOST}\"\nport = {server}\nweight = 1\n\
             application_name = \"{name}\"\n"
        );
    }
    let _ = write!(text, "\n[users]\n{USER} = \"{PASSWORD}\"\n");
    let config = place.write("pgherd.toml", &text)?;
    let args = vec!["run".into(), "--config".into(), config.into()];
    // As the caller, because the servers' user may not reach the source tree.
    Ok(Launch { program, args, port, stop: Signal::INT, user: RunAs::Caller })
}

/// Finds the program beside this one, be that a build for release or not, or in a test's place.
fn find() -> Result<PathBuf, Trouble> {
    if let Some(path) = std::env::var_os("PGHERD_BIN") {
        return std::path::absolute(&path).map_err(Trouble::io("find", path.as_ref()));
    }
    let own = std::env::current_exe().map_err(Trouble::io("find", "this program".as_ref()))?;
    // target/release/pgherd-bench, or target/debug/pgherd-bench.
    own.ancestors()
        .skip(2)
        .map(|directory| directory.join("release/pgherd"))
        .find(|path| path.is_file())
        .ok_or(Trouble::Missing {
            program: "pgherd",
            remedy: "cargo build --release -p pgherd, or set PGHERD_BIN",
        })
}
