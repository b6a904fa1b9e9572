//! PgBouncer, pooling as the others do.

use std::fmt::Write as _;

use pgherd_herd::{HOST, PASSWORD, USER};
use rustix::process::Signal;

use super::{Launch, Layout, METHOD, Place, RunAs, find};
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
    let Layout { pooling, connections_max, clients_max, .. } = place.layout;
    let _ = write!(
        text,
        "[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = {METHOD}\nauth_file = {}\npool_mode = {}\n\
         default_pool_size = {connections_max}\nmax_client_conn = {clients_max}\n\
         listen_backlog = 4096\nlog_connections = 0\nlog_disconnections = 0\n",
        users.display(),
        pooling.name(),
    );
    let config = place.write("pgbouncer.ini", &text)?;
    let args = vec![config.into()];
    Ok(Launch { program, args, port, stop: Signal::TERM, user: RunAs::Servers })
}
