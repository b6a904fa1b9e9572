//! The files in `work_dir` by which nodes are remembered: read at the start, written by a thread of
//! their own whenever something has changed, each as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use pgherd_core::memory::{Memory, PGHERD_STATUS, PGPOOL_STATUS, Texts};

/// What the thread is told: what to write, or that there will be no more.
type Note = Option<Arc<Texts>>;

/// Writes what is to be remembered.
#[derive(Debug)]
pub(crate) struct Keeper {
    notes: Sender<Note>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Begins to keep things in this directory; without one, nothing is kept.
    pub(crate) fn start(directory: Option<&str>) -> io::Result<Self> {
        let (notes, noted) = channel();
        let thread = match directory.map(PathBuf::from) {
            Some(directory) => {
                let thread = std::thread::Builder::new().name("memory".to_owned());
                Some(thread.spawn(move || keep(&directory, &noted))?)
            }
            None => None,
        };
        Ok(Self { notes, thread })
    }

    /// Returns a hand that passes on what is to be kept, and does not wait.
    pub(crate) fn hand(&self) -> impl Fn(Arc<Texts>) + Send + Sync + 'static {
        let notes = self.notes.clone();
        // Without a thread nobody listens.
        move |texts| drop(notes.send(Some(texts)))
    }

    /// Waits until everything is written.
    pub(crate) fn end(self) {
        drop(self.notes.send(None));
        if self.thread.is_some_and(|thread| thread.join().is_err()) {
            log::error!("the thread that writes {PGPOOL_STATUS} has panicked");
        }
    }
}

/// Writes what comes, the last of it where it comes faster than the disk is.
fn keep(directory: &Path, noted: &Receiver<Note>) {
    while let Ok(Some(mut texts)) = noted.recv() {
        let mut is_last = false;
        while let Ok(next) = noted.try_recv() {
            match next {
                Some(next) => texts = next,
                None => is_last = true,
            }
        }
        if let Err(error) = write(directory, &texts) {
            log::error!(
                "{}: {PGPOOL_STATUS} cannot be written: {error}; what is detached now will not be \
                 known at the next start. Let pgherd write to work_dir",
                directory.display()
            );
        }
        if is_last {
            return;
        }
    }
}

/// Writes both files. Ours comes first: it counts only where the other one agrees.
fn write(directory: &Path, texts: &Texts) -> io::Result<()> {
    replace(directory, PGHERD_STATUS, &texts.pgherd_status)?;
    match &texts.pgpool_status {
        Some(text) => replace(directory, PGPOOL_STATUS, text),
        None => Ok(()),
    }
}

/// Puts a file in the place of another, so that a reader finds the one or the other, whenever the
/// power fails.
fn replace(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    // A process of this number may have died here.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Never through a link that somebody else has put there.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(name))?;
    File::open(directory)?.sync_all()
}

/// Reads what was remembered. A file that cannot be read or understood is told of, and ignored: what
/// the servers say counts more.
pub(crate) fn recall(directory: Option<&str>) -> Memory {
    let Some(directory) = directory.map(Path::new) else { return Memory::default() };
    let texts = read(directory, PGPOOL_STATUS)
        .and_then(|pgpool| Ok((pgpool, read(directory, PGHERD_STATUS)?)));
    let memory = texts.and_then(|(pgpool, pgherd)| {
        Memory::read(pgpool.as_deref(), pgherd.as_deref()).map_err(|nonsense| nonsense.to_string())
    });
    memory.unwrap_or_else(|why| {
        log::warn!("{}: {why}; no node is kept out of service for it", directory.display());
        Memory::default()
    })
}

/// Reads a file, if it is there.
fn read(directory: &Path, name: &str) -> Result<Option<String>, String> {
    match fs::read_to_string(directory.join(name)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// Forgets everything.
pub(crate) fn discard(directory: Option<&str>) {
    let Some(directory) = directory.map(Path::new) else { return };
    for name in [PGPOOL_STATUS, PGHERD_STATUS] {
        let path = directory.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::error!("{}: cannot be removed: {error}", path.display());
            }
            Ok(()) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgherd_core::id::BackendId;
    use pgherd_core::memory::Known;

    fn known() -> Known {
        Known { id: BackendId(1), place: Some("localhost:5433".to_owned()) }
    }

    fn texts(is_up: bool) -> Arc<Texts> {
        let mut memory = Memory { detached: [known()].into(), ..Memory::default() };
        memory.note(&[(BackendId(0), is_up), (BackendId(1), false)]);
        Arc::new(memory.texts())
    }

    #[test]
    fn what_is_kept_is_recalled_and_can_be_discarded() {
        let directory = std::env::temp_dir().join(format!("pgherd-memory-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let place = directory.to_str();
        assert_eq!(recall(place), Memory::default());
        let keeper = Keeper::start(place).unwrap();
        let hand = keeper.hand();
        hand(texts(true));
        hand(texts(false));
        keeper.end();
        // The last one at which somebody was up is kept, unless it was never written.
        let kept = fs::read_to_string(directory.join(PGPOOL_STATUS)).unwrap_or_default();
        assert!(matches!(kept.as_str(), "" | "up\ndown\n"), "{kept}");
        write(&directory, &texts(true)).unwrap();
        assert_eq!(recall(place).detached, [known()].into());
        fs::write(directory.join(PGPOOL_STATUS), "\0\0").unwrap();
        assert_eq!(recall(place), Memory::default(), "nonsense is ignored");
        discard(place);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "nothing is left behind");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_an_error() {
        assert!(write(Path::new("/nonexistent"), &texts(true)).is_err());
        assert_eq!(recall(None), Memory::default());
    }
}
