//! An attacker on the path: sees every packet, and decides what travels on.

use core::time::Duration;
use drive::{Instant, Transmit};

/// Sits on the wire. Whatever it puts into the outbox travels on, and nothing else.
///
/// It sees packets as the wire does, after the sender's NAT. Closures of the same shape are tampers.
pub trait Tamper {
    /// Looks at one packet and decides.
    fn on_packet(&mut self, now: Instant, packet: Transmit, out: &mut Outbox);
}

impl<F: FnMut(Instant, Transmit, &mut Outbox)> Tamper for F {
    fn on_packet(&mut self, now: Instant, packet: Transmit, out: &mut Outbox) {
        self(now, packet, out);
    }
}

/// What an attacker lets travel.
#[derive(Debug, Default)]
pub struct Outbox {
    packets: Vec<(Duration, Transmit)>,
}

impl Outbox {
    /// Lets a packet travel, be it the one seen, a changed one or a forged one.
    pub fn pass(&mut self, packet: Transmit) {
        self.pass_after(Duration::ZERO, packet);
    }

    /// Lets a packet travel after a delay on top of the link's.
    pub fn pass_after(&mut self, delay: Duration, packet: Transmit) {
        self.packets.push((delay, packet));
    }

    pub(crate) fn into_packets(self) -> Vec<(Duration, Transmit)> {
        self.packets
    }
}

/// Returns an attacker that lets everything pass but the packets whose numbers, from 0, `is_dropped` picks.
pub fn drop_where(mut is_dropped: impl FnMut(usize, &Transmit) -> bool) -> impl Tamper {
    let mut number = 0;
    move |_now: Instant, packet: Transmit, out: &mut Outbox| {
        if !is_dropped(number, &packet) {
            out.pass(packet);
        }
        number += 1;
    }
}

/// Returns an attacker that flips one bit, counted from 0, of the payload of packet `number`, counted from 0.
pub fn flip_bit(number: usize, bit: u64) -> impl Tamper {
    let mut seen = 0;
    move |_now: Instant, packet: Transmit, out: &mut Outbox| {
        out.pass(if seen == number { flipped(&packet, bit) } else { packet });
        seen += 1;
    }
}

/// Returns an attacker that sends every packet again after `delay`.
pub fn replay_after(delay: Duration) -> impl Tamper {
    move |_now: Instant, packet: Transmit, out: &mut Outbox| {
        out.pass(packet.clone());
        out.pass_after(delay, packet);
    }
}

/// Returns the packet with one bit of its payload flipped; a bit past the end changes nothing.
pub fn flipped(packet: &Transmit, bit: u64) -> Transmit {
    let mut payload = packet.payload.to_vec();
    let octet = usize::try_from(bit / 8).ok().and_then(|at| payload.get_mut(at));
    if let Some(octet) = octet {
        *octet ^= 0x80 >> (bit % 8);
    }
    Transmit { path: packet.path, payload: payload.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use drive::Path;

    #[test]
    fn flipping_a_bit_twice_restores_the_packet_and_a_bit_past_the_end_is_none() {
        let path = Path::new(([192, 0, 2, 1], 500).into(), ([192, 0, 2, 2], 500).into());
        let packet = Transmit { path, payload: Bytes::from_static(b"\x00\x00") };
        assert_eq!(&flipped(&packet, 9).payload[..], b"\x00\x40");
        assert_eq!(flipped(&flipped(&packet, 9), 9), packet);
        assert_eq!(flipped(&packet, 16), packet);
    }
}
