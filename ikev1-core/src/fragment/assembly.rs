//! Parts on the way in: kept in slots until their message is whole.

use super::{FragmentFault, FragmentLimits};
use crate::ids::{Cookies, IkeSaId};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use drive::Instant;
use ipsec_wire::isakmp::payload::Fragment;

/// Which message a part belongs to.
///
/// The source is part of the name, so that parts forged from elsewhere meet no lawful ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Which {
    pub(crate) ike_sa: IkeSaId,
    pub(crate) cookies: Cookies,
    pub(crate) remote: SocketAddr,
    pub(crate) id: u16,
}

/// What became of a part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It waits for the others.
    Kept,
    /// It is there already.
    Repeat,
    /// It was the one that was missing: the whole message.
    Whole(Vec<u8>),
    /// It is one of a message that was whole before, which the peer sends again: it waits for an answer.
    Again(Vec<u8>),
}

/// The parts of one message.
///
/// Once it is whole its parts stay for a while: some peers have one id for all their messages, and a
/// part that came twice must not be taken for the beginning of the next.
#[derive(Debug)]
struct Set {
    /// Its place among all sets, oldest first.
    serial: u64,
    began: Instant,
    slots: Vec<Option<Box<[u8]>>>,
    kept: usize,
    last: Option<usize>,
    octets: usize,
    /// When it was whole the last time.
    whole: Option<Instant>,
}

impl Set {
    const fn new(serial: u64, began: Instant) -> Self {
        Self { serial, began, slots: Vec::new(), kept: 0, last: None, octets: 0, whole: None }
    }

    /// Returns whether a part is one of a message that was whole already.
    fn is_over_for(&self, part: &Fragment<&[u8]>) -> bool {
        self.whole.is_some() && self.check(part, &FragmentLimits::default()) != Ok(false)
    }

    /// Returns whether a part that is there already belongs to a resend, not to a link that doubles.
    fn is_sent_again(&mut self, now: Instant) -> bool {
        let again = self.whole.is_some_and(|whole| now >= whole + RESEND_GAP);
        if again {
            self.whole = Some(now);
        }
        again
    }

    /// Holds a part against those that are there, without keeping it: `false` for one that is there.
    fn check(&self, part: &Fragment<&[u8]>, limits: &FragmentLimits) -> Result<bool, FragmentFault> {
        let number = usize::from(part.number);
        if let Some(Some(there)) = self.slots.get(number.saturating_sub(1)) {
            let same = **there == *part.data && (self.last == Some(number)) == part.is_last();
            return if same { Ok(false) } else { Err(FragmentFault::Differs) };
        }
        let contradicts = match (self.last, part.is_last()) {
            (Some(_), true) => true,
            (Some(last), false) => number > last,
            (None, true) => self.slots.len() > number,
            (None, false) => false,
        };
        if contradicts {
            return Err(FragmentFault::Conflict);
        }
        if self.octets.saturating_add(part.data.len()) > limits.octets {
            return Err(FragmentFault::TooLong);
        }
        Ok(true)
    }

    /// Keeps a part that was found right, and returns whether none is missing now.
    fn keep(&mut self, part: &Fragment<&[u8]>) -> bool {
        let number = usize::from(part.number);
        if self.slots.len() < number {
            self.slots.resize_with(number, || None);
        }
        if let Some(slot) = self.slots.get_mut(number.saturating_sub(1)) {
            *slot = Some(part.data.into());
        }
        self.kept = self.kept.saturating_add(1);
        self.octets = self.octets.saturating_add(part.data.len());
        if part.is_last() {
            self.last = Some(number);
        }
        self.last == Some(self.kept)
    }

    /// Returns what the set weighs, its slots included.
    fn weight(&self) -> usize {
        self.slots.len().saturating_mul(SLOT).saturating_add(self.octets)
    }

    fn join(&self) -> Vec<u8> {
        self.slots.iter().flatten().fold(Vec::with_capacity(self.octets), |mut whole, part| {
            whole.extend_from_slice(part);
            whole
        })
    }
}

