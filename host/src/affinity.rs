//! On which cores the threads of a process run.

use std::fmt;
use std::io;

use pgherd_core::config::{Config, CpuAffinity};
use pgherd_core::limits;
use pgherd_core::message::Peer;

use crate::trouble::StartError;

/// The cores of all threads, in the order in which they are given out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cores(Vec<usize>);

impl Cores {
    /// Finds the cores that are asked for.
    ///
    /// # Errors
    /// The process may not use one of them, or the system binds no threads.
    pub fn find(config: &Config) -> Result<Self, StartError> {
        if matches!(config.cpu_affinity, CpuAffinity::None | CpuAffinity::Unset) {
            return Ok(Self::default());
        }
        let allowed = system::allowed().map_err(StartError::Affinity)?;
        Self(allowed).pick(&config.cpu_affinity)
    }

    /// Picks of these, which are all that there are, the ones that are asked for.
    fn pick(self, affinity: &CpuAffinity) -> Result<Self, StartError> {
        match affinity {
            CpuAffinity::None | CpuAffinity::Unset => Ok(Self::default()),
            CpuAffinity::Auto => Ok(self),
            CpuAffinity::Cores(cores) => match cores.iter().find(|core| !self.0.contains(core)) {
                Some(core) => Err(StartError::Core { core: *core, allowed: self.to_string() }),
                None => Ok(Self(cores.clone())),
            },
        }
    }

    /// The cores of one machine's thread; none are all.
    ///
    /// Shards have one each, and begin again with the first when there are no more. The control
    /// plane, which has little to do, goes where there is room.
    #[must_use]
    pub fn of(&self, machine: Peer) -> Self {
        let Peer::Shard(shard) = machine else { return self.clone() };
        let turn = shard.index().checked_rem(self.0.len());
        Self(turn.and_then(|turn| self.0.get(turn)).copied().into_iter().collect())
    }

    /// Keeps the current thread, and those that it starts, to these cores.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn bind(&self) -> Result<(), StartError> {
        if self.0.is_empty() {
            return Ok(());
        }
        system::bind(&self.0).map_err(StartError::Affinity)
    }
}

/// As the kernel writes lists of cores: `0-3,6`.
impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let runs = self.0.chunk_by(|core, next| core + 1 == *next);
        for run in runs {
            match run {
                [] => {}
                [core] => write!(f, "{separator}{core}")?,
                [first, .., last] => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use super::{io, limits};

    // A core beyond the set could not be added to it.
    const _: () = assert!(limits::CORES_MAX <= CpuSet::MAX_CPU);

    /// The cores that the process may use, in order.
    pub(super) fn allowed() -> io::Result<Vec<usize>> {
        let set = sched_getaffinity(None)?;
        Ok((0..limits::CORES_MAX).filter(|core| set.is_set(*core)).collect())
    }

    /// Binds the current thread.
    pub(super) fn bind(cores: &[usize]) -> io::Result<()> {
        let mut set = CpuSet::new();
        cores.iter().for_each(|core| set.set(*core));
        Ok(sched_setaffinity(None, &set)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::io;

    /// Other systems bind no threads, or in ways of their own.
    pub(super) fn allowed() -> io::Result<Vec<usize>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn bind(_: &[usize]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use pgherd_core::id::ShardId;

    use super::*;

    fn listed(cores: &[usize]) -> CpuAffinity {
        CpuAffinity::Cores(cores.to_vec())
    }

    #[test]
    fn threads_get_cores_in_order() {
        let cases: &[(&str, &[usize], CpuAffinity, [&str; 4])] = &[
            ("anywhere", &[0, 1, 2], CpuAffinity::None, ["", "", "", ""]),
            ("all that there are", &[0, 1, 4], CpuAffinity::Auto, ["0", "1", "4", "0-1,4"]),
            ("too few", &[0, 1], CpuAffinity::Auto, ["0", "1", "0", "0-1"]),
            ("as listed", &[0, 1, 2, 3], listed(&[3, 0]), ["3", "0", "3", "3,0"]),
        ];
        for (name, there, affinity, expected) in cases {
            let cores = Cores(there.to_vec()).pick(affinity).unwrap();
            let shards = [0, 1, 2].map(|number| Peer::Shard(ShardId(number)));
            let [one, two, three] = shards.map(|shard| cores.of(shard).to_string());
            let control = cores.of(Peer::Control).to_string();
            assert_eq!([one, two, three, control], *expected, "{name}");
        }
    }

    #[test]
    fn a_core_that_is_not_there_is_named() {
        let error = Cores(vec![0, 1, 2, 5]).pick(&listed(&[1, 3, 9])).unwrap_err().to_string();
        assert!(error.contains("core 3") && error.contains("0-2,5"), "{error}");
        assert!(error.contains("cpu_affinity") && !error.contains('\n'), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_is_bound_and_no_other() {
        let before = system::allowed().unwrap();
        let last = *before.last().unwrap();
        let thread = std::thread::spawn(move || {
            Cores(vec![last]).bind().unwrap();
            system::allowed().unwrap()
        });
        assert_eq!(thread.join().unwrap(), [last]);
        assert_eq!(system::allowed().unwrap(), before);
    }
}
