//! Copies of nodes' data: how the herd is brought back to what it was, and a node to its herd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::{Herd, READY_LIMIT, base_backup};
use crate::node::{Mode, Node};
use crate::settings;
use crate::trouble::Trouble;

impl Herd {
    /// Keeps a copy of every node's data, for [`Herd::restore`]. All nodes are stopped for it, and
    /// started again.
    ///
    /// # Errors
    /// A node does not stop or start, or there is no room for the copies.
    pub fn keep(&self) -> Result<(), Trouble> {
        self.stop_all(Mode::Fast)?;
        for node in self.nodes() {
            copy(node.data_dir(), &kept(node))?;
        }
        self.start_all()
    }

    /// Brings every node back to what was kept, and starts it.
    ///
    /// # Errors
    /// Nothing was kept, or a node does not stop or start.
    pub fn restore(&self) -> Result<(), Trouble> {
        self.stop_all(Mode::Immediate)?;
        for node in self.nodes() {
            remove(node.data_dir())?;
            copy(&kept(node), node.data_dir())?;
        }
        self.start_all()
    }

    /// Makes node `id` a standby of node `leader`, with a copy of its data, and starts it.
    ///
    /// # Errors
    /// There are no such nodes, or the copy cannot be made.
    pub fn rejoin(&self, id: usize, leader: usize) -> Result<(), Trouble> {
        let node = self.node(id)?;
        node.stop(Mode::Immediate)?;
        remove(node.data_dir())?;
        let slot = settings::slot(id);
        self.psql(
            leader,
            &format!(
                "select pg_create_physical_replication_slot('{slot}', true) where not exists \
                 (select from pg_replication_slots where slot_name = '{slot}')"
            ),
        )?;
        base_backup(&self.launcher, self.node(leader)?, node)?;
        node.start()?;
        node.wait_ready(READY_LIMIT)
    }

    fn start_all(&self) -> Result<(), Trouble> {
        self.nodes().iter().try_for_each(Node::start)?;
        self.nodes().iter().try_for_each(|node| node.wait_ready(READY_LIMIT))
    }
}

/// Where the copy of a node's data is.
fn kept(node: &Node) -> PathBuf {
    node.data_dir().with_file_name("kept")
}

fn remove(directory: &Path) -> Result<(), Trouble> {
    fs::remove_dir_all(directory).map_err(Trouble::io("remove", directory))
}

/// Copies a directory with the owners and the modes of what is in it, which PostgreSQL insists on.
fn copy(from: &Path, to: &Path) -> Result<(), Trouble> {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    match status.map_err(Trouble::io("run", Path::new("cp")))? {
        status if status.success() => Ok(()),
        status => {
            let error = std::io::Error::other(format!("cp -a: {status}"));
            Err(Trouble::io("copy", from)(error))
        }
    }
}