/// How long after its message was whole a part is taken for one of a resend: no peer is so fast, and
/// few links double so late.
const RESEND_GAP: Duration = Duration::from_millis(400);
/// What a slot weighs besides its octets: many tiny parts must not be cheap.
pub(crate) const SLOT: usize = 64;

/// All parts that wait for others.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    sets: BTreeMap<Which, Set>,
    by_age: BTreeMap<u64, Which>,
    serial: u64,
    weight: usize,
}

impl Assembly {
    /// Takes in a part. The work is a look-up, and once a message is whole one pass over it.
    ///
    /// # Errors
    /// The part was dropped, and after [`FragmentFault::Conflict`] or [`FragmentFault::TooLong`] its
    /// whole set; no other set changes but by the limits, which take the oldest first.
    pub(crate) fn insert(
        &mut self,
        now: Instant,
        which: Which,
        part: &Fragment<&[u8]>,
        limits: &FragmentLimits,
    ) -> Result<Step, FragmentFault> {
        if part.number > limits.parts {
            return Err(FragmentFault::TooMany);
        }
        let current = self.take(&which).filter(|set| !set.is_over_for(part));
        let mut set = current.unwrap_or_else(|| self.begin(now, &which, limits));
        match set.check(part, limits) {
            Ok(true) => {}
            Ok(false) => {
                let step = if set.is_sent_again(now) { Step::Again(set.join()) } else { Step::Repeat };
                self.put(which, set);
                return Ok(step);
            }
            Err(FragmentFault::Differs) => {
                self.put(which, set);
                return Err(FragmentFault::Differs);
            }
            Err(fault) => return Err(fault),
        }
        let step = if set.keep(part) {
            set.whole = Some(now);
            Step::Whole(set.join())
        } else {
            Step::Kept
        };
        let weight = set.weight();
        while self.weight.saturating_add(weight) > limits.total_octets {
            let Some(oldest) = self.by_age.values().next().copied() else { break };
            self.take(&oldest);
        }
        self.put(which, set);
        Ok(step)
    }

    /// Forgets a message that was whole and could not be used, so that the next sending begins anew.
    pub(crate) fn discard(&mut self, which: &Which) {
        self.take(which);
    }

    /// Lets the next part of a message that was sent again, but not answered, count as a resend too.
    pub(crate) fn retry(&mut self, which: &Which) {
        if let Some(set) = self.sets.get_mut(which) {
            set.whole = set.whole.map(|_| Instant::ZERO);
        }
    }

    /// Returns a new set; if its SA has too many, the oldest of them goes.
    fn begin(&mut self, now: Instant, which: &Which, limits: &FragmentLimits) -> Set {
        let of_sa: Vec<(u64, Which)> = self.of(which.ike_sa).map(|(which, set)| (set.serial, *which)).collect();
        if of_sa.len() >= limits.messages_per_sa
            && let Some((_, oldest)) = of_sa.iter().min()
        {
            self.take(oldest);
        }
        self.serial = self.serial.saturating_add(1);
        Set::new(self.serial, now)
    }

    fn of(&self, ike_sa: IkeSaId) -> impl Iterator<Item = (&Which, &Set)> {
        let of_sa = move |(which, _): &(&Which, &Set)| which.ike_sa == ike_sa;
        self.sets.range(first_of(ike_sa)..).take_while(of_sa)
    }

    fn take(&mut self, which: &Which) -> Option<Set> {
        let set = self.sets.remove(which)?;
        self.by_age.remove(&set.serial);
        self.weight = self.weight.saturating_sub(set.weight());
        Some(set)
    }

    fn put(&mut self, which: Which, set: Set) {
        self.weight = self.weight.saturating_add(set.weight());
        self.by_age.insert(set.serial, which);
        self.sets.insert(which, set);
    }

    /// Forgets the parts of an SA.
    pub(crate) fn forget(&mut self, ike_sa: IkeSaId) {
        let of_sa: Vec<Which> = self.of(ike_sa).map(|(which, _)| *which).collect();
        for which in of_sa {
            self.take(&which);
        }
    }

