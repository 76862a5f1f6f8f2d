use bytes::Bytes;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// The two ends a datagram travels between, seen from this machine, and what carries it.
///
/// Most datagrams travel in UDP. ESP, AH and L2TPv3 may also follow the IP header directly: then
/// [`protocol`](Self::protocol) is theirs and both ports are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The IP protocol that carries the payload: [`Path::UDP`], or 50, 51, 115.
    pub protocol: u8,
    /// The address and port on this machine.
    pub local: SocketAddr,
    /// The address and port of the peer.
    pub remote: SocketAddr,
}

impl Path {
    /// The IP protocol number of UDP.
    pub const UDP: u8 = 17;

    /// Returns the UDP path from `local` to `remote`.
    pub const fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: Self::UDP, local, remote }
    }

    /// Returns the path of payloads that follow the IP header directly.
    pub const fn ip(protocol: u8, local: IpAddr, remote: IpAddr) -> Self {
        Self { protocol, local: SocketAddr::new(local, 0), remote: SocketAddr::new(remote, 0) }
    }

    /// Returns whether UDP carries the payload.
    pub const fn is_udp(self) -> bool {
        self.protocol == Self::UDP
    }

    /// Returns the same path as the peer sees it.
    pub const fn reversed(self) -> Self {
        Self { protocol: self.protocol, local: self.remote, remote: self.local }
    }

    /// Returns the path between the same addresses with both ports replaced by `port`.
    pub fn with_ports(self, port: u16) -> Self {
        let mut path = self;
        path.local.set_port(port);
        path.remote.set_port(port);
        path
    }
}

/// `local > remote`, with the protocol in front when it is not UDP.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_udp() {
            return write!(f, "{} > {}", self.local, self.remote);
        }
        write!(f, "ip/{} {} > {}", self.protocol, self.local.ip(), self.remote.ip())
    }
}

/// A datagram that arrived: where, and its octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Where it arrived and whom it came from.
    pub path: Path,
    /// The payload of the datagram, without any header of the carrier.
    pub payload: &'a [u8],
}

/// A datagram to send. A resend is a cheap clone.
#[must_use = "a transmit that is not performed is a lost datagram"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to send from and whom to.
    pub path: Path,
    /// The payload of the datagram, without any header of the carrier.
    pub payload: Bytes,
}

impl Transmit {
    /// Returns this transmit as the peer receives it.
    pub fn as_received(&self) -> Datagram<'_> {
        Datagram { path: self.path.reversed(), payload: &self.payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transmit_arrives_with_its_ends_exchanged() {
        let path = Path::new(([192, 0, 2, 1], 500).into(), ([192, 0, 2, 2], 4500).into());
        let transmit = Transmit { path, payload: Bytes::from_static(b"x") };
        let datagram = transmit.as_received();
        assert_eq!(datagram.path.local, path.remote);
        assert_eq!(datagram.path.reversed(), path);
        assert_eq!(datagram.payload, b"x");
    }

    #[test]
    fn a_path_names_its_protocol_when_it_is_not_udp() {
        let esp = Path::ip(50, [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        assert!(!esp.is_udp());
        assert_eq!(alloc::format!("{esp}"), "ip/50 192.0.2.1 > 192.0.2.2");
        assert_eq!(esp.reversed().protocol, 50);
    }

    #[test]
    fn with_ports_keeps_the_addresses() {
        let path = Path::new(([192, 0, 2, 1], 500).into(), ([192, 0, 2, 2], 500).into());
        let floated = path.with_ports(4500);
        assert_eq!(floated.local, ([192, 0, 2, 1], 4500).into());
        assert_eq!(floated.remote, ([192, 0, 2, 2], 4500).into());
    }
}
