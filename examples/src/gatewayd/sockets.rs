//! The UDP sockets of IKE and NAT traversal, and raw sockets for ESP and AH over IPv4.

use super::file::Daemon;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::ops::Range;
use drive::Path;
use mio::net::UdpSocket;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;

/// The IP protocol number of ESP.
const ESP: u8 = 50;
/// The IP protocol number of AH.
const AH: u8 = 51;

/// Every socket of the daemon, each bound to one address of this machine.
#[derive(Debug)]
pub struct Sockets {
    sockets: Vec<Bound>,
}

#[derive(Debug)]
enum Bound {
    Udp { local: SocketAddr, socket: UdpSocket },
    Raw { protocol: u8, local: Ipv4Addr, socket: Socket },
}

/// A datagram that lies in the caller's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Where it arrived and whom it came from.
    pub path: Path,
    /// Where in the buffer its payload lies.
    pub payload: Range<usize>,
}

impl Sockets {
    /// Binds two UDP sockets per address, and raw ones if asked.
    ///
    /// # Errors
    /// A socket cannot be opened or bound; the message names the address.
    pub fn open(daemon: &Daemon) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for &address in &daemon.listen {
            let ports = [daemon.ike_port, daemon.nat_t_port];
            for port in ports.into_iter().filter(|_| !daemon.no_ike) {
                let local = SocketAddr::new(address, port);
                let socket = UdpSocket::bind(local).map_err(|error| named(&format!("udp {local}"), &error))?;
                sockets.push(Bound::Udp { local, socket });
            }
            if let (true, IpAddr::V4(local)) = (daemon.raw_esp, address) {
                let socket = raw(local, ESP).map_err(|error| named(&format!("ip/50 {local}"), &error))?;
                sockets.push(Bound::Raw { protocol: ESP, local, socket });
            }
            if let (true, IpAddr::V4(local)) = (daemon.raw_ah, address) {
                let socket = raw(local, AH).map_err(|error| named(&format!("ip/51 {local}"), &error))?;
                // AH covers the IP header, so the engine makes it.
                socket.set_header_included_v4(true)?;
                sockets.push(Bound::Raw { protocol: AH, local, socket });
            }
        }
        Ok(Self { sockets })
    }

    /// Returns how many sockets there are; they are known by the numbers below that.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Returns whether there is no socket.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Registers socket `n` under the token `first + n`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn register(&mut self, registry: &Registry, first: usize) -> io::Result<()> {
        for (index, bound) in self.sockets.iter_mut().enumerate() {
            let token = Token(first + index);
            match bound {
                Bound::Udp { socket, .. } => registry.register(socket, token, Interest::READABLE)?,
                Bound::Raw { socket, .. } => {
                    registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)?;
                }
            }
        }
        Ok(())
    }

    /// Reads one datagram from socket `index` into `buffer`.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none, or what the system says.
    pub fn receive(&self, index: usize, buffer: &mut [u8]) -> io::Result<Received> {
        let Some(bound) = self.sockets.get(index) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        match bound {
            Bound::Udp { local, socket } => {
                let (length, remote) = socket.recv_from(buffer)?;
                Ok(Received { path: Path::new(*local, remote), payload: 0..length })
            }
            Bound::Raw { protocol, local, socket } => {
                let mut reader = socket;
                let length = reader.read(buffer)?;
                let packet = buffer.get(..length).unwrap_or_default();
                let Some((remote, header)) = ipv4_source(packet) else {
                    return Err(io::ErrorKind::InvalidData.into());
                };
                let start = if *protocol == AH { 0 } else { header };
                Ok(Received { path: Path::ip(*protocol, (*local).into(), remote.into()), payload: start..length })
            }
        }
    }

    /// Sends one datagram from the socket that `path` names.
    ///
    /// # Errors
    /// No socket is bound there, or what the system says.
    pub fn send(&self, path: Path, payload: &[u8]) -> io::Result<()> {
        for bound in &self.sockets {
            match bound {
                Bound::Udp { local, socket } if path.is_udp() && *local == path.local => {
                    return socket.send_to(payload, path.remote).map(drop);
                }
                Bound::Raw { protocol, local, socket } if path.protocol == *protocol && path.local.ip() == *local => {
                    return socket.send_to(payload, &path.remote.into()).map(drop);
                }
                Bound::Udp { .. } | Bound::Raw { .. } => {}
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrNotAvailable, format!("no socket for {path}")))
    }
}

fn raw(local: Ipv4Addr, protocol: u8) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(i32::from(protocol))))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(local.into(), 0).into())?;
    Ok(socket)
}

/// Raw IPv4 sockets deliver the header too: it says who sent the packet, and how long it is itself.
fn ipv4_source(packet: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    (header >= 20 && header <= packet.len()).then(|| (source.into(), header))
}

fn named(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_a_raw_packet_is_read_past_its_options() {
        let mut packet = [0_u8; 32];
        packet[0] = 0x46;
        packet[12..16].copy_from_slice(&[192, 0, 2, 2]);
        assert_eq!(ipv4_source(&packet), Some((Ipv4Addr::new(192, 0, 2, 2), 24)));
        assert_eq!(ipv4_source(&packet[..20]), None);
        assert_eq!(ipv4_source(&[0x41; 40]), None);
        assert_eq!(ipv4_source(&[]), None);
    }
}
