//! The move of a negotiation from port 500 to port 4500 (RFC 3947 §4).

use crate::{Location, Version};
use core::net::SocketAddr;
use drive::Path;

/// The port of IKE (RFC 2407 §4.4.1.4, RFC 3947 §3).
pub const IKE_PORT: u16 = 500;
/// The port of IKE and ESP in UDP once a NAT is found (RFC 3947 §4).
pub const NAT_T_PORT: u16 = 4500;

/// The two ports of one end. Both can be set, as routers have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Where IKE starts.
    pub ike: u16,
    /// Where IKE and ESP in UDP go once a NAT is found.
    pub nat_t: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { ike: IKE_PORT, nat_t: NAT_T_PORT }
    }
}

impl Ports {
    /// Returns `end` with each of the two ports.
    pub const fn both(self, end: SocketAddr) -> [SocketAddr; 2] {
        [SocketAddr::new(end.ip(), self.ike), SocketAddr::new(end.ip(), self.nat_t)]
    }

    /// Returns whether `end` has the port where each IKE message stands behind a marker.
    pub const fn is_marked(self, end: SocketAddr) -> bool {
        end.port() == self.nat_t
    }
}

/// Returns whether a negotiation moves: the version knows the port, and a NAT was found.
///
/// The initiator moves when it sends message 5 of main mode or message 3 of aggressive mode; the responder
/// answers where that came from, once the message proved authentic.
pub const fn moves(version: Version, location: Location) -> bool {
    version.floats() && location.is_nat()
}

/// Returns the path of an initiator that moves: both ports change.
///
/// A negotiation that already uses the port stays as it is.
pub fn moved(path: Path, local: Ports, remote: Ports) -> Path {
    if local.is_marked(path.local) {
        return path;
    }
    let mut moved = path;
    moved.local.set_port(local.nat_t);
    moved.remote.set_port(remote.nat_t);
    moved
}

/// What a message is that comes to the old port after the move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldPort {
    /// A message of the phase 1 exchange that moved: it is old.
    SamePhase1,
    /// A phase 1 message with cookies never seen: the peer may have rebooted.
    NewPhase1,
    /// An informational exchange.
    Informational,
    /// Anything else under the known cookies.
    Other,
}

impl OldPort {
    /// Returns whether the message is still looked at.
    ///
    /// Informational messages are: they have to prove themselves like any other, and a peer that reports why
    /// it gave up may not have moved.
    pub const fn is_processed(self) -> bool {
        matches!(self, Self::NewPhase1 | Self::Informational)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(local: u16, remote: u16) -> Path {
        Path::new(([10, 1, 0, 10], local).into(), ([192, 0, 2, 2], remote).into())
    }

    #[test]
    fn a_negotiation_moves_only_where_a_nat_is_and_the_version_knows_the_port() {
        for location in [Location::Local, Location::Remote, Location::Both] {
            assert!(moves(Version::Rfc3947, location));
            assert!(moves(Version::Draft02, location));
            assert!(!moves(Version::Draft00, location));
        }
        assert!(!moves(Version::Rfc3947, Location::None));
        assert!(!moves(Version::Rfc3947, Location::Unknown));
    }

    #[test]
    fn both_ports_change_once() {
        let standard = Ports::default();
        assert_eq!(moved(path(500, 500), standard, standard), path(4500, 4500));
        assert_eq!(moved(path(4500, 20_001), standard, standard), path(4500, 20_001));
        let own = Ports { ike: 5500, nat_t: 5501 };
        assert_eq!(moved(path(5500, 500), own, standard), path(5501, 4500));
        assert_eq!(own.both(path(5500, 500).local), [path(5500, 0).local, path(5501, 0).local]);
    }

    #[test]
    fn after_the_move_only_new_exchanges_and_informational_ones_are_read_on_the_old_port() {
        assert!(!OldPort::SamePhase1.is_processed());
        assert!(OldPort::NewPhase1.is_processed());
        assert!(OldPort::Informational.is_processed());
        assert!(!OldPort::Other.is_processed());
    }
}
