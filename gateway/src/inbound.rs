//! From a datagram to a clear packet: association, policy check.

use crate::carry::{self, Around};
use crate::counters::count;
use crate::defaults;
use crate::demux::{self, AH, ESP, For, NotForUs};
use crate::pump::Gateway;
use crate::route::{INTERFACE, holds, ports};
use crate::trace::Step;
use arrayvec::ArrayVec;
use drive::{Datagram, Instant, Path};
use esp_ah::ah::ah_locate;
use esp_ah::ipcomp::IpcompError;
use esp_ah::mode::ModeError;
use esp_ah::{BufferTooSmall, Packet};
use ikev1_core::proposal::Mode;
use ikev1_core::{ChildId, Command};
use nat_t::demux::NotOurs;
use nat_t::udp_tunnel;
use sad::{Incoming, Opened, SaProtocol};
use spd::{Arrival, Direction, InboundRefusal, PacketKey};

/// Packets that are worked on together; a longer batch is worked on in lots of so many.
const LOT: usize = 64;

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DropReason {
    /// The exchanges dropped it.
    #[error(transparent)]
    Ike(#[from] ikev1_core::DropReason),
    /// The associations dropped it.
    #[error(transparent)]
    Association(#[from] sad::DropReason),
    /// Its port or protocol is not one of the plan's.
    #[error("not a port or protocol of ours")]
    NotOurs,
    /// It came to the NAT-T port, or another that IKE and ESP share, and is nothing that may come there.
    #[error("on a port for IKE and ESP: {0}")]
    NatT(NotOurs),
    /// It is a NAT keepalive, which did its work on the way.
    #[error("a keepalive")]
    Keepalive,
    /// It came to the port of the UDP tunnel, and is nothing that may come there.
    #[error("on the port of the UDP tunnel: {0}")]
    UdpTunnel(udp_tunnel::NotOurs),
    /// It came through the UDP tunnel, which no policy for it has on.
    #[error("no policy has the UDP tunnel on for it")]
    UdpTunnelPolicy,
    /// It is a heartbeat of the UDP tunnel, which did its work on the way.
    #[error("a heartbeat of the UDP tunnel")]
    Heartbeat,
    /// It came out of its association and is not the kind of packet announced.
    #[error("malformed packet inside")]
    Inner,
    /// It came out of AH, and is not the ESP that its bundle has inside.
    #[error("the bundle is not finished")]
    BundleUnfinished,
    /// It came out of the last association of its bundle in transport mode, and is ESP or AH again.
    #[error("protected more often than its bundle says")]
    BeyondBundle,
    /// It came out of its association compressed, and cannot be expanded.
    #[error(transparent)]
    Compression(#[from] IpcompError),
    /// A router on the way marked congestion on a packet that cannot carry the mark, RFC 6040 §4.2.
    #[error("congestion mark on a packet without ECN")]
    Congestion,
    /// The buffer has too little room to make a packet of what came out.
    #[error(transparent)]
    Room(#[from] BufferTooSmall),
    /// It came out of its association and is outside the traffic that was negotiated for it.
    #[error("outside the negotiated traffic")]
    Outside,
    /// It came out of its association, and the policies do not want it from there.
    #[error(transparent)]
    Policy(#[from] InboundRefusal),
    /// It uses the protocol and ports that another peer behind the same NAT uses, and can be lent no others, RFC 3948
    /// §5.2.
    #[error("another peer behind the same NAT uses these ports")]
    FlowTaken,
    /// The gateway is closed.
    #[error("closed")]
    Closed,
}

/// What became of a received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// Nothing yet.
    Unprocessed,
    /// It is opened: the packet is clear now, and wanted on this side.
    Deliver {
        /// The pair it came through.
        child: ChildId,
    },
    /// It belongs to the exchanges: give it to [`handle_datagram`](Gateway::handle_datagram).
    Control,
    /// It is dropped.
    Dropped(DropReason),
}

/// A received datagram, and after opening the clear packet.
///
/// The buffer needs [`ROOM`](crate::ROOM) before the datagram where transport mode is in use: the IP header of the
/// packet is put there. It needs room for the longest packet after it where compression is in use.
///
/// What comes over AH is the whole IP packet, header included, because AH covers it.
#[derive(Debug)]
pub struct InPacket<'b> {
    /// Where it arrived and whom it came from.
    pub path: Path,
    /// The payload of the datagram, and after opening the clear packet.
    pub packet: Packet<'b>,
    /// What became of it.
    pub outcome: Inbound,
    /// DSCP and ECN of the header that it came with, if the caller knows them: a congestion mark is passed on
    /// to the packet inside.
    pub traffic_class: Option<u8>,
}

impl<'b> InPacket<'b> {
    /// Returns a datagram to open.
    pub const fn new(path: Path, packet: Packet<'b>) -> Self {
        Self { path, packet, outcome: Inbound::Unprocessed, traffic_class: None }
    }
}

/// How far a datagram got by itself, before those with ESP are worked on together.
enum Way {
    /// Its outcome is known.
    Decided,
    /// It is ESP, from the path or out of AH.
    Esp { after: Option<After> },
    /// It came out of AH, and nothing is inside that.
    Ah(After),
}

/// What AH around a packet was.
struct After {
    opened: Opened,
    around: Around,
}

impl From<ModeError> for DropReason {
    fn from(error: ModeError) -> Self {
        if let ModeError::BufferTooSmall(error) = error {
            return Self::Room(error);
        }
        if error == ModeError::Congestion { Self::Congestion } else { Self::Inner }
    }
}

impl Gateway {
    /// Opens in place the datagrams that are ESP, and checks what comes out against the policies.
    ///
    /// Those that belong to the exchanges are left as they are, with [`Inbound::Control`]. Drain the
    /// actions afterwards.
    pub fn open_batch(&mut self, now: Instant, packets: &mut [InPacket<'_>]) {
        let now = self.clock.observe(now);
        for lot in packets.chunks_mut(LOT) {
            self.open_lot(now, lot);
        }
        self.drain(now);
    }

    pub(crate) fn open_lot(&mut self, now: Instant, lot: &mut [InPacket<'_>]) {
        let mut ways: ArrayVec<Way, LOT> = ArrayVec::new();
        for item in lot.iter_mut() {
            ways.push(self.open_outer(now, item));
        }
        let mut results: ArrayVec<_, LOT> = ArrayVec::new();
        {
            let mut jobs: ArrayVec<Incoming<'_>, LOT> = ArrayVec::new();
            for (item, way) in lot.iter_mut().zip(&ways) {
                let Way::Esp { after } = way else { continue };
                let job = Incoming::new(item.path, item.packet.reborrow());
                jobs.push(after.iter().fold(job, |job, after| job.with_through(after.opened.association)));
            }
            self.sad.open_batch(now, &mut jobs);
            results.extend(jobs.iter().map(|job| (job.outcome(), job.packet.range())));
        }
        let mut results = results.into_iter();
        for (item, way) in lot.iter_mut().zip(ways) {
            let finished = match way {
                Way::Decided => continue,
                Way::Ah(after) => self.accept(now, item, after.opened, Some(after)),
                Way::Esp { after } => {
                    let Some((opened, range)) = results.next() else { continue };
                    opened.map_err(|reason| self.not_opened(item, SaProtocol::Esp, reason)).and_then(|opened| {
                        // The range came out of this very buffer.
                        let _ = item.packet.set_range(range);
                        if self.tracer.on {
                            self.trace_opened(&opened, SaProtocol::Esp, &item.packet);
                        }
                        self.accept(now, item, opened, after)
                    })
                }
            };
            item.outcome = match finished {
                Ok(child) => Inbound::Deliver { child },
                Err(reason) => Inbound::Dropped(reason),
            };
        }
    }

    /// Tells what a datagram is for, and takes AH off: it stands around everything else.
    fn open_outer(&mut self, now: Instant, item: &mut InPacket<'_>) -> Way {
        item.outcome = self.sort(Datagram { path: item.path, payload: item.packet.octets() });
        if item.outcome != Inbound::Unprocessed {
            return Way::Decided;
        }
        count(&mut self.counters.in_packets);
        if self.ports.is_tunnel(item.path) {
            count(&mut self.tunnel.counters.in_pkt);
        }
        // What is sorted as ESP has its marker.
        let _ = item.packet.trim_front(self.ports.marker(item.path).len());
        if self.tracer.on {
            self.trace_arrival(item);
        }
        if item.path.protocol != AH {
            return Way::Esp { after: None };
        }
        match self.open_ah(now, item) {
            Ok(way) => way,
            Err(reason) => {
                item.outcome = Inbound::Dropped(reason);
                Way::Decided
            }
        }
    }

    fn open_ah(&mut self, now: Instant, item: &mut InPacket<'_>) -> Result<Way, DropReason> {
        let opened = self.sad.open_ah(now, item.path, None, &mut item.packet);
        let opened = opened.map_err(|reason| self.not_opened(item, SaProtocol::Ah, reason))?;
        let around = Around::take(&mut item.packet).inspect_err(|_| count(&mut self.counters.in_malformed))?;
        if self.tracer.on {
            let opened = Opened { next_header: around.protocol(), ..opened };
            self.trace_opened(&opened, SaProtocol::Ah, &item.packet);
        }
        let after = After { opened: Opened { next_header: around.protocol(), ..opened }, around };
        if self.sad.bundle_next(opened.association).is_none() {
            return Ok(Way::Ah(after));
        }
        if around.protocol() == ESP {
            return Ok(Way::Esp { after: Some(after) });
        }
        count(&mut self.counters.in_bundle_unfinished);
        if self.tracer.on {
            self.trace_in(ChildId(opened.flow.0), item, Err(DropReason::BundleUnfinished));
        }
        if let Some(policy) = self.pairs.get(&ChildId(opened.flow.0)).map(|pair| pair.policy) {
            self.count_policy(policy, |counters| &mut counters.in_premature_end_bundle);
        }
        Err(DropReason::BundleUnfinished)
    }

    /// Counts a packet that no association took.
    fn not_opened(&mut self, item: &InPacket<'_>, protocol: SaProtocol, reason: sad::DropReason) -> DropReason {
        count(&mut self.counters.in_not_opened);
        let child = self.carried_by(item, protocol);
        if self.tracer.on
            && let Some(child) = child
        {
            self.trace_in(child, item, Err(reason.into()));
        }
        if let Some(policy) = child.and_then(|child| self.pairs.get(&child)).map(|pair| pair.policy) {
            self.count_policy(policy, |counters| {
                if reason == sad::DropReason::NotFirstInBundle {
                    &mut counters.in_not_first_sa_in_bundle
                } else if reason == sad::DropReason::NotNextInBundle {
                    &mut counters.in_bundle_sa_match_fail
                } else if matches!(reason, sad::DropReason::NotCarrying(_)) {
                    &mut counters.in_bundle_state_bad
                } else {
                    count(&mut counters.in_process_start);
                    if reason == sad::DropReason::WrongSource {
                        &mut counters.in_process_fail_imm
                    } else {
                        &mut counters.in_process_fail
                    }
                }
            });
        }
        reason.into()
    }

    /// Returns the pair whose SPI a packet bears, which may be forged.
    pub(crate) fn carried_by(&self, item: &InPacket<'_>, protocol: SaProtocol) -> Option<ChildId> {
        let octets = item.packet.octets();
        let spi = match protocol {
            SaProtocol::Esp => u32::from_be_bytes(*octets.first_chunk()?),
            SaProtocol::Ah => ah_locate(octets).ok()?.spi,
        };
        let association = self.sad.find(spi, item.path.local.ip(), protocol)?;
        self.sad.flow_of(association).map(|flow| ChildId(flow.0))
    }

    /// Tells what is to be done with a datagram; `Unprocessed` means that it is ESP or AH.
    pub(crate) fn sort(&mut self, datagram: Datagram<'_>) -> Inbound {
        if self.closed {
            return Inbound::Dropped(DropReason::Closed);
        }
        match demux::sort(self.ports, datagram) {
            Ok(For::Associations) => Inbound::Unprocessed,
            Ok(For::Tunnel) => {
                let marker = self.ports.marker(datagram.path);
                if self.tunnel_wants(datagram.path, datagram.payload.get(marker.len()..).unwrap_or_default()) {
                    return Inbound::Unprocessed;
                }
                count(&mut self.tunnel.counters.in_pkt_no_policy);
                Inbound::Dropped(DropReason::UdpTunnelPolicy)
            }
            Ok(For::Heartbeat) => {
                count(&mut self.tunnel.counters.in_udp_heart_beat);
                Inbound::Dropped(DropReason::Heartbeat)
            }
            Ok(For::Ike) => Inbound::Control,
            Ok(For::Keepalive) => {
                count(&mut self.counters.in_keepalives);
                Inbound::Dropped(DropReason::Keepalive)
            }
            Err(reason) => {
                count(&mut self.counters.in_not_ours);
                Inbound::Dropped(match reason {
                    NotForUs::Port => DropReason::NotOurs,
                    NotForUs::Content(reason) => DropReason::NatT(reason),
                    NotForUs::Tunnel(reason) => {
                        self.tunnel.counters.count_refused(reason);
                        DropReason::UdpTunnel(reason)
                    }
                })
            }
        }
    }

    /// Makes a packet of what came out of the last association and checks it, RFC 4301 §5.2.
    fn accept(
        &mut self,
        now: Instant,
        item: &mut InPacket<'_>,
        opened: Opened,
        after: Option<After>,
    ) -> Result<ChildId, DropReason> {
        let accepted = self.check(now, item, opened, after);
        if self.tracer.on {
            self.trace_in(ChildId(opened.flow.0), item, accepted);
        }
        accepted
    }

    fn check(
        &mut self,
        now: Instant,
        item: &mut InPacket<'_>,
        opened: Opened,
        after: Option<After>,
    ) -> Result<ChildId, DropReason> {
        let child = ChildId(opened.flow.0);
        self.seen(now, child, item.path, opened.newest);
        let Some(pair) = self.pairs.get(&child) else {
            count(&mut self.counters.in_outside);
            return Err(DropReason::Outside);
        };
        let (policy, mode, ends, cpi) = (pair.policy, pair.mode, pair.ends, pair.inbound.cpi);
        let next_header = match cpi {
            Some(cpi) => self.expand(child, cpi, opened.next_header, &mut item.packet),
            None => Ok(opened.next_header),
        };
        let around = after.as_ref().map(|after| &after.around);
        let traffic_class = around.map(|around| around.traffic_class).or(item.traffic_class);
        let key = next_header.and_then(|kind| {
            if mode == Mode::Transport && matches!(kind, ESP | AH) {
                return Err(DropReason::BeyondBundle);
            }
            carry::leave(mode, &ends, kind, around, traffic_class, &mut item.packet)?;
            PacketKey::with_fragment(item.packet.octets(), Direction::Inbound).map_err(|_| DropReason::Inner)
        });
        let (key, fragment) = key.inspect_err(|reason| self.count_not_made(policy, *reason))?;
        let whole = self.as_whole(policy, key, fragment.as_ref());
        let (local_port, remote_port) = ports(whole.upper).unzip();
        let wanted = self.pairs.get(&child).is_some_and(|pair| {
            holds(&pair.local, key.local, key.protocol, local_port)
                && holds(&pair.remote, key.remote, key.protocol, remote_port)
        });
        if self.tracer.on {
            self.trace_pair_filter(child, Direction::Inbound, &whole);
        }
        if !wanted {
            if self.arrives_as_error(now, child, &key, item.packet.octets()) {
                return self.deliver(now, child, policy, &key, item);
            }
            count(&mut self.counters.in_outside);
            self.count_policy(policy, |counters| &mut counters.in_process_start);
            self.count_policy(policy, |counters| &mut counters.in_pol_select_match_fail);
            return Err(DropReason::Outside);
        }
        let (policies, fragment, arrival) = (&mut self.policies, fragment.as_ref(), Arrival::Protected { policy });
        let checked = self.fragments.inbound(now, policies, INTERFACE, &key, fragment, arrival);
        if self.tracer.on && !matches!(checked, Err(InboundRefusal::Fragment(_))) {
            self.trace_look_up(now, Some(arrival), &key, fragment);
        }
        match checked {
            Ok(_) => self.deliver(now, child, policy, &key, item),
            Err(refusal) => {
                self.count_policy(policy, |counters| &mut counters.in_process_start);
                if let InboundRefusal::Fragment(reason) = refusal {
                    count(&mut self.counters.in_fragments_refused);
                    self.fragment_refused(now, false, reason, &key);
                } else {
                    count(&mut self.counters.in_policy_refused);
                }
                Err(refusal.into())
            }
        }
    }

    /// Lets a packet in that is wanted from its pair.
    fn deliver(
        &mut self,
        now: Instant,
        child: ChildId,
        policy: spd::PolicyId,
        key: &PacketKey,
        item: &mut InPacket<'_>,
    ) -> Result<ChildId, DropReason> {
        self.claim(now, child, key, item.packet.octets_mut())
            .inspect_err(|_| self.count_policy(policy, |counters| &mut counters.in_process_fail))?;
        count(&mut self.counters.in_opened);
        self.count_policy(policy, |counters| &mut counters.in_process_done);
        Ok(child)
    }

    /// Counts what came out of its last association and made no packet.
    fn count_not_made(&mut self, policy: spd::PolicyId, reason: DropReason) {
        let counters = &mut self.counters;
        count(if reason == DropReason::Congestion {
            &mut counters.in_congestion
        } else if matches!(reason, DropReason::Room(_) | DropReason::Compression(IpcompError::BufferTooSmall(_))) {
            &mut counters.in_no_room
        } else {
            &mut counters.in_malformed
        });
        self.count_policy(policy, |counters| &mut counters.in_process_start);
        self.count_policy(policy, |counters| {
            let beyond = reason == DropReason::BeyondBundle;
            if beyond { &mut counters.in_end_of_bundle } else { &mut counters.in_process_fail }
        });
    }

    /// Says to the exchanges that a pair carried an authentic packet: now and then, and at once when the
    /// newest came from elsewhere.
    fn seen(&mut self, now: Instant, child: ChildId, path: Path, newest: bool) {
        let Some(pair) = self.pairs.get_mut(&child) else { return };
        // The ends of the UDP tunnel are where the policies say.
        let may_move = path.is_udp() && pair.path.is_udp() && !self.ports.is_tunnel(pair.path);
        if newest && may_move && path != pair.path {
            if self.tracer.on {
                self.trace_step(child, Direction::Inbound, Step::PathLearned(path));
            }
            // The exchanges know whether the peer may move; they answer with the path to use.
            let _ = self.ike.handle_command(now, Command::PathLearned { child, path });
        }
        let Some(pair) = self.pairs.get_mut(&child) else { return };
        if pair.seen_reported.is_none_or(|at| now - at >= defaults::TRAFFIC_REPORT) {
            pair.seen_reported = Some(now);
            let _ = self.ike.handle_command(now, Command::TrafficSeen { child });
        }
    }
}
