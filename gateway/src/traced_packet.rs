//! What the policy debugger is told of packets themselves, before and after they are processed.

use crate::debug::DebugFlags;
use crate::demux::{AH, ESP, IPCOMP};
use crate::inbound::{DropReason, InPacket};
use crate::outbound::{OutPacket, Outbound};
use crate::pump::Gateway;
use crate::trace::{BufferHeader, IpHeader, PacketTrace, Step, TraceLine, TracePlace, TraceStage};
use crate::tracer::{name_of, way, whereabouts};
use alloc::vec::Vec;
use esp_ah::Packet;
use esp_ah::mode::{IPV4, IPV6};
use ikev1_core::ChildId;
use sad::{SaHandle, SaProtocol};
use spd::Direction;

impl Gateway {
    /// Tells of a packet to send before somebody processes it; `kind` is the protocol number of what it is.
    #[cold]
    pub(crate) fn trace_before(&mut self, child: ChildId, place: TracePlace, kind: u8, packet: &Packet<'_>) {
        self.trace_packet(child, Direction::Outbound, (place, TraceStage::Before), kind, packet);
    }

    /// Tells of a packet that arrived, if it bears the SPI of a pair.
    #[cold]
    pub(crate) fn trace_arrival(&mut self, item: &InPacket<'_>) {
        let (protocol, kind) = if item.path.protocol == AH { (SaProtocol::Ah, IPV4) } else { (SaProtocol::Esp, ESP) };
        if let Some(child) = self.carried_by(item, protocol) {
            for place in [TracePlace::Ipsec, TracePlace::of(protocol)] {
                self.trace_packet(child, Direction::Inbound, (place, TraceStage::Before), kind, &item.packet);
            }
        }
    }

    /// Tells that a packet was compressed, or that it would not have shrunk; `kind` is what it is now.
    #[cold]
    pub(crate) fn trace_compressed(&mut self, child: ChildId, from: usize, kind: u8, packet: &Packet<'_>) {
        let (direction, to) = (Direction::Outbound, packet.len());
        self.trace_packet(child, direction, (TracePlace::Ipcomp, TraceStage::After), kind, packet);
        if kind == IPCOMP {
            self.trace_step(child, direction, Step::Compressed { from, to });
        }
    }

    /// Tells that a packet was expanded to the protocol that is given, or was not.
    #[cold]
    pub(crate) fn trace_expanded(&mut self, child: ChildId, from: usize, to: Option<u8>, packet: &Packet<'_>) {
        let direction = Direction::Inbound;
        let stage = if to.is_some() { TraceStage::After } else { TraceStage::Failed };
        self.trace_packet(child, direction, (TracePlace::Ipcomp, stage), to.unwrap_or(IPCOMP), packet);
        if to.is_some() {
            self.trace_step(child, direction, Step::Expanded { from, to: packet.len() });
        }
    }

    /// Tells of a packet before or after somebody processes it; `kind` is the protocol number of what it is there.
    #[cold]
    pub(crate) fn trace_packet(
        &mut self,
        child: ChildId,
        direction: Direction,
        (place, stage): (TracePlace, TraceStage),
        kind: u8,
        packet: &Packet<'_>,
    ) {
        let Some(pair) = self.pairs.get(&child) else { return };
        let settings = self.tracer.of_pair(child, pair.policy);
        let flags = settings.packet;
        let result = match stage {
            TraceStage::Before => DebugFlags::OFF,
            TraceStage::After => DebugFlags::PASS,
            TraceStage::Failed => DebugFlags::FAIL,
        };
        if flags == DebugFlags::OFF || !flags.has(way(direction) | whereabouts(place) | result) {
            return;
        }
        let (policies, policy) = (&self.policies, pair.policy);
        self.tracer.tell(&mut self.counters, settings.device, || {
            let octets = if stage == TraceStage::Failed { &[] } else { packet.octets() };
            let shown = octets.get(..settings.packet_length).unwrap_or(octets);
            let is_ip = kind == IPV4 || kind == IPV6;
            TraceLine::Packet(PacketTrace {
                policy: name_of(policies, policy),
                child,
                direction,
                place,
                stage,
                buffer: flags.has(DebugFlags::BUFFER_HEADER).then(|| BufferHeader {
                    headroom: packet.headroom(),
                    length: packet.len(),
                    tailroom: packet.tailroom(),
                }),
                ip_header: if is_ip && flags.has(DebugFlags::IP_HEADER) { IpHeader::of(octets) } else { None },
                data: if flags.has(DebugFlags::DATA) { shown.to_vec() } else { Vec::new() },
            })
        });
    }

