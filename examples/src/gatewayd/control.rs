//! The control socket: a command a line in, a JSON object a line out.

use super::debug::Change;
use core::fmt;
use core::str::FromStr;
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Clients served at once; a further one is turned away.
const CLIENTS: usize = 8;
/// The longest command line in octets; a longer one ends the connection.
const LINE: usize = 1_024;

/// What a person or a script asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Show everything.
    Status,
    /// Negotiate all children of a connection.
    Initiate(String),
    /// Renew.
    Rekey(Which),
    /// Delete, and tell the peer.
    Delete(Which),
    /// Tell more or less of single packets.
    Debug(Change),
    /// Delete everything, tell the peers, and end.
    Quit,
}

/// An ISAKMP SA or an IPsec SA, by the name of its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The ISAKMP SA of a connection.
    Ike(String),
    /// The IPsec SAs of a child.
    Child(String),
}

/// A line that is no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotACommand;

impl fmt::Display for NotACommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "commands: status, initiate NAME, rekey ike|child NAME, delete ike|child NAME, \
             debug NAME|* off|all, debug NAME|* filter|packet|trace FLAGS, quit",
        )
    }
}

impl FromStr for Request {
    type Err = NotACommand;

    fn from_str(line: &str) -> Result<Self, NotACommand> {
        let mut words = line.split_ascii_whitespace();
        let request = match words.next() {
            Some("status") => Self::Status,
            Some("quit") => Self::Quit,
            Some("initiate") => Self::Initiate(words.next().ok_or(NotACommand)?.to_owned()),
            Some("rekey") => Self::Rekey(which(&mut words)?),
            Some("delete") => Self::Delete(which(&mut words)?),
            Some("debug") => Self::Debug(Change::read(&mut words).ok_or(NotACommand)?),
            _ => return Err(NotACommand),
        };
        if words.next().is_some() { Err(NotACommand) } else { Ok(request) }
    }
}

fn which<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Which, NotACommand> {
    let (kind, name) = (words.next().ok_or(NotACommand)?, words.next().ok_or(NotACommand)?);
    match kind {
        "ike" => Ok(Which::Ike(name.to_owned())),
        "child" => Ok(Which::Child(name.to_owned())),
        _ => Err(NotACommand),
    }
}

/// The control socket and those connected to it.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    first: usize,
    clients: BTreeMap<usize, Client>,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    received: Vec<u8>,
    unsent: Vec<u8>,
    /// Lines handed out and not answered yet.
    owed: usize,
    /// It sends no more, but may still read.
    ended: bool,
    /// It neither sends nor reads, or broke the rules.
    broken: bool,
}

impl Control {
    /// Listens at `path`, readable and writable by the owner only; tokens from `first` on are its own.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(path: &Path, registry: &Registry, first: usize) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("control {}: {error}", path.display()));
        // A socket left by a run that was killed is in the way; anything else there is not ours to remove.
        if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            std::fs::remove_file(path).map_err(named)?;
        }
        let mut listener = UnixListener::bind(path).map_err(named)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(named)?;
        registry.register(&mut listener, Token(first), Interest::READABLE)?;
        Ok(Self { listener, path: path.to_owned(), first, clients: BTreeMap::new() })
    }

    /// Takes in what is ready under `token` and returns the whole lines received, with whom to answer.
    pub fn ready(&mut self, registry: &Registry, token: Token) -> Vec<(usize, String)> {
        if token.0 == self.first {
            self.accept(registry);
            return Vec::new();
        }
        let mut lines = Vec::new();
        let Some(client) = self.clients.get_mut(&token.0) else { return lines };
        client.receive(|line| lines.push((token.0, line)));
        client.owed += lines.len();
        client.flush();
        if client.done() {
            self.close(registry, token.0);
        }
        lines
    }

    /// Sends the one line that answers one line of a client.
    pub fn answer(&mut self, registry: &Registry, to: usize, line: &str) {
        let Some(client) = self.clients.get_mut(&to) else { return };
        client.unsent.extend_from_slice(line.as_bytes());
        client.unsent.push(b'\n');
        client.owed = client.owed.saturating_sub(1);
        client.flush();
        if client.done() {
            self.close(registry, to);
        }
    }

    fn accept(&mut self, registry: &Registry) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let taken = |token: &usize| !self.clients.contains_key(token);
            let Some(token) = (self.first + 1..=self.first + CLIENTS).find(taken) else { continue };
            if registry.register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE).is_ok() {
                let client =
                    Client { stream, received: Vec::new(), unsent: Vec::new(), owed: 0, ended: false, broken: false };
                self.clients.insert(token, client);
            }
        }
    }

    fn close(&mut self, registry: &Registry, token: usize) {
        if let Some(mut client) = self.clients.remove(&token) {
            // A socket that fails to deregister is closed by its drop all the same.
            drop(registry.deregister(&mut client.stream));
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

impl Client {
    fn receive(&mut self, mut line: impl FnMut(String)) {
        let mut buffer = [0_u8; LINE];
        while !self.ended {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(length) => self.received.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.broken = true,
            }
            while let Some(end) = self.received.iter().position(|octet| *octet == b'\n') {
                let rest = self.received.split_off(end + 1);
                let whole = core::mem::replace(&mut self.received, rest);
                line(String::from_utf8_lossy(&whole).trim().to_owned());
            }
            self.broken |= self.received.len() > LINE;
            self.ended |= self.broken;
        }
    }

    fn flush(&mut self) {
        while !self.unsent.is_empty() && !self.broken {
            match self.stream.write(&self.unsent) {
                Ok(0) => self.broken = true,
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.broken = true,
            }
        }
    }

    fn done(&self) -> bool {
        self.broken || (self.ended && self.owed == 0 && self.unsent.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_read() {
        assert_eq!("status".parse(), Ok(Request::Status));
        assert_eq!(" initiate office ".parse(), Ok(Request::Initiate("office".into())));
        assert_eq!("rekey child net".parse(), Ok(Request::Rekey(Which::Child("net".into()))));
        assert_eq!("delete ike office".parse(), Ok(Request::Delete(Which::Ike("office".into()))));
        assert!(matches!("debug net filter in fail".parse(), Ok(Request::Debug(_))));
        assert_eq!("quit".parse(), Ok(Request::Quit));
    }

    #[test]
    fn anything_else_is_no_command() {
        for line in ["", "statu", "status now", "initiate", "rekey net", "rekey both net", "delete ike", "debug net"] {
            assert_eq!(line.parse::<Request>(), Err(NotACommand), "{line}");
        }
    }

    #[test]
    fn a_client_that_ends_its_side_is_still_heard_and_answered() {
        let path = std::env::temp_dir().join(format!("control-{}", std::process::id()));
        let mut poll = mio::Poll::new().unwrap();
        let mut control = Control::listen(&path, poll.registry(), 7).unwrap();
        let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        client.write_all(b"status\nquit\n").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        let mut events = mio::Events::with_capacity(8);
        while heard.len() < 2 {
            poll.poll(&mut events, None).unwrap();
            for event in &events {
                heard.extend(control.ready(poll.registry(), event.token()));
            }
        }
        for (to, line) in &heard {
            control.answer(poll.registry(), *to, &line.to_uppercase());
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "STATUS\nQUIT\n");
        drop(control);
        assert!(!path.exists());
    }
}
