//! The UDP sockets of IKE and NAT traversal, raw sockets for ESP and AH over IPv4, and those that hear what routers
//! report.

use super::datagrams::{self, Arrived, Inbox};
use super::file::Daemon;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use drive::Path;
use gateway::Header;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::os::fd::AsRawFd as _;

/// The IP protocol number of ESP.
const ESP: u8 = 50;
/// The IP protocol number of AH.
const AH: u8 = 51;
/// The IP protocol number of ICMP.
const ICMP: u8 = 1;
/// The IP protocol number of ICMPv6.
const ICMPV6: u8 = 58;
/// Octets that may wait in the system for us, or for the network, if it lets us have so many.
const QUEUE: usize = 4 << 20;

/// Every socket of the daemon, each bound to one address of this machine.
#[derive(Debug)]
pub struct Sockets {
    sockets: Vec<Bound>,
    missing: Vec<String>,
}

#[derive(Debug)]
struct Bound {
    protocol: u8,
    local: SocketAddr,
    socket: Socket,
    /// What the system writes into headers, as it was last told.
    header: Option<Header>,
    /// Whether the system cuts large datagrams.
    segments: bool,
}

/// What arrived on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Something for the engine.
    Datagram {
        /// Where it arrived and whom it came from.
        path: Path,
        /// Its payload.
        payload: &'a [u8],
        /// DSCP and ECN of its header, if the system says.
        traffic_class: Option<u8>,
    },
    /// An ICMP or ICMPv6 message, from its type on.
    Report {
        /// Whether it is of IPv6.
        v6: bool,
        /// The message.
        message: &'a [u8],
    },
}

impl Sockets {
    /// Binds two UDP sockets per address, one more for the UDP tunnel if its port is given, and raw ones if asked.
    ///
    /// # Errors
    /// A socket cannot be opened or bound; the message names the address.
    pub fn open(daemon: &Daemon, udp_tunnel: Option<u16>) -> io::Result<Self> {
        let mut sockets = Vec::new();
        let mut missing = Vec::new();
        for &address in &daemon.listen {
            let ports = [daemon.ike_port, daemon.nat_t_port];
            for port in ports.into_iter().filter(|_| !daemon.no_ike).chain(udp_tunnel) {
                let local = SocketAddr::new(address, port);
                sockets.push(Bound::udp(local).map_err(|error| named(&format!("udp {local}"), &error))?);
            }
            let wanted = [(ESP, daemon.raw_esp), (AH, daemon.raw_ah)];
            for (protocol, _) in wanted.into_iter().filter(|(_, wanted)| *wanted && address.is_ipv4()) {
                let what = format!("ip/{protocol} {address}");
                let mut bound = Bound::raw(address, protocol).map_err(|error| named(&what, &error))?;
                if protocol == AH {
                    // AH covers the IP header, so the engine makes it.
                    bound.socket.set_header_included_v4(true)?;
                    bound.header = None;
                }
                sockets.push(bound);
            }
            match Bound::raw(address, if address.is_ipv4() { ICMP } else { ICMPV6 }) {
                Ok(bound) => sockets.push(bound),
                Err(error) => missing.push(format!("reports about paths to {address} are not heard: {error}")),
            }
        }
        Ok(Self { sockets, missing })
    }

    /// Returns how many sockets there are; they are known by the numbers below that.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Returns whether there is no socket.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Returns what could not be opened and can be done without, for people.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Registers socket `n` under the token `first + n`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn register(&mut self, registry: &Registry, first: usize) -> io::Result<()> {
        for (index, bound) in self.sockets.iter().enumerate() {
            let token = Token(first + index);
            registry.register(&mut SourceFd(&bound.socket.as_raw_fd()), token, Interest::READABLE)?;
        }
        Ok(())
    }

    /// Reads what socket `index` has into `inbox`, up to a bound; returns whether there may be more.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is nothing, or what the system says.
    pub fn receive(&self, index: usize, inbox: &mut Inbox) -> io::Result<bool> {
        match self.sockets.get(index) {
            Some(bound) => inbox.fill(&bound.socket),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Says what a datagram of socket `index` is; `None` if it is nothing.
    pub fn read<'a>(&self, index: usize, arrived: &Arrived<'a>) -> Option<Received<'a>> {
        let bound = self.sockets.get(index)?;
        let Arrived { from, payload, traffic_class } = *arrived;
        if bound.protocol == Path::UDP {
            return Some(Received::Datagram { path: Path::new(bound.local, from), payload, traffic_class });
        }
        if bound.protocol == ICMPV6 {
            return Some(Received::Report { v6: true, message: payload });
        }
        let (source, header, traffic_class) = ipv4_header(payload)?;
        let inside = payload.get(header..)?;
        if bound.protocol == ICMP {
            return Some(Received::Report { v6: false, message: inside });
        }
        let payload = if bound.protocol == AH { payload } else { inside };
        let path = Path::ip(bound.protocol, bound.local.ip(), source.into());
        Some(Received::Datagram { path, payload, traffic_class: Some(traffic_class) })
    }

    /// Sends datagrams from the socket that `path` names, their IP headers as `header` says.
    ///
    /// # Errors
    /// No socket is bound there, or what the system says of the last one that it refused.
    pub fn send(&mut self, path: Path, header: Header, payloads: &[&[u8]]) -> io::Result<()> {
        let names = |bound: &&mut Bound| {
            let at = if path.is_udp() { bound.local == path.local } else { bound.local.ip() == path.local.ip() };
            bound.protocol == path.protocol && at
        };
        let Some(bound) = self.sockets.iter_mut().find(names) else {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, format!("no socket for {path}")));
        };
        bound.set_header(header)?;
        datagrams::send(&bound.socket, path.remote, payloads, bound.segments)
    }
}