    /// Tells that a packet was sealed by an association, or that it was not.
    #[cold]
    pub(crate) fn trace_sealed(
        &mut self,
        child: ChildId,
        association: SaHandle,
        protocol: SaProtocol,
        sealed: Option<u64>,
        packet: &Packet<'_>,
    ) {
        let (place, kind) = (TracePlace::of(protocol), behind(protocol));
        let stage = if sealed.is_some() { TraceStage::After } else { TraceStage::Failed };
        self.trace_packet(child, Direction::Outbound, (place, stage), kind, packet);
        if let (Some(sequence), Some(spi)) = (sealed, self.sad.spi_of(association)) {
            self.trace_step(child, Direction::Outbound, Step::Sealed { protocol, spi: spi.get(), sequence });
        }
    }

    /// Tells that a packet was opened by an association.
    #[cold]
    pub(crate) fn trace_opened(&mut self, opened: &sad::Opened, protocol: SaProtocol, packet: &Packet<'_>) {
        let (child, place) = (ChildId(opened.flow.0), TracePlace::of(protocol));
        self.trace_packet(child, Direction::Inbound, (place, TraceStage::After), opened.next_header, packet);
        if let Some(spi) = self.sad.spi_of(opened.association) {
            let step = Step::Opened { protocol, spi: spi.get(), sequence: opened.sequence };
            self.trace_step(child, Direction::Inbound, step);
        }
        if protocol == SaProtocol::Ah && opened.next_header == ESP {
            self.trace_packet(child, Direction::Inbound, (TracePlace::Esp, TraceStage::Before), ESP, packet);
        }
    }

    /// Tells what became of a packet that a pair was to carry.
    #[cold]
    pub(crate) fn trace_out(&mut self, child: ChildId, item: &OutPacket<'_>) {
        let direction = Direction::Outbound;
        let (step, stage, kind) = match item.outcome {
            Outbound::Send(path) => {
                // What goes with AH is whole.
                let kind = if path.protocol == AH { IPV4 } else { path.protocol };
                (Step::Sent { path, octets: item.packet.len() }, TraceStage::After, kind)
            }
            Outbound::Dropped(reason) => (Step::NotSent(reason), TraceStage::Failed, 0),
            Outbound::Parted | Outbound::Bypass | Outbound::Waits | Outbound::Unprocessed => return,
        };
        self.trace_packet(child, direction, (TracePlace::Ipsec, stage), kind, &item.packet);
        self.trace_step(child, direction, step);
    }

    /// Tells what became of a packet that came through a pair.
    #[cold]
    pub(crate) fn trace_in(&mut self, child: ChildId, item: &InPacket<'_>, accepted: Result<ChildId, DropReason>) {
        let direction = Direction::Inbound;
        let (step, stage) = match accepted {
            Ok(_) => (Step::Delivered { octets: item.packet.len() }, TraceStage::After),
            Err(reason) => (Step::NotDelivered(reason), TraceStage::Failed),
        };
        self.trace_packet(child, direction, (TracePlace::Ipsec, stage), IPV4, &item.packet);
        self.trace_step(child, direction, step);
    }
}

/// Returns what stands in a buffer once a protocol has sealed: AH leaves a whole packet.
const fn behind(protocol: SaProtocol) -> u8 {
    match protocol {
        SaProtocol::Esp => ESP,
        SaProtocol::Ah => IPV4,
    }
}
