//! What a datagram is for.

use drive::{Datagram, Path};
use nat_t::demux::{Content, NON_IKE_MARKER, NotOurs, port_500, port_4500};
use nat_t::udp_tunnel;

/// The IP protocol number of ESP.
pub(crate) const ESP: u8 = 50;
/// The IP protocol number of AH.
pub(crate) const AH: u8 = 51;
/// The IP protocol number of IPComp.
pub(crate) const IPCOMP: u8 = 108;

/// The UDP ports on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) ike: u16,
    pub(crate) nat_t: u16,
    /// Whether ESP comes to the port of IKE too, as drafts 00 and 01 of NAT traversal have it.
    pub(crate) shared: bool,
    /// That of the UDP tunnel, if a policy has it on.
    pub(crate) tunnel: Option<u16>,
}

impl Ports {
    /// Returns what stands before ESP on a path.
    pub(crate) fn marker(self, path: Path) -> &'static [u8] {
        if path.is_udp() { self.marker_from(path.local.port()) } else { &[] }
    }

    /// Returns what stands before ESP from one of our ports: from that of IKE, eight octets that no IKE message begins
    /// with; from that of the UDP tunnel its header.
    pub(crate) fn marker_from(self, port: u16) -> &'static [u8] {
        if self.tunnel == Some(port) {
            &udp_tunnel::ESP_HEADER
        } else if self.shared && port == self.ike {
            &NON_IKE_MARKER
        } else {
            &[]
        }
    }

    /// Returns whether a path is through the UDP tunnel.
    pub(crate) fn is_tunnel(self, path: Path) -> bool {
        path.is_udp() && self.tunnel == Some(path.local.port())
    }
}

/// What a datagram is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// The exchanges: the whole datagram, marker included.
    Ike,
    /// The associations: the whole payload is one ESP packet behind its marker, or one IP packet with AH.
    Associations,
    /// The associations of policies that have the UDP tunnel on: an ESP packet behind the tunnel's header.
    Tunnel,
    /// Nobody: the UDP tunnel's heartbeat, which did its work on the way.
    Heartbeat,
    /// Nobody: it did its work in the NATs on its way.
    Keepalive,
}

/// Why a datagram is for nobody here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotForUs {
    /// Its port or protocol is not one of the plan's.
    Port,
    /// It came to a port that IKE and ESP share and is nothing that may come there.
    Content(NotOurs),
    /// It came to the port of the UDP tunnel and is nothing that may come there.
    Tunnel(udp_tunnel::NotOurs),
}

/// Tells what a datagram is for by where it came in, and on a port that IKE and ESP share by its first octets,
/// RFC 3948 §2.
pub(crate) fn sort(ports: Ports, datagram: Datagram<'_>) -> Result<For, NotForUs> {
    let Path { protocol, local, .. } = datagram.path;
    match protocol {
        ESP | AH => Ok(For::Associations),
        Path::UDP if local.port() == ports.nat_t => content(port_4500(datagram.payload)),
        Path::UDP if local.port() == ports.ike && ports.shared => content(port_500(datagram.payload)),
        Path::UDP if local.port() == ports.ike => Ok(For::Ike),
        Path::UDP if ports.tunnel == Some(local.port()) => match udp_tunnel::parse(datagram.payload) {
            Ok(udp_tunnel::Content::Esp(_)) => Ok(For::Tunnel),
            Ok(udp_tunnel::Content::Heartbeat) => Ok(For::Heartbeat),
            Err(reason) => Err(NotForUs::Tunnel(reason)),
        },
        _ => Err(NotForUs::Port),
    }
}

fn content(content: Result<Content<'_>, NotOurs>) -> Result<For, NotForUs> {
    match content {
        Ok(Content::Ike(_)) => Ok(For::Ike),
        Ok(Content::Esp(_)) => Ok(For::Associations),
        Ok(Content::Keepalive) => Ok(For::Keepalive),
        Err(reason) => Err(NotForUs::Content(reason)),
    }
}