impl Bound {
    fn udp(local: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.bind(&local.into())?;
        // What follows makes it faster, and is done without where the system lacks it.
        let _ = socket.set_recv_buffer_size(QUEUE).and(socket.set_send_buffer_size(QUEUE));
        let segments = setsockopt(&socket, sockopt::UdpGroSegment, &true).is_ok();
        let _ = if local.is_ipv4() {
            setsockopt(&socket, sockopt::IpRecvTos, &true)
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvTClass, &true)
        };
        Ok(Self { protocol: Path::UDP, local, socket, header: None, segments })
    }

    fn raw(local: IpAddr, protocol: u8) -> io::Result<Self> {
        let local = SocketAddr::new(local, 0);
        let kind = Protocol::from(i32::from(protocol));
        let socket = Socket::new(Domain::for_address(local), Type::RAW, Some(kind))?;
        socket.set_nonblocking(true)?;
        socket.bind(&local.into())?;
        let _ = socket.set_recv_buffer_size(QUEUE).and(socket.set_send_buffer_size(QUEUE));
        Ok(Self { protocol, local, socket, header: None, segments: false })
    }

    /// Tells the system what to write into the headers from now on, where that changes.
    fn set_header(&mut self, header: Header) -> io::Result<()> {
        if self.header == Some(header) || self.protocol == AH {
            return Ok(());
        }
        let before = self.header.take();
        let changed = |of: fn(&Header) -> u32| before.as_ref().is_none_or(|before| of(before) != of(&header));
        let (class, ttl) = (changed(|header| header.traffic_class.into()), changed(|header| header.ttl.into()));
        if self.local.is_ipv4() {
            if class {
                self.socket.set_tos_v4(header.traffic_class.into())?;
            }
            if ttl {
                self.socket.set_ttl_v4(header.ttl.into())?;
            }
            if changed(|header| header.dont_fragment.into()) {
                // The engine keeps to the MTU of the path by itself; what the system remembers is not to stop it.
                let rule = if header.dont_fragment { Ipv4PathMtuDiscovery::PROBE } else { Ipv4PathMtuDiscovery::DONT };
                set_ip_mtu_discover(&self.socket, rule)?;
            }
        } else {
            if class {
                self.socket.set_tclass_v6(header.traffic_class.into())?;
            }
            if ttl {
                self.socket.set_unicast_hops_v6(header.ttl.into())?;
            }
        }
        self.header = Some(header);
        Ok(())
    }
}

/// Raw IPv4 sockets deliver the header too: it says who sent the packet, how long it is itself, and DSCP and ECN.
fn ipv4_header(packet: &[u8]) -> Option<(Ipv4Addr, usize, u8)> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    (header >= 20 && header <= packet.len()).then_some((source.into(), header, *packet.get(1)?))
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
        packet[1] = 0xb8;
        packet[12..16].copy_from_slice(&[192, 0, 2, 2]);
        assert_eq!(ipv4_header(&packet), Some((Ipv4Addr::new(192, 0, 2, 2), 24, 0xb8)));
        assert_eq!(ipv4_header(&packet[..20]), None);
        assert_eq!(ipv4_header(&[0x41; 40]), None);
        assert_eq!(ipv4_header(&[]), None);
    }

    #[test]
    fn the_system_is_told_each_header_that_differs_from_the_one_before() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let local: SocketAddr = local.parse().unwrap();
            // A machine without IPv6 has nothing to be told about it.
            let Ok(mut bound) = Bound::udp(local) else { continue };
            for header in [Header::PLAIN, Header { traffic_class: 0xb8, dont_fragment: true, ttl: 9 }, Header::PLAIN] {
                bound.set_header(header).unwrap();
                let seen = if local.is_ipv4() {
                    (bound.socket.tos_v4().unwrap(), bound.socket.ttl_v4().unwrap())
                } else {
                    (bound.socket.tclass_v6().unwrap(), bound.socket.unicast_hops_v6().unwrap())
                };
                assert_eq!(seen, (header.traffic_class.into(), header.ttl.into()));
                if local.is_ipv4() {
                    let rule = rustix::net::sockopt::ip_mtu_discover(&bound.socket).unwrap();
                    assert_eq!(rule == Ipv4PathMtuDiscovery::PROBE, header.dont_fragment);
                }
            }
        }
    }
}
