//! Whom to ask, as whom, and with which password.

use std::path::Path;

use pgherd_core::auth::pcppass::Place;
use pgherd_core::auth::secret::Secret;
use pgherd_core::config::{PcpPolicy, pcp_doors};

use crate::account;
use crate::args::PeerArgs;
use crate::ending::Ending;
use crate::files::Disk;
use crate::pcp::{Peer, Trouble, passwords};
use crate::stream::{cause, socket};
use crate::terminal;

/// Where PCP is if nothing else is said.
const HOST: &str = "localhost";
const PORT: u16 = 9898;

/// Somebody who asks, and who is asked.
#[derive(Debug)]
pub(super) struct Whom {
    pub(super) peer: Peer,
    pub(super) user: String,
    /// Nobody is asked for the password.
    is_silent: bool,
}

impl Whom {
    /// Finds out from the command line and the configuration that it names.
    pub(super) fn find(args: &PeerArgs) -> Result<Self, Ending> {
        let doors = args.config.as_deref().map(doors).transpose()?;
        let port = args.port.or(doors.as_ref().map(|doors| doors.port)).unwrap_or(PORT);
        let host = match (&args.host, &doors) {
            (Some(host), _) => host.clone(),
            (None, Some(doors)) => {
                let is_there = |path: &str| Path::new(path).exists();
                door(doors, port, is_there).ok_or_else(|| {
                    Ending::NotDone(
                        "the configuration has PCP served nowhere: pcp_listen_addresses is empty, \
                         and no directory of pcp_socket_dir has its socket; is pgherd running? \
                         Otherwise name its place with --host and --port"
                            .into(),
                    )
                })?
            }
            (None, None) => HOST.to_owned(),
        };
        let user = match &args.user {
            Some(user) => user.clone(),
            None => account::own_name()
                .map_err(|why| Ending::NotDone(format!("{why}; give one with --user")))?,
        };
        Ok(Self { peer: Peer { host, port }, user, is_silent: args.no_password })
    }

    /// Finds the password where it is kept, or asks for it.
    pub(super) fn password(&self) -> Result<Secret, Ending> {
        let hosts = [self.peer.host.as_str(), HOST];
        // A socket is on this host, by whichever directory.
        let hosts = if self.peer.host.starts_with('/') { &hosts[..] } else { &hosts[..1] };
        let place = Place { hosts, port: self.peer.port, user: &self.user };
        let found = passwords::stored(place).unwrap_or_else(|unfit| {
            eprintln!("pgherd: {unfit}; it is not read");
            None
        });
        match found {
            Some(password) => Ok(password),
            None if self.is_silent => {
                let file = passwords::file().unwrap_or_default();
                Err(Ending::NotDone(format!(
                    "there is no password for user \"{}\" at {}: {} has no line for it; add \
                     host:port:user:password there, or leave out --no-password to be asked",
                    self.user,
                    self.peer,
                    file.display()
                )))
            }
            None => terminal::password()
                .map_err(|error| Ending::NotDone(format!("no password: {}", cause(&error)))),
        }
    }

    /// Says why nobody is logged in, and what to do about it.
    pub(super) fn unreached(&self, trouble: &Trouble) -> Ending {
        let Self { peer, user, .. } = self;
        Ending::NotDone(if matches!(trouble, Trouble::Refused(_)) {
            format!(
                "pgherd at {peer} refuses user \"{user}\": {trouble}; name another user with --user; \
                 who may log in stands in its pcp.conf"
            )
        } else {
            format!(
                "cannot ask pgherd at {peer}: {trouble}; is it running, with a user in its pcp.conf? \
                 Otherwise name its place with --config, or with --host and --port"
            )
        })
    }
}

fn doors(path: &Path) -> Result<PcpPolicy, Ending> {
    pcp_doors(&path.display().to_string(), &Disk::new(None)).map_err(|mistakes| {
        mistakes.iter().for_each(|mistake| eprintln!("{mistake}"));
        Ending::Mistakes(mistakes.len())
    })
}

/// Chooses a place of those where PCP is served: a socket that is there, else an address.
fn door(doors: &PcpPolicy, port: u16, is_there: impl Fn(&str) -> bool) -> Option<String> {
    let has_socket = |directory: &&String| is_there(&socket(directory, port));
    if let Some(directory) = doors.socket_directories.iter().find(has_socket) {
        return Some(directory.clone());
    }
    Some(match doors.listen_addresses.first()?.as_str() {
        "*" | "0.0.0.0" => HOST.to_owned(),
        "::" => "::1".to_owned(),
        address => address.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_there_comes_first_and_then_an_address() {
        let cases: [(&[&str], &[&str], Option<&str>); 7] = [
            (&["/a", "/b"], &["10.0.0.1"], Some("/b")),
            (&["/a"], &["10.0.0.1", "10.0.0.2"], Some("10.0.0.1")),
            (&[], &["*"], Some("localhost")),
            (&[], &["0.0.0.0"], Some("localhost")),
            (&[], &["::"], Some("::1")),
            (&[], &["db1"], Some("db1")),
            (&["/a"], &[], None),
        ];
        for (directories, addresses, host) in cases {
            let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let doors = PcpPolicy {
                listen_addresses: texts(addresses),
                socket_directories: texts(directories),
                ..PcpPolicy::default()
            };
            let found = door(&doors, 7, |path| path == "/b/.s.PGSQL.7");
            assert_eq!(found.as_deref(), host, "{directories:?} {addresses:?}");
        }
    }
}
