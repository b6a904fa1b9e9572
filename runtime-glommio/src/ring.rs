//! Whether this host has what glommio needs, and what to change where it has not.

use std::fmt;
use std::io;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use pgherd_host::trouble::StartError;
use rustix::process::{Resource, getrlimit};

/// Memory that an executor registers for reads and writes of files, of which there are none, in
/// bytes. glommio takes no less.
const IO_MEMORY: usize = 64 * 1024;

/// Memory that a process must be allowed to lock, in bytes: glommio takes no less.
const MEMLOCK_MIN: u64 = 512 * 1024;

/// Submissions that go to the kernel at once. More than one executor gathers between two waits
/// while it is idle, and what does not fit goes in a second call.
const DEPTH: usize = 256;

/// Why there is no ring.
enum Lack {
    /// The kernel or what confines the process does not allow it.
    Denied,
    /// The kernel is too old, or was built without it.
    Unknown,
    /// It may not lock as much memory as it must.
    Memory,
    /// Anything else.
    Other(io::Error),
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str(
                "io_uring is not allowed here; set sysctl kernel.io_uring_disabled=0, or allow \
                 io_uring_setup in the container's seccomp profile",
            ),
            Self::Unknown => f.write_str(
                "the kernel has no io_uring, or less of it than Linux 5.8; run a newer one",
            ),
            Self::Memory => f.write_str(
                "io_uring needs locked memory; raise it with ulimit -l 8192, or with \
                 LimitMEMLOCK=8M in the service's unit",
            ),
            Self::Other(error) => write!(f, "io_uring cannot be used: {error}"),
        }
    }
}

impl Lack {
    fn of(error: io::Error) -> Self {
        let kind = error.kind();
        if kind == io::ErrorKind::PermissionDenied {
            Self::Denied
        } else if kind == io::ErrorKind::Unsupported {
            Self::Unknown
        } else if kind == io::ErrorKind::OutOfMemory {
            Self::Memory
        } else {
            Self::Other(error)
        }
    }
}

/// Tells whether this host has what the runtime needs, by trying.
///
/// # Errors
/// It has no io_uring, or may not lock enough memory. The error says what to change.
pub fn check() -> Result<(), StartError> {
    // A ring that is torn down interrupts system calls of the thread that it was made by.
    let tried = std::thread::Builder::new().name("check".to_owned()).spawn(attempt);
    tried.map_err(StartError::Thread)?.join().unwrap_or_else(|_| Err(refusal(&Lack::Unknown)))
}

fn attempt() -> Result<(), StartError> {
    let lockable = getrlimit(Resource::Memlock).current;
    if lockable.is_some_and(|bytes| bytes < MEMLOCK_MIN) {
        return Err(refusal(&Lack::Memory));
    }
    // glommio itself panics or ends the process where there is no ring to ask.
    let ring = io_uring::IoUring::new(8).map_err(|error| refusal(&Lack::of(error)))?;
    let mut probe = io_uring::Probe::new();
    if ring.submitter().register_probe(&mut probe).is_err() {
        return Err(refusal(&Lack::Unknown));
    }
    executor().map(drop)
}

/// Makes the executor of this thread, which stays on the cores that it is on.
///
/// glommio binds threads too, but it panics where it cannot read what kind of cores there are.
pub(crate) fn executor() -> Result<LocalExecutor, StartError> {
    LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(IO_MEMORY)
        .ring_depth(DEPTH)
        .make()
        .map_err(|error| refusal(&Lack::of(error.into())))
}

fn refusal(lack: &Lack) -> StartError {
    StartError::Runtime(format!("{lack}; or choose --runtime smol"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_what_to_change() {
        let error = |kind: io::ErrorKind| Lack::of(kind.into());
        let cases = [
            ("confined", error(io::ErrorKind::PermissionDenied), "kernel.io_uring_disabled"),
            ("an old kernel", error(io::ErrorKind::Unsupported), "run a newer one"),
            ("no locked memory", error(io::ErrorKind::OutOfMemory), "LimitMEMLOCK"),
            ("little locked memory", Lack::Memory, "ulimit -l"),
            ("anything else", error(io::ErrorKind::BrokenPipe), "cannot be used"),
        ];
        for (name, lack, expected) in cases {
            let line = refusal(&lack).to_string();
            assert!(line.contains(expected), "{name}: {line}");
            assert!(line.contains("--runtime smol") && !line.contains('\n'), "{name}: {line}");
        }
    }
}
