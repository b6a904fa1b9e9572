//! Pgpool-II in streaming replication mode, as its tutorial has it, without the watchdog.

use std::fmt::Write as _;

use pgherd_herd::{HOST, PASSWORD, USER};
use rustix::process::Signal;

use super::{CONNECTIONS_MAX, Launch, METHOD, Place, RunAs, find};
use crate::trouble::Trouble;

pub(super) fn launch(place: &Place<'_>) -> Result<Launch, Trouble> {
    let program = find("pgpool", "apt-get install pgpool2 postgresql-15-pgpool2")?;
    let (port, pcp_port) = (Place::port()?, Place::port()?);
    let directory = place.directory.display();
    let mut text = format!(
        "backend_clustering_mode = 'streaming_replication'\nlisten_addresses = '{HOST}'\n\
         port = {port}\npcp_listen_addresses = '{HOST}'\npcp_port = {pcp_port}\n\
         unix_socket_directories = '{directory}'\npcp_socket_dir = '{directory}'\n\
         wd_ipc_socket_dir = '{directory}'\nlogdir = '{directory}'\nwork_dir = '{directory}'\n\
         pid_file_name = '{directory}/pgpool.pid'\nenable_pool_hba = on\n\
         pool_passwd = '{directory}/pool_passwd'\nnum_init_children = {CONNECTIONS_MAX}\n\
         max_pool = 1\nload_balance_mode = on\nuse_watchdog = off\nhealth_check_period = 0\n\
         sr_check_period = 10\nsr_check_user = '{USER}'\nsr_check_password = '{PASSWORD}'\n\
         sr_check_database = 'postgres'\nlog_min_messages = warning\n"
    );
    for (id, (name, server)) in place.servers().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "backend_hostname{id} = '{HOST}'\nbackend_port{id} = {server}\n\
             backend_weight{id} = 1\nbackend_flag{id} = 'ALLOW_TO_FAILOVER'\n\
             backend_application_name{id} = '{name}'\n"
        );
    }
    let config = place.write("pgpool.conf", &text)?;
    let hba = place.write("pool_hba.conf", &format!("host all all {HOST}/32 {METHOD}\n"))?;
    place.write("pool_passwd", &format!("{USER}:TEXT{PASSWORD}\n"))?;
    let pcp = place.write("pcp.conf", "")?;
    // In the foreground, without the state of an earlier run.
    let args = vec![
        "-n".into(),
        "-D".into(),
        "-f".into(),
        config.into(),
        "-a".into(),
        hba.into(),
        "-F".into(),
        pcp.into(),
    ];
    Ok(Launch { program, args, port, stop: Signal::INT, user: RunAs::Servers })
}
