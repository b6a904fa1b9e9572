//! Lends files to the core's reader of configurations.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgherd_core::config::{Config, Files, KeyFault, KeyFile, Note, Rejected, load};

/// The files of this machine.
pub(crate) struct Disk {
    key_file: Option<PathBuf>,
    pcp_file: Option<PathBuf>,
}

impl Disk {
    /// Lends them, with the key file that is named or found.
    pub(crate) fn new(named: Option<&Path>) -> Self {
        Self { key_file: key_file(named), pcp_file: None }
    }

    /// The same with a file of the users of PCP that is named on the command line.
    pub(crate) fn with_pcp_file(self, pcp_file: Option<&Path>) -> Self {
        Self { pcp_file: pcp_file.map(Path::to_path_buf), ..self }
    }
}

/// Finds the key file: the one named, else `$PGPOOLKEYFILE`, else `~/.pgpoolkey`, as in Pgpool-II.
pub(crate) fn key_file(named: Option<&Path>) -> Option<PathBuf> {
    let from_environment = || std::env::var_os("PGPOOLKEYFILE").map(PathBuf::from);
    let from_home = || {
        let home = std::env::var_os("HOME")?;
        let path = Path::new(&home).join(".pgpoolkey");
        path.exists().then_some(path)
    };
    named.map(Path::to_path_buf).or_else(from_environment).or_else(from_home)
}

impl Files for Disk {
    fn read(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }

    fn key_file(&self) -> Option<KeyFile> {
        let path = self.key_file.as_ref()?;
        Some(KeyFile { path: path.display().to_string(), text: read_key(path) })
    }

    fn pcp_file(&self, path: &str) -> Option<String> {
        let beside = || Some(Path::new(path).with_file_name("pcp.conf")).filter(|it| it.exists());
        let file = self.pcp_file.clone().or_else(beside)?;
        Some(file.display().to_string())
    }
}

fn read_key(path: &Path) -> Result<String, KeyFault> {
    use std::os::unix::fs::PermissionsExt as _;
    let unreadable = |error: std::io::Error| KeyFault::Unreadable(error.to_string());
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyFault::ReadableByOthers);
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// Reads a configuration, with the number of worker threads resolved.
pub(crate) fn read(path: &Path, disk: &Disk) -> Result<(Config, Vec<Note>), Rejected> {
    let loaded = load(&path.display().to_string(), disk)?;
    Ok((resolve(loaded.config), loaded.notes))
}

/// Keeps what a configuration names where it was, for a process that leaves this directory.
pub(crate) fn anchor(config: &mut Config, directory: &Path) {
    let files = [&mut config.pid_file_name, &mut config.work_dir].into_iter().flatten();
    let sockets = config.unix_socket_directories.iter_mut();
    let sockets = sockets.chain(&mut config.pcp.socket_directories);
    for name in files.chain(sockets).chain([&mut config.log.files.directory]) {
        // An absolute name stays as it is.
        *name = directory.join(&*name).display().to_string();
    }
}

/// Counts the cores, for a configuration that leaves the number of threads open.
pub(crate) fn resolve(mut config: Config) -> Config {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    config.settle_threads(cores);
    config
}

/// Shares a configuration.
pub(crate) fn share(config: Config) -> Arc<Config> {
    Arc::new(config)
}
