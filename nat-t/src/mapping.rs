//! Where the peer is, which only authentic packets may change (RFC 3947 §7).

use crate::Location;
use drive::Path;

/// What a packet that passed its authentication says about its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It is newer than all before it: the highest ESP sequence number, or an IKE exchange just begun.
    Newest,
    /// It is authentic but may be old: inside the replay window, or a retransmission.
    MayBeOld,
}

/// What became of the peer's place.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The packet came from where the peer is known to be.
    None,
    /// The peer moved; everything goes to the new place from now on.
    Moved {
        /// The path so far.
        from: Path,
        /// The path from now on.
        to: Path,
    },
    /// The packet came from elsewhere, and the peer stays where it was.
    Refused(Refusal),
}

/// Why a packet from elsewhere does not move the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The peer is not behind a NAT, so its address cannot change: following would help an attacker only.
    PeerNotBehindNat,
    /// The packet may be an old one that somebody held back and sent from elsewhere.
    NotNewest,
    /// The packet was carried by another protocol: an SA in UDP does not go over to bare IP.
    OtherProtocol,
}

/// The path to one peer.
///
/// Every call is for a packet that was authenticated: its HASH or its ICV passed. Others, keepalives
/// included, never come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerEnd {
    path: Path,
    location: Location,
    moves: u64,
    refused: u64,
}

impl PeerEnd {
    /// Returns the peer at `path`, with NATs where they were detected.
    pub const fn new(path: Path, location: Location) -> Self {
        Self { path, location, moves: 0, refused: 0 }
    }

    /// Returns the path to the peer.
    pub const fn path(&self) -> Path {
        self.path
    }

    /// Returns where NATs are.
    pub const fn location(&self) -> Location {
        self.location
    }

    /// Returns how often the peer moved: `msgRxBadPortIpChange` on a router's page.
    pub const fn moves(&self) -> u64 {
        self.moves
    }

    /// Returns how many authentic packets from elsewhere did not move it.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Sets the path, where the negotiation itself moves: to port 4500 (RFC 3947 §4).
    pub fn set_path(&mut self, path: Path) {
        self.path = path;
    }

    /// Takes in where an authentic packet came from, and says whether the peer moved.
    pub fn on_authenticated(&mut self, path: Path, freshness: Freshness) -> Change {
        if path == self.path {
            return Change::None;
        }
        let refusal = if path.protocol != self.path.protocol {
            Some(Refusal::OtherProtocol)
        } else if !self.location.is_remote_behind() {
            Some(Refusal::PeerNotBehindNat)
        } else if freshness == Freshness::MayBeOld {
            Some(Refusal::NotNewest)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.refused = self.refused.saturating_add(1);
            return Change::Refused(refusal);
        }
        let from = core::mem::replace(&mut self.path, path);
        self.moves = self.moves.saturating_add(1);
        Change::Moved { from, to: path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(remote: [u8; 4], port: u16) -> Path {
        Path::new(([192, 0, 2, 2], 4500).into(), (remote, port).into())
    }

    fn peer(location: Location) -> PeerEnd {
        PeerEnd::new(path([192, 0, 2, 254], 20_001), location)
    }

    #[test]
    fn a_peer_behind_a_nat_is_followed_to_its_new_mapping() {
        for location in [Location::Remote, Location::Both] {
            let mut peer = peer(location);
            let (from, to) = (peer.path(), path([192, 0, 2, 254], 20_002));
            assert_eq!(peer.on_authenticated(to, Freshness::Newest), Change::Moved { from, to });
            assert_eq!(peer.path(), to);
            assert_eq!(peer.on_authenticated(to, Freshness::Newest), Change::None);
            assert_eq!((peer.moves(), peer.refused()), (1, 0));
        }
    }

    #[test]
    fn a_peer_that_is_not_behind_a_nat_is_never_followed() {
        for location in [Location::Local, Location::None, Location::Unknown] {
            let mut peer = peer(location);
            let before = peer.path();
            let change = peer.on_authenticated(path([203, 0, 113, 9], 4500), Freshness::Newest);
            assert_eq!(change, Change::Refused(Refusal::PeerNotBehindNat));
            assert_eq!(peer.path(), before);
            assert_eq!((peer.moves(), peer.refused()), (0, 1));
        }
    }

    #[test]
    fn an_old_packet_sent_from_elsewhere_moves_nobody() {
        let mut peer = peer(Location::Remote);
        let change = peer.on_authenticated(path([203, 0, 113, 9], 4500), Freshness::MayBeOld);
        assert_eq!(change, Change::Refused(Refusal::NotNewest));
        assert_eq!(peer.on_authenticated(peer.path(), Freshness::MayBeOld), Change::None);
    }

    #[test]
    fn an_sa_in_udp_does_not_go_over_to_bare_ip() {
        let mut peer = peer(Location::Remote);
        let bare = Path::ip(50, [192, 0, 2, 2].into(), [192, 0, 2, 254].into());
        assert_eq!(peer.on_authenticated(bare, Freshness::Newest), Change::Refused(Refusal::OtherProtocol));
    }
}
