//! Both pollers keep the one promise: whatever becomes ready is told, at the latest when somebody
//! waits who does not know of it.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use super::*;
use crate::puppet::Place;

/// Long enough for a kernel to tell of what has happened already, or of what another process does.
const LONG: Option<Duration> = Some(Duration::from_secs(10));
const NOT_AT_ALL: Option<Duration> = Some(Duration::ZERO);

macro_rules! promises {
    ($name:ident) => {
        mod $name {
            use super::super::$name::Poller;
            use super::*;

            const KEY: Key = Key::Listener(3);

            struct Scene {
                poller: Poller,
                near: UnixStream,
                far: UnixStream,
            }

            impl Scene {
                fn new(interest: Interest) -> Self {
                    let (near, far) = UnixStream::pair().unwrap();
                    near.set_nonblocking(true).unwrap();
                    let poller = Poller::new().unwrap();
                    poller.add(&near, KEY, interest).unwrap();
                    Self { poller, near, far }
                }

                /// Waits for what is not known to be ready.
                fn wait(
                    &mut self,
                    unknown: Option<Interest>,
                    time: Option<Duration>,
                ) -> Vec<Event> {
                    let fd = self.near.as_fd();
                    let watch = unknown.map(|interest| (fd, KEY, interest));
                    let mut events = Vec::new();
                    self.poller.wait(time, watch.into_iter(), &mut events).unwrap();
                    events
                }
            }

            const fn told(incoming: Incoming, is_writable: bool) -> Event {
                Event { key: KEY, incoming, is_writable }
            }

            #[test]
            fn what_was_there_before_is_told() {
                let (near, mut far) = UnixStream::pair().unwrap();
                far.write_all(b"x").unwrap();
                let poller = Poller::new().unwrap();
                poller.add(&near, KEY, Interest::Reads).unwrap();
                let mut scene = Scene { poller, near, far };
                let events = scene.wait(Some(Interest::Reads), LONG);
                assert_eq!(events, [told(Incoming::Bytes, false)]);
            }

            #[test]
            fn bytes_are_told_once_and_again_when_more_come() {
                let mut scene = Scene::new(Interest::Reads);
                assert_eq!(scene.wait(Some(Interest::Reads), NOT_AT_ALL), []);
                scene.far.write_all(b"x").unwrap();
                let events = scene.wait(Some(Interest::Reads), LONG);
                assert_eq!(events, [told(Incoming::Bytes, false)]);
                assert_eq!(scene.wait(None, NOT_AT_ALL), [], "it is known");
                let mut room = [0; 8];
                assert_eq!(scene.near.read(&mut room).unwrap(), 1);
                scene.far.write_all(b"y").unwrap();
                let events = scene.wait(Some(Interest::Reads), LONG);
                assert_eq!(events, [told(Incoming::Bytes, false)]);
            }

            #[test]
            fn an_end_is_told_of_a_stream_that_was_thought_drained() {
                let mut scene = Scene::new(Interest::Reads);
                scene.far.write_all(b"x").unwrap();
                let events = scene.wait(Some(Interest::Reads), LONG);
                assert_eq!(events, [told(Incoming::Bytes, false)]);
                assert_eq!(scene.near.read(&mut [0; 8]).unwrap(), 1);
                drop(std::mem::replace(&mut scene.far, UnixStream::pair().unwrap().0));
                let events = scene.wait(Some(Interest::Reads), LONG);
                assert_eq!(events, [told(Incoming::End, true)]);
                assert_eq!(scene.wait(None, NOT_AT_ALL), [], "it is known");
            }

            #[test]
            fn room_is_told_when_there_is_some_again() {
                let mut scene = Scene::new(Interest::Reads);
                while scene.near.write(&[0; 4096]).is_ok() {}
                scene.poller.change(&scene.near, KEY, Interest::Both).unwrap();
                assert_eq!(scene.wait(Some(Interest::Both), NOT_AT_ALL), []);
                scene.far.set_nonblocking(true).unwrap();
                while scene.far.read(&mut [0; 65536]).is_ok() {}
                let events = scene.wait(Some(Interest::Both), LONG);
                assert_eq!(events, [told(Incoming::Nothing, true)]);
            }

            #[test]
            fn of_every_client_somebody_hears() {
                let place = Place::new(concat!("heard-", stringify!($name)));
                let listener = UnixListener::bind(place.door()).unwrap();
                listener.set_nonblocking(true).unwrap();
                let mut pollers = [Poller::new().unwrap(), Poller::new().unwrap()];
                for poller in &pollers {
                    poller.add(&listener, KEY, Interest::Clients).unwrap();
                }
                for _ in 0..3 {
                    let _client = place.client();
                    let mut heard = Vec::new();
                    for poller in &mut pollers {
                        let watch = (listener.as_fd(), KEY, Interest::Clients);
                        let watches = std::iter::once(watch);
                        poller.wait(NOT_AT_ALL, watches, &mut heard).unwrap();
                    }
                    assert!(heard.contains(&told(Incoming::Bytes, false)), "{heard:?}");
                    listener.accept().unwrap();
                    assert!(listener.accept().is_err(), "there was one");
                }
            }

            #[test]
            fn what_was_removed_is_told_no_more() {
                let mut scene = Scene::new(Interest::Reads);
                scene.poller.remove(&scene.near).unwrap();
                scene.far.write_all(b"x").unwrap();
                assert_eq!(scene.wait(None, NOT_AT_ALL), []);
            }
        }
    };
}

#[cfg(target_os = "linux")]
promises!(epoll);
promises!(poll);
