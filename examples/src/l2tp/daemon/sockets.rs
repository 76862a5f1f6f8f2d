//! Raw sockets and UDP sockets: those of L2TP, or those of IKE and ESP below it.

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;
use drive::Path;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

/// What is served at each address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// A protocol directly over IP; needs the right to open raw sockets.
    Ip(u8),
    /// A UDP port.
    Udp(u16),
}

/// Every socket, each bound to one address of this machine.
#[derive(Debug)]
pub struct Sockets(Vec<Bound>);

#[derive(Debug)]
struct Bound {
    protocol: u8,
    local: SocketAddr,
    /// The standard library's socket type, since it gives the sender; its calls suit raw sockets too.
    socket: UdpSocket,
}

impl Sockets {
    /// Binds a socket for each address and service.
    ///
    /// # Errors
    /// A socket cannot be opened or bound; the message names it.
    pub fn open(addresses: &[IpAddr], services: &[Service]) -> io::Result<Self> {
        let all = addresses.iter().flat_map(|address| services.iter().map(|service| bind(*service, *address)));
        all.collect::<io::Result<_>>().map(Self)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Registers socket `n` under the token `first + n`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn register(&self, registry: &Registry, first: usize) -> io::Result<()> {
        for (index, bound) in self.0.iter().enumerate() {
            registry.register(&mut SourceFd(&bound.socket.as_raw_fd()), Token(first + index), Interest::READABLE)?;
        }
        Ok(())
    }

    /// Reads one datagram from socket `index`: its path, and where in `buffer` the payload lies.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none, or what the system says.
    pub fn receive(&self, index: usize, buffer: &mut [u8]) -> io::Result<(Path, Range<usize>)> {
        let bound = self.0.get(index).ok_or(io::ErrorKind::WouldBlock)?;
        let (length, remote) = bound.socket.recv_from(buffer)?;
        if bound.protocol == Path::UDP {
            return Ok((Path::new(bound.local, remote), 0..length));
        }
        // A raw socket delivers the IPv4 header, and not that of IPv6.
        let header = match remote.ip() {
            IpAddr::V4(_) => buffer.first().map_or(0, |first| usize::from(first & 0x0f) * 4),
            IpAddr::V6(_) => 0,
        };
        if header > length {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((Path::ip(bound.protocol, bound.local.ip(), remote.ip()), header..length))
    }

    /// Sends one datagram from the socket that `path` names.
    ///
    /// # Errors
    /// No socket is bound there, or what the system says.
    pub fn send(&self, path: Path, payload: &[u8]) -> io::Result<()> {
        let fits = |bound: &&Bound| bound.protocol == path.protocol && bound.local == path.local;
        let missing = || io::Error::new(io::ErrorKind::AddrNotAvailable, format!("no socket for {path}"));
        let bound = self.0.iter().find(fits).ok_or_else(missing)?;
        bound.socket.send_to(payload, path.remote).map(drop)
    }
}

fn bind(service: Service, address: IpAddr) -> io::Result<Bound> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{service:?} {address}: {error}"));
    let (number, kind, port) = match service {
        Service::Ip(protocol) => (protocol, Type::RAW, 0),
        Service::Udp(port) => (Path::UDP, Type::DGRAM, port),
    };
    let local = SocketAddr::new(address, port);
    let protocol = Some(Protocol::from(i32::from(number)));
    let socket = Socket::new(Domain::for_address(local), kind, protocol).map_err(named)?;
    socket.set_nonblocking(true).map_err(named)?;
    socket.bind(&local.into()).map_err(named)?;
    Ok(Bound { protocol: number, local, socket: socket.into() })
}
