//! What is told of settings, by `SHOW pool_status` and over PCP alike.

use crate::config::{Config, Shown};
use crate::id::BackendId;
use crate::topology::{Role, Topology};

/// Lists name, value and description of everything that is set: Pgpool-II's items in its order, what is
/// set for single nodes or pools behind, then the items of later releases and pgherd's own. `effective`
/// says what is shown of a parameter where somebody has changed it.
pub fn rows<'a>(
    config: &'a Config,
    topology: &Topology,
    effective: impl Fn(&'a Shown) -> &'a Shown,
) -> Vec<[String; 3]> {
    let mut rows = Vec::new();
    let (mut numbered, mut further) = (Vec::new(), Vec::new());
    let mut nodes_are_told = false;
    for shown in config.shown.iter() {
        if is_of_backend(shown) {
            nodes_are_told = true;
            continue;
        }
        let shown = effective(shown);
        let row = [item(shown).to_owned(), shown.status.clone(), shown.about()];
        if shown.node.is_some() {
            numbered.push(row);
        } else if nodes_are_told {
            further.push(row);
        } else {
            let is_last_of_cache = shown.parameter.name == "memqcache_oiddir";
            rows.push(row);
            if is_last_of_cache {
                rows.extend(COUNTERS.map(|row| row.map(str::to_owned)));
            }
        }
    }
    for backend in &config.backends {
        backend_rows(config, topology, backend.id, &mut rows);
    }
    rows.append(&mut numbered);
    rows.append(&mut further);
    rows
}

/// What Pgpool-II counts of its cache, of which there is none yet.
const COUNTERS: [[&str; 3]; 3] = [
    ["memqcache_stats_start_time", "", "when the next two began to count"],
    ["memqcache_no_cache_hits", "0", "reads that were not in the cache"],
    ["memqcache_cache_hits", "0", "reads that were"],
];

/// The name of a row, which in one case is not the parameter's.
fn item(shown: &Shown) -> &str {
    match shown.parameter.name {
        "memqcache_oiddir" => "memqcache_cache_oiddir",
        _ => &shown.name,
    }
}

/// What Pgpool-II shows of each node, in its order.
const OF_NODE: [&str; 8] = [
    "backend_hostname",
    "backend_port",
    "backend_weight",
    "backend_data_directory",
    "backend_status",
    "standby_delay",
    "backend_flag",
    "backend_application_name",
];

fn is_of_backend(shown: &Shown) -> bool {
    shown.node.is_some() && OF_NODE.contains(&shown.parameter.name)
}

/// The rows of one node.
fn backend_rows(config: &Config, topology: &Topology, id: BackendId, rows: &mut Vec<[String; 3]>) {
    let node = topology.node(id);
    for name in OF_NODE {
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
