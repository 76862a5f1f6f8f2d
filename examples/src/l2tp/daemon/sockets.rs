//! Raw sockets for IP protocol 115, and UDP sockets.

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;
use drive::Path;
use l2tpv3::wire::Carrier;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

/// Every socket, each bound to one address of this machine.
#[derive(Debug)]
pub struct Sockets(Vec<Bound>);

#[derive(Debug)]
struct Bound {
    carrier: Carrier,
    local: SocketAddr,
    /// The standard library's socket type, since it gives the sender; its calls suit raw sockets too.
    socket: UdpSocket,
}

impl Sockets {
    /// Binds a socket for each address and carrier.
    ///
    /// # Errors
    /// A socket cannot be opened or bound; the message names it.
    pub fn open(addresses: &[IpAddr], ip: bool, udp_port: Option<u16>) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for address in addresses {
            if ip {
                sockets.push(bind(Carrier::Ip, SocketAddr::new(*address, 0))?);
            }
            if let Some(port) = udp_port {
                sockets.push(bind(Carrier::Udp, SocketAddr::new(*address, port))?);
            }
        }
        Ok(Self(sockets))
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
        match bound.carrier {
            Carrier::Udp => Ok((Path::new(bound.local, remote), 0..length)),
            Carrier::Ip => {
                // A raw socket delivers the IPv4 header, and not that of IPv6.
                let header = match remote.ip() {
                    IpAddr::V4(_) => buffer.first().map_or(0, |first| usize::from(first & 0x0f) * 4),
                    IpAddr::V6(_) => 0,
                };
                if header > length {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                Ok((Path::ip(Carrier::PROTOCOL, bound.local.ip(), remote.ip()), header..length))
            }
        }
    }

    /// Sends one datagram from the socket that `path` names.
    ///
    /// # Errors
    /// No socket is bound there, or what the system says.
    pub fn send(&self, path: Path, payload: &[u8]) -> io::Result<()> {
        let carrier = Carrier::of(path);
        let fits = |bound: &&Bound| Some(bound.carrier) == carrier && bound.local == path.local;
        let missing = || io::Error::new(io::ErrorKind::AddrNotAvailable, format!("no socket for {path}"));
        let bound = self.0.iter().find(fits).ok_or_else(missing)?;
        bound.socket.send_to(payload, path.remote).map(drop)
    }
}

fn bind(carrier: Carrier, local: SocketAddr) -> io::Result<Bound> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{carrier:?} {local}: {error}"));
    let (kind, protocol) = match carrier {
        Carrier::Ip => (Type::RAW, Protocol::from(i32::from(Carrier::PROTOCOL))),
        Carrier::Udp => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(local), kind, Some(protocol)).map_err(named)?;
    socket.set_nonblocking(true).map_err(named)?;
    socket.bind(&local.into()).map_err(named)?;
    Ok(Bound { carrier, local, socket: socket.into() })
}
