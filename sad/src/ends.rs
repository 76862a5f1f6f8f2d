use alloc::boxed::Box;
use core::net::{IpAddr, SocketAddr};
use drive::Path;

/// A path as an association keeps it: little more than half the size, unless it has an IPv6 flow label or scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Plain { protocol: u8, local: IpAddr, remote: IpAddr, ports: (u16, u16) },
    Scoped(Box<Path>),
}

impl Ends {
    pub fn new(path: Path) -> Self {
        let Path { protocol, local, remote } = path;
        let ports = (local.port(), remote.port());
        let plain = Self::Plain { protocol, local: local.ip(), remote: remote.ip(), ports };
        if plain.path() == path { plain } else { Self::Scoped(Box::new(path)) }
    }

    pub fn path(&self) -> Path {
        match self {
            Self::Plain { protocol, local, remote, ports } => Path {
                protocol: *protocol,
                local: SocketAddr::new(*local, ports.0),
                remote: SocketAddr::new(*remote, ports.1),
            },
            Self::Scoped(path) => **path,
        }
    }

    /// Returns the peer's address.
    pub fn peer(&self) -> IpAddr {
        match self {
            Self::Plain { remote, .. } => *remote,
            Self::Scoped(path) => path.remote.ip(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv6Addr, SocketAddrV6};

    #[test]
    fn every_path_comes_back_as_it_was() {
        let v6 = |flow, scope| SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 4500, flow, scope));
        let v4 = SocketAddr::from(([192, 0, 2, 1], 500));
        for (local, remote) in [(v4, v4), (v6(0, 0), v4), (v6(7, 0), v6(0, 0)), (v4, v6(0, 3))] {
            let path = Path { protocol: 50, local, remote };
            let ends = Ends::new(path);
            assert_eq!((ends.path(), ends.peer()), (path, remote.ip()));
        }
        assert!(size_of::<Ends>() <= 40);
    }
}
