//! What is told of settings, by `SHOW pool_status` and over PCP alike.

use crate::config::{Config, Shown};
use crate::id::BackendId;
use crate::topology::{Role, Topology};

/// Lists name, value and description of everything that is set, in Pgpool-II's order and pgherd's
/// own behind. `effective` says what is shown of a parameter where somebody has changed it.
pub fn rows<'a>(
    config: &'a Config,
    topology: &Topology,
    effective: impl Fn(&'a Shown) -> &'a Shown,
) -> Vec<[String; 3]> {
    let mut rows = Vec::new();
    let mut own = Vec::new();
    let mut nodes_are_told = false;
    for shown in config.shown.iter() {
        if is_of_backend(shown) {
            nodes_are_told = true;
            continue;
        }
        let shown = effective(shown);
        let row = [shown.name.clone(), shown.status.clone(), shown.about()];
        if nodes_are_told { own.push(row) } else { rows.push(row) }
    }
    for backend in &config.backends {
        backend_rows(config, topology, backend.id, &mut rows);
    }
    rows.append(&mut own);
    rows
}

fn is_of_backend(shown: &Shown) -> bool {
    shown.node.is_some() && shown.parameter.name.starts_with("backend_")
}

/// The rows of one node, in Pgpool-II's order.
fn backend_rows(config: &Config, topology: &Topology, id: BackendId, rows: &mut Vec<[String; 3]>) {
    let node = topology.node(id);
    for name in [
        "backend_hostname",
        "backend_port",
        "backend_weight",
        "backend_data_directory",
        "backend_status",
        "standby_delay",
        "backend_flag",
        "backend_application_name",
    ] {
        let item = format!("{name}{id}");
        let shown = config.shown(&item);
        let (value, about) = match (name, shown) {
            ("backend_status", _) => {
                let word = node.map_or("unused", |node| node.status.word());
                (word.to_owned(), "status of the node".to_owned())
            }
            ("standby_delay", _) => {
                let lag = node.filter(|node| node.role != Role::Primary).and_then(|node| node.lag);
                (lag.unwrap_or(0).to_string(), "bytes that the standby lacks".to_owned())
            }
            (_, Some(shown)) => (shown.status.clone(), shown.about()),
            (_, None) => continue,
        };
        rows.push([item, value, about]);
    }
}
