//! pgherd: the release build of this source tree, or what `PGHERD_BIN` names.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pgherd_herd::{HOST, PASSWORD, USER};
use rustix::process::Signal;

use super::{Launch, Layout, METHOD, Place, Placement, RunAs, find_own};
use crate::trouble::Trouble;

pub(super) fn launch(place: &Place<'_>, runtime: &'static str) -> Result<Launch, Trouble> {
    let program = find()?;
    if !has(&program, runtime)? {
        return Err(Trouble::Runtime(runtime));
    }
    let port = Place::port()?;
    let Layout { pooling, connections_max, clients_max, worker_threads, .. } = place.layout;
    let mut text = format!(
        "listen_addresses = \"{HOST}\"\nport = {port}\nunix_socket_directories = \"\"\n\
         sr_check_user = \"{USER}\"\nauth_method = \"{METHOD}\"\npool_mode = \"{}\"\n\
         pool_size_max = {connections_max}\nclient_max = {clients_max}\n",
        pooling.name(),
    );
    if let Some(count) = worker_threads {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "worker_threads = {count}");
    }
    if place.layout.placement == Placement::Pinned {
        text.push_str("cpu_affinity = \"auto\"\n");
    }
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
    let runtime = ["--runtime".into(), runtime.into()];
    let mut args = vec!["run".into(), "--config".into(), config.into()];
    args.extend(runtime);
    // As the caller, because the servers' user may not reach the source tree.
    Ok(Launch { program, args, port, stop: Signal::INT, user: RunAs::Caller })
}

/// Finds the program.
fn find() -> Result<PathBuf, Trouble> {
    match std::env::var_os("PGHERD_BIN") {
        Some(path) => std::path::absolute(&path).map_err(Trouble::io("find", path.as_ref())),
        None => find_own("pgherd", "cargo build --release -p pgherd, or set PGHERD_BIN"),
    }
}

/// Tells whether a build has a runtime: those that it has are in its help.
fn has(program: &Path, runtime: &str) -> Result<bool, Trouble> {
    let help = Command::new(program).args(["run", "--help"]).stdin(Stdio::null()).output();
    let help = help.map_err(Trouble::io("run", program))?;
    let text = String::from_utf8_lossy(&help.stdout);
    Ok(text.split(|c: char| !c.is_alphanumeric()).any(|word| word == runtime))
}
