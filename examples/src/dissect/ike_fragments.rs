//! ISAKMP messages in fragments (payload 132), put together.

use ipsec_wire::isakmp::Cookie;
use ipsec_wire::isakmp::payload::Fragment;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Messages that wait at a time, or are remembered after they were whole; the oldest goes first.
const MESSAGES: usize = 256;
/// How long a message waits for its parts.
const AGE: Duration = Duration::from_secs(60);

/// An ISAKMP message that came in fragments.
#[derive(Debug, PartialEq, Eq)]
pub struct Joined {
    /// The whole message, header first.
    pub octets: Vec<u8>,
    /// The numbers of the frames it came in.
    pub frames: Vec<u64>,
}

/// The messages whose parts have come.
#[derive(Debug, Default)]
pub struct Fragments {
    messages: BTreeMap<Name, Parts>,
    order: VecDeque<Name>,
}

/// The initiator cookie, who sends, and the number of the message, which many peers never change.
type Name = (Cookie, IpAddr, u16);

#[derive(Debug)]
struct Parts {
    began: Duration,
    /// By number: the frame it came in, whether it is the last, and its data.
    parts: BTreeMap<u8, (u64, bool, Vec<u8>)>,
    told: bool,
}

impl Fragments {
    /// Takes a fragment, and returns the message when it was the last one missing.
    ///
    /// A fragment that came before is not a new one; one with a number that came before and other
    /// octets begins another message, for peers use the same message number again and again.
    pub fn take(&mut self, name: Name, frame: u64, now: Duration, fragment: &Fragment<&[u8]>) -> Option<Joined> {
        let seen = self.messages.get(&name);
        let other = |(_, _, data): &(u64, bool, Vec<u8>)| data != fragment.data;
        let stale = seen.is_some_and(|seen| {
            now.saturating_sub(seen.began) > AGE || seen.parts.get(&fragment.number).is_some_and(other)
        });
        if stale || seen.is_none() {
            self.begin(name, now);
        }
        let message = self.messages.get_mut(&name)?;
        message.parts.entry(fragment.number).or_insert((frame, fragment.is_last(), fragment.data.to_vec()));
        if message.told {
            return None;
        }
        let last = message.parts.iter().find(|(_, (_, is_last, _))| *is_last).map(|(number, _)| *number)?;
        let mut joined = Joined { octets: Vec::new(), frames: Vec::new() };
        for number in 1..=last {
            let (frame, _, data) = message.parts.get(&number)?;
            joined.octets.extend_from_slice(data);
            joined.frames.push(*frame);
        }
        joined.frames.sort_unstable();
        message.told = true;
        Some(joined)
    }

    fn begin(&mut self, name: Name, now: Duration) {
        self.order.retain(|known| *known != name);
        self.order.push_back(name);
        self.messages.insert(name, Parts { began: now, parts: BTreeMap::new(), told: false });
        if self.order.len() > MESSAGES
            && let Some(oldest) = self.order.pop_front()
        {
            self.messages.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(fragments: &mut Fragments, frame: u64, number: u8, last: bool, data: &[u8]) -> Option<Joined> {
        let fragment = Fragment { id: 1, number, flags: last.into(), data };
        let name = (Cookie([1; 8]), IpAddr::from([192, 0, 2, 1]), 1);
        fragments.take(name, frame, Duration::from_secs(frame), &fragment)
    }

    #[test]
    fn fragments_in_any_order_make_the_message_once() {
        for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
            let mut fragments = Fragments::default();
            let made: Vec<_> = order
                .iter()
                .chain(&order)
                .enumerate()
                .filter_map(|(at, number)| take(&mut fragments, at as u64 + 1, *number, *number == 3, &[*number; 4]))
                .collect();
            let octets = [[1; 4], [2; 4], [3; 4]].concat();
            assert_eq!(made, [Joined { octets, frames: vec![1, 2, 3] }], "{order:?}");
        }
    }

    #[test]
    fn a_peer_that_uses_the_same_number_again_begins_a_new_message() {
        let mut fragments = Fragments::default();
        assert_eq!(take(&mut fragments, 1, 1, false, b"one "), None);
        assert!(take(&mut fragments, 2, 2, true, b"message").is_some());
        assert_eq!(take(&mut fragments, 3, 2, true, b"another"), None);
        let made = take(&mut fragments, 4, 1, false, b"and ").unwrap();
        assert_eq!((&made.octets[..], &made.frames[..]), (&b"and another"[..], &[3, 4][..]));
    }

    #[test]
    fn a_part_beyond_the_last_or_a_gap_makes_nothing() {
        let mut fragments = Fragments::default();
        assert_eq!(take(&mut fragments, 1, 3, false, b"c"), None);
        assert_eq!(take(&mut fragments, 2, 2, true, b"b"), None);
        assert_eq!(take(&mut fragments, 3, 1, false, b"a").unwrap().octets, b"ab");
    }

    #[test]
    fn old_parts_and_too_many_messages_are_forgotten() {
        let mut fragments = Fragments::default();
        take(&mut fragments, 1, 1, false, b"a");
        assert_eq!(take(&mut fragments, 100, 2, true, b"b"), None);
        let fragment = Fragment { id: 1, number: 1, flags: 0, data: &b"x"[..] };
        for id in 0..2000 {
            let name = (Cookie([1; 8]), IpAddr::from([192, 0, 2, 1]), id);
            fragments.take(name, 200, Duration::from_secs(200), &fragment);
        }
        assert_eq!((fragments.messages.len(), fragments.order.len()), (MESSAGES, MESSAGES));
    }
}
