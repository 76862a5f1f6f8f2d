//! Ports lent to peers behind one NAT that use the same: a port translation above the associations, RFC 3948
//! Appendix A, Tr2.
//!
//! The second of two peers with equal ports gets another port towards the programs of this machine, and they answer to
//! that; what is carried never shows it. So two L2TP clients of one household, both at port 1701, can both be served.

use crate::defaults::{FIRST_LENT_PORT, FLOW_AGE, MAX_LENT_PORTS};
use crate::pump::Gateway;
use crate::session::SessionId;
use crate::shared::Flow;
use alloc::collections::BTreeMap;
use drive::Instant;
use ipsec_wire::ipv4::Ipv4Packet;
use ipsec_wire::ipv6::Ipv6Packet;
use spd::{Direction, PacketKey};

const TCP: u8 = 6;
const UDP: u8 = 17;
/// Ports that are tried for one flow, before it gets none.
const TRIES: usize = 16;

/// Whom a port is lent to, and which it stands for.
#[derive(Clone, Copy, Debug)]
struct Lent {
    session: SessionId,
    port: u16,
    used: Instant,
}

/// The ports that are lent.
#[derive(Debug, Default)]
pub(crate) struct LentPorts {
    /// By the flow as programs see it.
    seen: BTreeMap<Flow, Lent>,
    /// By the flow as the peer has it: the port that programs see.
    carried: BTreeMap<(SessionId, Flow), u16>,
    last: u16,
}

impl LentPorts {
    /// Returns the port that programs see in place of a peer's own; `None` if there is none to lend.
    pub(crate) fn lend(
        &mut self,
        now: Instant,
        session: SessionId,
        flow: Flow,
        is_used: impl Fn(Flow) -> bool,
    ) -> Option<u16> {
        let (_, port) = flow.ports()?;
        if let Some(known) = self.carried.get(&(session, flow)).copied()
            && let Some(lent) = self.seen.get_mut(&flow.with_remote_port(known))
        {
            lent.used = now;
            return Some(known);
        }
        if self.seen.len() >= MAX_LENT_PORTS {
            self.take_back(|lent| now - lent.used >= FLOW_AGE);
        }
        if self.seen.len() >= MAX_LENT_PORTS {
            return None;
        }
        for _ in 0..TRIES {
            self.last = self.last.checked_add(1).unwrap_or(FIRST_LENT_PORT).max(FIRST_LENT_PORT);
            let visible = flow.with_remote_port(self.last);
            if !self.seen.contains_key(&visible) && !is_used(visible) {
                self.seen.insert(visible, Lent { session, port, used: now });
                self.carried.insert((session, flow), self.last);
                return Some(self.last);
            }
        }
        None
    }

    /// Returns how many are lent.
    pub(crate) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Returns whether programs know a flow under which another is carried.
    pub(crate) fn is_lent(&self, flow: Flow) -> bool {
        self.seen.contains_key(&flow)
    }

    /// Takes back the ports of a session that is gone.
    pub(crate) fn forget(&mut self, session: SessionId) {
        if !self.seen.is_empty() {
            self.take_back(|lent| lent.session == session);
        }
    }

    fn take_back(&mut self, is_over: impl Fn(&Lent) -> bool) {
        let carried = &mut self.carried;
        self.seen.retain(|flow, lent| {
            let over = is_over(lent);
            if over {
                carried.remove(&(lent.session, flow.with_remote_port(lent.port)));
            }
            !over
        });
    }
}

impl Gateway {
    /// Gives a packet that a program sends to a lent port the port it stands for, and returns whose that is.
    pub(crate) fn return_port(&mut self, now: Instant, packet: &mut [u8]) -> Option<SessionId> {
        if self.lent_ports.seen.is_empty() {
            return None;
        }
        let key = PacketKey::from_packet(packet, Direction::Outbound).ok()?;
        let lent = self.lent_ports.seen.get_mut(&Flow::of(&key))?;
        lent.used = now;
        let Lent { session, port, .. } = *lent;
        write_port(packet, End::Destination, port)?;
        Some(session)
    }
}

/// Which of the two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Source,
    Destination,
}