    /// Forgets the sets that are too old, and returns how many were not whole.
    pub(crate) fn expire(&mut self, now: Instant, age: Duration) -> usize {
        let mut gone = 0;
        while self.deadline(age).is_some_and(|at| at <= now) {
            let Some(oldest) = self.by_age.values().next().copied() else { break };
            gone += usize::from(self.take(&oldest).is_some_and(|set| set.whole.is_none()));
        }
        gone
    }

    /// Returns when the oldest set is too old.
    pub(crate) fn deadline(&self, age: Duration) -> Option<Instant> {
        let oldest = self.by_age.values().next()?;
        self.sets.get(oldest).map(|set| set.began + age)
    }

    /// Returns how many messages wait for parts, and what is kept in octets.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.sets.values().filter(|set| set.whole.is_none()).count(), self.weight)
    }
}

/// Returns a name that stands before all of an SA.
const fn first_of(ike_sa: IkeSaId) -> Which {
    let zero = ipsec_wire::isakmp::Cookie::ZERO;
    let remote = SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), 0);
    Which { ike_sa, cookies: Cookies { initiator: zero, responder: zero }, remote, id: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use ipsec_wire::isakmp::{Body, Message};
    use ipsec_wire::registry::PayloadType;

    const LIMITS: FragmentLimits = FragmentLimits {
        parts: 8,
        octets: 1_000,
        messages_per_sa: 2,
        total_octets: 3_000,
        age: Duration::from_secs(30),
    };

    fn which(sa: u64, id: u16) -> Which {
        Which { id, remote: ([192, 0, 2, 1], 500).into(), ..first_of(IkeSaId(sa)) }
    }

    fn part(number: u8, last: bool, data: &[u8]) -> Fragment<&[u8]> {
        Fragment { id: 1, number, flags: u8::from(last), data }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_secs(seconds)
    }

    /// All orders of the numbers below `n`.
    fn orders(n: usize) -> Vec<Vec<usize>> {
        if n == 0 {
            return vec![Vec::new()];
        }
        let longer = |order: Vec<usize>| {
            (0..n).map(move |place| {
                let mut order = order.clone();
                order.insert(place, n - 1);
                order
            })
        };
        orders(n - 1).into_iter().flat_map(longer).collect()
    }

    fn feed(assembly: &mut Assembly, first: u8, number: usize, of: usize) -> Result<Step, FragmentFault> {
        let data = [first + u8::try_from(number).unwrap(); 3];
        let number = u8::try_from(number + 1).unwrap();
        assembly.insert(at(1), which(1, 1), &part(number, usize::from(number) == of, &data), &LIMITS)
    }

    #[test]
    fn up_to_six_parts_come_in_any_order_each_twice_and_a_second_message_follows() {
        for n in 1..=6 {
            for order in orders(n) {
                let mut assembly = Assembly::default();
                for first in [b'a', b'A'] {
                    let wanted = (0..n).flat_map(|number| [first + u8::try_from(number).unwrap(); 3]).collect();
                    for (place, number) in order.iter().enumerate() {
                        let step = feed(&mut assembly, first, *number, n).unwrap();
                        if place + 1 == n {
                            assert_eq!(step, Step::Whole(Vec::clone(&wanted)), "{order:?}");
                        } else {
                            assert_eq!(step, Step::Kept, "{order:?}");
                            assert_eq!(feed(&mut assembly, first, *number, n), Ok(Step::Repeat), "{order:?}");
                        }
                    }
                    assert_eq!(assembly.load().0, 0);
                }
            }
        }
    }

    /// CVE-2016-10396 was a list walked once per part; here a part costs one slot whatever the order.
    #[test]
    fn as_many_parts_as_there_may_be_come_last_first() {
        let limits = FragmentLimits::default();
        let mut assembly = Assembly::default();
        for number in (2..=limits.parts).rev() {
            let data = [number];
            let part = part(number, number == limits.parts, &data);
            assert_eq!(assembly.insert(at(1), which(1, 1), &part, &limits), Ok(Step::Kept));
        }
        let whole = assembly.insert(at(1), which(1, 1), &part(1, false, &[1]), &limits);
        assert_eq!(whole, Ok(Step::Whole((1..=limits.parts).collect())));
    }

    #[test]
    fn the_first_part_under_a_number_stays_and_another_is_refused() {
        let mut assembly = Assembly::default();
        let mut insert = |part: &Fragment<&[u8]>| assembly.insert(at(1), which(1, 1), part, &LIMITS);
        assert_eq!(insert(&part(1, false, b"first")), Ok(Step::Kept));
        assert_eq!(insert(&part(1, false, b"other")), Err(FragmentFault::Differs));
        // The same octets, but now they are said to be the last.
        assert_eq!(insert(&part(1, true, b"first")), Err(FragmentFault::Differs));
        assert_eq!(insert(&part(2, true, b" last")), Ok(Step::Whole(b"first last".to_vec())));
    }

    #[test]
    fn parts_that_contradict_each_other_drop_their_set_and_the_next_sending_passes() {
        let two_tails = [part(2, true, b"b"), part(3, true, b"c")];
        let above_the_tail = [part(2, true, b"b"), part(3, false, b"c")];
        let tail_below = [part(3, false, b"c"), part(2, true, b"b")];
        for [first, second] in [two_tails, above_the_tail, tail_below] {
            let mut assembly = Assembly::default();
            let mut insert = |part: &Fragment<&[u8]>| assembly.insert(at(1), which(1, 1), part, &LIMITS);
            assert_eq!(insert(&first), Ok(Step::Kept));
            assert_eq!(insert(&second), Err(FragmentFault::Conflict));
            assert_eq!(insert(&part(2, true, b"B")), Ok(Step::Kept));
            assert_eq!(insert(&part(1, false, b"A")), Ok(Step::Whole(b"AB".to_vec())));
            assert_eq!(assembly.load().0, 0);
        }
    }

    #[test]
    fn too_many_parts_or_octets_are_refused_and_the_next_sending_passes() {
        let mut assembly = Assembly::default();
        let mut insert = |part: &Fragment<&[u8]>| assembly.insert(at(1), which(1, 1), part, &LIMITS);
        assert_eq!(insert(&part(9, true, b"x")), Err(FragmentFault::TooMany));
        assert_eq!(insert(&part(255, false, b"x")), Err(FragmentFault::TooMany));
        assert_eq!(insert(&part(1, false, &[0; 600])), Ok(Step::Kept));
        assert_eq!(insert(&part(2, false, &[0; 401])), Err(FragmentFault::TooLong));
        assert_eq!(insert(&part(1, false, &[0; 600])), Ok(Step::Kept));
        assert_eq!(insert(&part(2, true, &[0; 400])), Ok(Step::Whole(vec![0; 1_000])));
    }

    #[test]
    fn messages_of_one_sa_are_kept_apart_by_id_and_source_and_the_oldest_goes_first() {
        let mut assembly = Assembly::default();
        let elsewhere = Which { remote: ([203, 0, 113, 9], 500).into(), ..which(1, 1) };
        assert_eq!(assembly.insert(at(1), which(1, 1), &part(1, false, b"a"), &LIMITS), Ok(Step::Kept));
        assert_eq!(assembly.insert(at(1), elsewhere, &part(1, false, b"forged"), &LIMITS), Ok(Step::Kept));
        let whole = assembly.insert(at(1), which(1, 1), &part(2, true, b"b"), &LIMITS);
        assert_eq!(whole, Ok(Step::Whole(b"ab".to_vec())));
        for id in 2..=9 {
            assert_eq!(assembly.insert(at(1), which(1, id), &part(1, false, b"c"), &LIMITS), Ok(Step::Kept));
            assert!(assembly.load().0 <= 2);
        }
        let whole = assembly.insert(at(1), which(1, 9), &part(2, true, b"d"), &LIMITS);
        assert_eq!(whole, Ok(Step::Whole(b"cd".to_vec())));
        assembly.forget(IkeSaId(1));
        assert_eq!(assembly.load(), (0, 0));
    }

    #[test]
    fn a_flood_over_many_sas_stays_within_the_octets_in_all_and_ages_out() {
        let mut assembly = Assembly::default();
        for sa in 0..10_000 {
            let tiny = part(u8::try_from(sa % 7).unwrap() + 1, false, &[0; 90]);
            assert_eq!(assembly.insert(at(sa), which(sa, 1), &tiny, &LIMITS), Ok(Step::Kept));
            assert!(assembly.load().1 <= LIMITS.total_octets, "{:?}", assembly.load());
            let lawful = which(20_000, 1);
            let whole = assembly.insert(at(sa), lawful, &part(1, true, b"lawful"), &LIMITS);
            assert_eq!(whole, Ok(Step::Whole(b"lawful".to_vec())));
            assembly.discard(&lawful);
        }
        let (messages, _) = assembly.load();
        assert!(messages > 1);
        assert_eq!(assembly.deadline(LIMITS.age), Some(at(10_000 - messages as u64) + LIMITS.age));
        assert_eq!(assembly.expire(at(20_000), LIMITS.age), messages);
        assert_eq!((assembly.load(), assembly.deadline(LIMITS.age)), ((0, 0), None));
    }

    /// strongSwan has one id for all its messages.
    #[test]
    fn a_part_that_came_twice_is_not_taken_for_the_beginning_of_the_next_message() {
        let mut assembly = Assembly::default();
        let mut now = at(1);
        let mut insert = |now, part: &Fragment<&[u8]>| assembly.insert(now, which(1, 1), part, &LIMITS).unwrap();
        assert_eq!(insert(now, &part(1, false, b"first")), Step::Kept);
        assert_eq!(insert(now, &part(2, true, b" tail")), Step::Whole(b"first tail".to_vec()));
        assert_eq!(insert(now, &part(2, true, b" tail")), Step::Repeat);
        // Later it is a resend: the peer waits for its answer, whichever of the parts gets through.
        now = at(3);
        assert_eq!(insert(now, &part(2, true, b" tail")), Step::Again(b"first tail".to_vec()));
        assert_eq!(insert(now, &part(1, false, b"first")), Step::Repeat);
        assert_eq!(insert(now, &part(1, false, b"next")), Step::Kept);
        assert_eq!(insert(now, &part(2, true, b" tail")), Step::Whole(b"next tail".to_vec()));
        // A longer and a shorter one.
        assert_eq!(insert(now, &part(3, true, b"c")), Step::Kept);
        assert_eq!(insert(now, &part(1, false, b"a")), Step::Kept);
        assert_eq!(insert(now, &part(2, false, b"b")), Step::Whole(b"abc".to_vec()));
        assert_eq!(insert(now, &part(1, true, b"x")), Step::Whole(b"x".to_vec()));
    }

    /// What strongSwan cut, in the order it sent it.
    #[test]
    fn recorded_parts_join_to_the_messages_that_another_program_made_of_them() {
        let file: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/fragmentation.json")).unwrap();
        let octets = |datagram: &serde_json::Value| hex::decode(datagram["octets"].as_str().unwrap()).unwrap();
        let mut joined = 0;
        for capture in file["captures"].as_array().unwrap() {
            let mut assembly = Assembly::default();
            let mut messages = Vec::new();
            for datagram in capture["parts"].as_array().unwrap() {
                let (sa, datagram) = (u64::from(datagram["from"] == "initiator"), octets(datagram));
                let message = Message::parse(&datagram).unwrap();
                let payload = match message.body() {
                    Body::Clear(payloads) => payloads.find(PayloadType::FRAGMENT),
                    Body::Encrypted(_) => None,
                };
                let Some(payload) = payload else {
                    messages.push(datagram);
                    continue;
                };
                let part = Fragment::parse(payload).unwrap();
                let step = assembly.insert(at(1), which(sa, part.id), &part, &FragmentLimits::default());
                if let Step::Whole(message) = step.unwrap() {
                    joined += 1;
                    messages.push(message);
                }
            }
            let wanted: Vec<Vec<u8>> = capture["datagrams"].as_array().unwrap().iter().map(octets).collect();
            assert_eq!(messages, wanted, "{}", capture["name"]);
        }
        assert_eq!(joined, 6);
    }
}
