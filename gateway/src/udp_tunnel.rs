//! ESP of a policy in UDP on port 2746, as routers did it before RFC 3948: settings, peers, heartbeats.
//!
//! The exchanges know nothing of it: they run on their own port and agree on ESP as it is, and the policies at both
//! ends say that it travels in UDP. [`nat_t::udp_tunnel`] has the form of the datagrams.

use crate::action::Action;
use crate::config::ConfigError;
use crate::counters::count;
use crate::header::Header;
use crate::pump::Gateway;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use bytes::Bytes;
use core::net::{IpAddr, SocketAddr};
use drive::{Instant, Path, Timers, Transmit};
use ikev1_core::proposal::Protection;
use ikev1_core::{ChildId, ConnectionPlan, Peer, PolicyPlan};
use nat_t::udp_tunnel::{Counters, DEFAULT_PORT, HEARTBEAT, HEARTBEAT_INTERVAL};
use sad::SaProtocol;
use spd::TemplateId;

/// How the ESP of a policy travels in UDP: `UDPTUNNEL`. The policy at the peer must say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpTunnel {
    /// The port at the peer, 1 to 65535: `UDPPORT`.
    pub remote_port: u16,
    /// Whether a heartbeat goes there every 30 seconds while a pair of the policy stands: `UDPHEARTBEAT`.
    pub heartbeat: bool,
}

/// Port 2746, no heartbeat.
impl Default for UdpTunnel {
    fn default() -> Self {
        Self { remote_port: DEFAULT_PORT, heartbeat: false }
    }
}

/// What is wrong with the UDP tunnel of a policy: the field first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UdpTunnelProblem {
    /// There is no such policy.
    #[error("udp_tunnel: there is no such policy")]
    UnknownPolicy,
    /// NAT traversal, which puts ESP in UDP by itself, is on.
    #[error("nat_traversal: must be off where the UDP tunnel is on")]
    NatTraversal,
    /// An alternative of the policy has AH, which does not pass what rewrites addresses.
    #[error("suites: AH cannot go through the UDP tunnel")]
    Ah,
    /// The pair of manual keys has a path in UDP of its own.
    #[error("udp: the pair has a path in UDP already")]
    OtherPath,
    /// The port at the peer is 0.
    #[error("udp_tunnel.remote_port: must be 1 to 65535")]
    RemotePort,
    /// The port on this side is 0, which closes the tunnel.
    #[error("udp_tunnel_port: is 0, which closes the tunnel")]
    Closed,
    /// The port on this side is one of the exchanges'.
    #[error("udp_tunnel_port: is a port of the exchanges")]
    PortOfIke,
}

/// `IPsec over UDP Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpTunnelStatus {
    /// Whether a policy has it on: `OPEN` or `CLOSED`.
    pub open: bool,
    /// `Listen Port`, whether it is open or not.
    pub listen_port: u16,
    /// Its counters.
    pub counters: Counters,
}

/// The settings of the tunnel while a plan is made of them.
#[derive(Debug)]
pub(crate) struct Settings {
    port: u16,
    policies: BTreeMap<String, UdpTunnel>,
    exchanges: (u16, u16),
    plan: TunnelPlan,
}

/// The settings of the tunnel, checked.
#[derive(Debug, Default)]
pub(crate) struct TunnelPlan {
    pub(crate) port: u16,
    pub(crate) open: bool,
    /// The peers at addresses that policies with the tunnel on name.
    peers: BTreeSet<IpAddr>,
    /// Whether such a policy names peers at any of many addresses.
    many: bool,
}

impl Settings {
    pub(crate) fn new(port: u16, policies: BTreeMap<String, UdpTunnel>, ike: &ikev1_core::Plan) -> Self {
        let plan = TunnelPlan { port, ..TunnelPlan::default() };
        Self { port, policies, exchanges: (ike.ike_port(), ike.nat_t_port()), plan }
    }

    /// Returns the tunnel of a negotiated policy, if it is on.
    pub(crate) fn negotiated(
        &mut self,
        connection: &ConnectionPlan,
        policy: &PolicyPlan,
    ) -> Result<Option<UdpTunnel>, ConfigError> {
        let Some(tunnel) = self.take(policy.name())? else { return Ok(None) };
        let is_ah = |part: &Protection| matches!(part, Protection::Ah { .. });
        if connection.nat_traversal() {
            return Err(wrong(policy.name(), UdpTunnelProblem::NatTraversal));
        }
        if policy.suites().iter().flat_map(|suite| suite.parts()).any(is_ah) {
            return Err(wrong(policy.name(), UdpTunnelProblem::Ah));
        }
        match connection.peer() {
            Peer::Address(address) => drop(self.plan.peers.insert(address)),
            Peer::Subnet { .. } | Peer::Any => self.plan.many = true,
        }
        Ok(Some(tunnel))
    }

    /// Returns the tunnel of a policy with manual keys between two ends, if it is on, and the path through it.
    pub(crate) fn manual(
        &mut self,
        name: &str,
        ends: (IpAddr, IpAddr),
        has_path: bool,
    ) -> Result<Option<(UdpTunnel, Path)>, ConfigError> {
        let Some(tunnel) = self.take(name)? else { return Ok(None) };
        if has_path {
            return Err(wrong(name, UdpTunnelProblem::OtherPath));
        }
        self.plan.peers.insert(ends.1);
        Ok(Some((tunnel, through(self.port, tunnel, ends))))
    }