/// Writes a port into a whole TCP or UDP packet and mends the checksum, RFC 1624:
///
/// `HC' = ~(~HC + ~m + m')`
pub(crate) fn write_port(packet: &mut [u8], end: End, port: u16) -> Option<()> {
    let (protocol, start) = if let Ok(view) = Ipv4Packet::new_checked(&*packet) {
        (!view.is_fragment()).then_some((view.protocol(), view.header_len()))?
    } else {
        let upper = Ipv6Packet::new_checked(&*packet).ok()?.upper_layer().ok()?;
        upper.fragment.is_none().then_some((upper.protocol, upper.offset))?
    };
    let checksum_at = match protocol {
        UDP => 6,
        TCP => 16,
        _ => return None,
    };
    let segment = packet.get_mut(start..)?;
    let sum = u16::from_be_bytes(*segment.get(checksum_at..)?.first_chunk()?);
    let field = segment.get_mut(if end == End::Source { 0 } else { 2 }..)?.first_chunk_mut::<2>()?;
    let before = u16::from_be_bytes(*field);
    *field = port.to_be_bytes();
    // UDP without a checksum stays without.
    if protocol == UDP && sum == 0 {
        return Some(());
    }
    let added = u32::from(!sum) + u32::from(!before) + u32::from(port);
    let folded = (added & 0xffff) + (added >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let mended = !u16::try_from(folded).ok()?;
    let mended = if protocol == UDP && mended == 0 { 0xffff } else { mended };
    segment.get_mut(checksum_at..)?.first_chunk_mut::<2>().map(|field| *field = mended.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use ipsec_wire::udp::UdpDatagram;
    use proptest::prelude::*;

    fn flow(port: u16) -> Flow {
        Flow::of_test(port)
    }

    #[test]
    fn a_lent_port_is_kept_by_its_flow_and_given_to_no_other() {
        let mut ports = LentPorts::default();
        let (one, two) = (SessionId::of_test(1), SessionId::of_test(2));
        let now = Instant::from_secs(1);
        let first = ports.lend(now, one, flow(1701), |_| false).unwrap();
        assert_eq!(ports.lend(now, one, flow(1701), |_| false), Some(first));
        let second = ports.lend(now, two, flow(1701), |_| false).unwrap();
        let third = ports.lend(now, one, flow(1702), |_| false).unwrap();
        assert!(first != second && second != third && first != third);
        assert!(ports.is_lent(flow(first)) && !ports.is_lent(flow(1701)));
        ports.forget(one);
        assert!(!ports.is_lent(flow(first)) && ports.is_lent(flow(second)));
        assert_eq!(ports.carried.len(), 1);
        let used = |flow: Flow| flow != flow.with_remote_port(FIRST_LENT_PORT + 7);
        assert_eq!(ports.lend(now, one, flow(1701), used), Some(FIRST_LENT_PORT + 7));
    }

    #[test]
    fn when_all_are_lent_those_that_were_not_used_are_taken_back() {
        let mut ports = LentPorts::default();
        let now = Instant::from_secs(1);
        let count = u16::try_from(MAX_LENT_PORTS).unwrap();
        for port in 0..count {
            assert!(ports.lend(now, SessionId::of_test(1), flow(port), |_| false).is_some());
        }
        assert_eq!(ports.lend(now, SessionId::of_test(1), flow(count), |_| false), None);
        let later = now + FLOW_AGE;
        assert!(ports.lend(later, SessionId::of_test(1), flow(count), |_| false).is_some());
        assert_eq!((ports.seen.len(), ports.carried.len()), (1, 1));
    }

    proptest! {
        #[test]
        fn a_port_written_leaves_the_checksum_right(from: u16, to: u16, payload: Vec<u8>, with_sum: bool) {
            let ends = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
            let mut datagram = Vec::from([0; 8]);
            datagram.extend_from_slice(&payload);
            let sum = with_sum.then_some(ends);
            ipsec_wire::udp::emit_header(&mut datagram, from, 1701, sum).unwrap();
            let mut packet = Vec::from([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
            packet.extend_from_slice(&datagram);
            let length = u16::try_from(packet.len()).unwrap();
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            prop_assert!(write_port(&mut packet, End::Source, to).is_some());
            let view = UdpDatagram::new_checked(&packet[20..]).unwrap();
            prop_assert!(view.checksum_is_valid(ends.0, ends.1));
            prop_assert_eq!((view.source_port(), view.destination_port(), view.checksum() == 0), (to, 1701, !with_sum));
        }
    }
}
