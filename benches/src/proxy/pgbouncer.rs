//! PgBouncer, pooling by session, so that it does what the others do.

use std::fmt::Write as _;

use pgherd_herd::{HOST, PASSWORD, USER};
use rustix::process::Signal;

use super::{CONNECTIONS_MAX, Launch, Place, RunAs, find};
use crate::trouble::Trouble;

pub(super) fn launch(place: &Place<'_>) -> Result<Launch, Trouble> {
    let program = find("pgbouncer", "apt-get install pgbouncer")?;
    let port = Place::port()?;
    let users = place.write("userlist.txt", &format!("\"{USER}\" \"{PASSWORD}\"\n"))?;
    let mut text = "[databases]\n".to_owned();
    for (_, server) in place.servers().take(1) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "* = host={HOST} port={server}");
    }
    let _ = write!(
        text,
        "[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = scram-sha-256\nauth_file = {}\npool_mode = session\n\
         default_pool_size = {CONNECTIONS_MAX}\nmax_client_conn = {CONNECTIONS_MAX}\n\
         log_connections = 0\nlog_disconnections = 0\n",
        users.display()
    );
    let config = place.write("pgbouncer.ini", &text)?;
    let args = vec![config.into()];
    Ok(Launch { program, args, port, stop: Signal::TERM, user: RunAs::Servers })
}