    fn take(&mut self, name: &str) -> Result<Option<UdpTunnel>, ConfigError> {
        let Some(tunnel) = self.policies.remove(name) else { return Ok(None) };
        if tunnel.remote_port == 0 {
            return Err(wrong(name, UdpTunnelProblem::RemotePort));
        }
        if self.port == 0 {
            return Err(wrong(name, UdpTunnelProblem::Closed));
        }
        if self.port == self.exchanges.0 || self.port == self.exchanges.1 {
            return Err(wrong(name, UdpTunnelProblem::PortOfIke));
        }
        self.plan.open = true;
        Ok(Some(tunnel))
    }

    /// Returns what was checked; every policy was seen.
    pub(crate) fn finish(self) -> Result<TunnelPlan, ConfigError> {
        match self.policies.first_key_value() {
            Some((name, _)) => Err(wrong(name, UdpTunnelProblem::UnknownPolicy)),
            None => Ok(self.plan),
        }
    }
}

fn wrong(policy: &str, problem: UdpTunnelProblem) -> ConfigError {
    ConfigError::UdpTunnel { policy: policy.into(), problem }
}

fn through(port: u16, tunnel: UdpTunnel, (local, remote): (IpAddr, IpAddr)) -> Path {
    Path::new(SocketAddr::new(local, port), SocketAddr::new(remote, tunnel.remote_port))
}

/// The tunnel at work.
#[derive(Debug)]
pub(crate) struct Tunnel {
    plan: TunnelPlan,
    pub(crate) counters: Counters,
    /// Where heartbeats go, and for which pairs.
    beating: BTreeMap<Path, BTreeSet<ChildId>>,
    beats: Timers<Path>,
}

impl Tunnel {
    pub(crate) fn new(plan: TunnelPlan) -> Self {
        Self { plan, counters: Counters::default(), beating: BTreeMap::new(), beats: Timers::new() }
    }

    pub(crate) fn status(&self) -> UdpTunnelStatus {
        let TunnelPlan { open, port, .. } = self.plan;
        UdpTunnelStatus { open, listen_port: port, counters: self.counters.clone() }
    }

    /// Returns when the next heartbeat is due.
    pub(crate) fn next(&self) -> Option<(Instant, &'static str)> {
        self.beats.next().map(|(at, _)| (at, "heartbeat of the UDP tunnel"))
    }

    /// Sends no heartbeat any more.
    pub(crate) fn close(&mut self) {
        self.beating.clear();
        self.beats = Timers::new();
    }

    /// Ends the heartbeats of a pair; those along its path end with the last pair.
    pub(crate) fn leave(&mut self, path: Path, child: ChildId) {
        if let Some(pairs) = self.beating.get_mut(&path) {
            pairs.remove(&child);
            if pairs.is_empty() {
                self.beating.remove(&path);
                self.beats.cancel(&path);
            }
        }
    }
}

impl Gateway {
    /// Returns the path of a pair of a policy: as it was negotiated, or through the tunnel.
    pub(crate) fn through_tunnel(&self, template: TemplateId, negotiated: Path) -> Path {
        match self.routes.of(template).and_then(|route| route.tunnel) {
            Some(tunnel) => through(self.tunnel.plan.port, tunnel, (negotiated.local.ip(), negotiated.remote.ip())),
            None => negotiated,
        }
    }

    /// Starts the heartbeats of a pair that may send, the first at once, if its policy has them on.
    pub(crate) fn start_heartbeats(&mut self, child: ChildId) {
        let Some(pair) = self.pairs.get(&child) else { return };
        let beats = self.routes.of(pair.template).and_then(|route| route.tunnel).is_some_and(|tunnel| tunnel.heartbeat);
        let path = pair.path;
        if beats
            && self.tunnel.beating.entry(path).or_default().insert(child)
            && self.tunnel.beats.deadline(&path).is_none()
        {
            self.beat(self.clock.latest(), path);
        }
    }

    /// Sends the heartbeats that are due.
    pub(crate) fn send_heartbeats(&mut self, now: Instant) {
        while let Some(path) = self.tunnel.beats.pop_due(now) {
            self.beat(now, path);
        }
    }

    fn beat(&mut self, now: Instant, path: Path) {
        count(&mut self.tunnel.counters.out_udp_heart_beat);
        self.push(Action::Transmit(Transmit { path, payload: Bytes::from_static(&HEARTBEAT) }, Header::PLAIN));
        self.tunnel.beats.set(path, now + HEARTBEAT_INTERVAL);
    }

    /// Returns whether an ESP packet that came through the tunnel is of a policy that has it on.
    ///
    /// Of an SPI that nobody has, the association database tells; unless no policy has the tunnel on to its sender.
    pub(crate) fn tunnel_wants(&self, path: Path, packet: &[u8]) -> bool {
        let spi = packet.first_chunk().map(|spi| u32::from_be_bytes(*spi));
        let association = spi.and_then(|spi| self.sad.find(spi, path.local.ip(), SaProtocol::Esp));
        let pair = association
            .and_then(|association| self.sad.flow_of(association))
            .and_then(|flow| self.pairs.get(&ChildId(flow.0)));
        match pair {
            Some(pair) => self.ports.is_tunnel(pair.path),
            None => self.tunnel.plan.many || self.tunnel.plan.peers.contains(&path.remote.ip()),
        }
    }
}
