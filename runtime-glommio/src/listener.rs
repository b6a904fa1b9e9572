//! Where clients connect.

use std::io;

use glommio::net::{TcpListener, UnixListener};
use pgherd_host::dial;
use pgherd_host::door::{self, SocketFile, Spot};
use pgherd_host::trouble::StartError;

use crate::socket::Fresh;

/// An address or a path that clients connect to.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) spot: Spot,
    door: Door,
    /// Of a Unix socket. It is to go when nobody is welcome any more.
    pub(crate) file: Option<SocketFile>,
}

#[derive(Debug)]
enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Opens a place to listen at, on the executor that will accept.
    pub(crate) fn open(spot: &Spot) -> Result<Self, StartError> {
        let opened = match spot {
            Spot::Tcp(address) => {
                // glommio shares the port with every process of the same user that does so too.
                // Whether one is there shows only to somebody who does not share.
                door::tcp(*address).map(drop).and_then(|()| {
                    let listener = TcpListener::bind(*address).map_err(io::Error::from)?;
                    Ok(Self { spot: spot.clone(), door: Door::Tcp(listener), file: None })
                })
            }
            Spot::Unix(path) => door::clear(path).and_then(|()| {
                let listener = UnixListener::bind(path).map_err(io::Error::from)?;
                let file = SocketFile(path.clone());
                door::admit_all(path)?;
                Ok(Self { spot: spot.clone(), door: Door::Unix(listener), file: Some(file) })
            }),
        };
        opened
            .map_err(|error| StartError::listen(spot, &error))
            .inspect(|_| log::info!("listening on {spot}"))
    }

    /// Waits for a client.
    pub(crate) async fn accept(&self) -> io::Result<Fresh> {
        Ok(match &self.door {
            Door::Tcp(listener) => Fresh::Tcp(listener.shared_accept().await?),
            Door::Unix(listener) => Fresh::Unix(listener.shared_accept().await?),
        })
    }
}

/// Comes to a door of our own as a client would, and leaves.
pub(crate) fn knock(spot: &Spot) {
    let knocked = match spot {
        Spot::Tcp(address) => dial::tcp(*address).map(drop),
        Spot::Unix(path) => dial::unix(path).map(drop),
    };
    if let Err(error) = knocked {
        log::debug!("{spot} stays open until a client comes: {error}");
    }
}
