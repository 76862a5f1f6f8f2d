//! Reliable delivery of control messages, RFC 3931 §4.2 and appendix A.

use crate::congestion::Window;
use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;
use drive::{Backoff, Instant, Retry};

/// Half of the number space: what lies this far ahead or more lies behind.
const HALF: u16 = 0x8000;

/// The most messages that may wait in a channel; beyond it nothing more is taken in either direction.
pub const QUEUE_LIMIT: usize = 512;

/// The sending and receiving halves of one control connection's numbering.
///
/// `Out` is a message to send, `In` one that came too early and is kept until its turn.
#[derive(Debug)]
pub struct Channel<Out, In> {
    /// Messages not yet acknowledged; the front has the number `acknowledged`.
    queue: VecDeque<Out>,
    acknowledged: u16,
    /// How many at the front are out since the last retransmission.
    cursor: usize,
    /// How many at the front were ever out: an Nr beyond them acknowledges what was never sent.
    reached: usize,
    window: Window,
    backoff: Backoff,
    retry: Retry,
    deadline: Option<Instant>,
    retransmissions: u64,

    expected: u16,
    early: BTreeMap<u16, In>,
    receive_window: u16,
    owes_acknowledgement: bool,
}

/// A message whose time to be sent has come.
#[derive(Debug, PartialEq, Eq)]
pub struct Sending<'a, Out> {
    /// Its number.
    pub ns: u16,
    /// The number expected next from the peer.
    pub nr: u16,
    /// The message.
    pub message: &'a Out,
    /// Whether it was sent before.
    pub again: bool,
}

/// Where a received message stands in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is the one expected.
    Next,
    /// It was received before; it has to be acknowledged again.
    Duplicate,
    /// It came before its time and fits the window.
    Early,
    /// It lies beyond the window.
    Beyond,
}

/// What became of a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It has not come.
    NotYet,
    /// The front of the queue is to be sent again.
    Resend,
    /// The front was sent as often as it may be: the peer is gone.
    GaveUp,
}

/// An Nr that acknowledges what was never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidNr;

impl<Out, In> Channel<Out, In> {
    /// Returns a channel at number 0 both ways.
    ///
    /// `receive_window` is what the peer was told: so many early messages are kept.
    pub fn new(backoff: Backoff, receive_window: u16, peer_window: u16) -> Self {
        Self {
            queue: VecDeque::new(),
            acknowledged: 0,
            cursor: 0,
            reached: 0,
            window: Window::new(peer_window),
            backoff,
            retry: Retry::new(backoff),
            deadline: None,
            retransmissions: 0,
            expected: 0,
            early: BTreeMap::new(),
            receive_window: receive_window.clamp(1, HALF - 1),
            owes_acknowledgement: false,
        }
    }

    /// Takes in the peer's receive window, and the schedule of an established connection.
    pub fn establish(&mut self, peer_window: u16, backoff: Backoff) {
        self.window.set_limit(peer_window);
        self.backoff = backoff;
        if self.cursor == 0 {
            self.retry = Retry::new(backoff);
        }
    }

    /// Puts a message at the end of the queue.
    ///
    /// # Errors
    /// The message, when the queue is full.
    pub fn enqueue(&mut self, message: Out) -> Result<(), Out> {
        if self.queue.len() >= QUEUE_LIMIT {
            return Err(message);
        }
        self.queue.push_back(message);
        Ok(())
    }

    /// Returns whether the queue takes no more.
    pub fn is_full(&self) -> bool {
        self.queue.len() >= QUEUE_LIMIT
    }

    /// Returns how many messages are not acknowledged.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Drops all that waits to be sent and was never sent.
    pub fn forget_unsent(&mut self) {
        self.queue.truncate(self.reached);
    }

    /// Returns the number the next new message gets.
    pub fn next_ns(&self) -> u16 {
        self.acknowledged.wrapping_add(self.queue.len() as u16)
    }

    /// Returns the number of the first message that never went out: what an acknowledgement bears.
    pub fn next_unsent(&self) -> u16 {
        self.acknowledged.wrapping_add(self.reached as u16)
    }

    /// Returns the number expected next.
    pub const fn next_nr(&self) -> u16 {
        self.expected
    }

    /// Returns the congestion window.
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// Returns how many messages were sent again.
    pub const fn retransmissions(&self) -> u64 {
        self.retransmissions
    }

    /// Returns how many messages are out and not acknowledged.
    pub const fn in_flight(&self) -> usize {
        self.cursor
    }

    /// Checks an Nr without taking it in.
    ///
    /// # Errors
    /// An Nr beyond what was sent. One from the past is lawful: the message that bore it was late.
    pub fn check_nr(&self, nr: u16) -> Result<(), InvalidNr> {
        let ahead = nr.wrapping_sub(self.acknowledged);
        if usize::from(ahead) <= self.reached || ahead >= HALF { Ok(()) } else { Err(InvalidNr) }
    }

    /// Takes in an Nr that [`check_nr`](Self::check_nr) allowed and returns how many messages it acknowledged.
    pub fn acknowledge(&mut self, now: Instant, nr: u16) -> usize {
        let ahead = usize::from(nr.wrapping_sub(self.acknowledged));
        if ahead == 0 || ahead > self.reached {
            return 0;
        }
        self.queue.drain(..ahead);
        self.acknowledged = nr;
        self.cursor = self.cursor.saturating_sub(ahead);
        self.reached -= ahead;
        self.window.acknowledged();
        self.retry = Retry::new(self.backoff);
        self.deadline = None;
        if self.cursor > 0 {
            self.deadline = self.retry.next_gap(Duration::ZERO).map(|gap| now + gap);
        }
        ahead
    }

    /// Returns where a message numbered `ns` stands.
    pub const fn place(&self, ns: u16) -> Place {
        match ns.wrapping_sub(self.expected) {
            0 => Place::Next,
            HALF.. => Place::Duplicate,
            ahead if ahead < self.receive_window => Place::Early,
            _ => Place::Beyond,
        }
    }

    /// Counts the expected message as received.
    pub const fn advance(&mut self) {
        self.expected = self.expected.wrapping_add(1);
        self.owes_acknowledgement = true;
    }

    /// Keeps a message that came early; one that is kept already stays.
    pub fn keep_early(&mut self, ns: u16, message: In) {
        if self.place(ns) == Place::Early {
            self.early.entry(ns).or_insert(message);
            self.owes_acknowledgement = true;
        }
    }

    /// Returns the kept message whose turn it is; [`advance`](Self::advance) is still to be called.
    pub fn take_early(&mut self) -> Option<In> {
        self.early.remove(&self.expected)
    }

    /// Notes that the peer repeats itself and has to be told again.
    pub const fn owe_acknowledgement(&mut self) {
        self.owes_acknowledgement = true;
    }

    /// Returns whether something is to be acknowledged and no message was sent since; then it is settled.
    pub const fn settle_acknowledgement(&mut self) -> bool {
        let owed = self.owes_acknowledgement;
        self.owes_acknowledgement = false;
        owed
    }

    /// Returns the next message that the windows let out. It carries an acknowledgement with it.
    pub fn poll_send(&mut self, now: Instant) -> Option<Sending<'_, Out>> {
        let allowed = self.cursor < self.window.size();
        let message = self.queue.get(self.cursor).filter(|_| allowed)?;
        let ns = self.acknowledged.wrapping_add(self.cursor as u16);
        let again = self.cursor < self.reached;
        if again {
            self.retransmissions = self.retransmissions.saturating_add(1);
        }
        if self.deadline.is_none() {
            self.deadline = self.retry.next_gap(Duration::ZERO).map(|gap| now + gap);
        }
        self.cursor += 1;
        self.reached = self.reached.max(self.cursor);
        self.owes_acknowledgement = false;
        Some(Sending { ns, nr: self.expected, message, again })
    }

    /// Returns when the oldest message out is to be sent again or given up.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Lets the oldest message out be sent at once again, as when the peer shows that it was lost.
    pub fn resend_now(&mut self) {
        self.cursor = 0;
    }

    /// Lets time pass up to `now`.
    pub fn handle_timeout(&mut self, now: Instant) -> Expiry {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return Expiry::NotYet;
        }
        self.deadline = None;
        if self.retry.resends_left() == 0 {
            return Expiry::GaveUp;
        }
        self.cursor = 0;
        self.window.congested();
        Expiry::Resend
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use drive::Schedule;
    use proptest::prelude::*;

    fn backoff(limit: u32) -> Backoff {
        let schedule = Schedule::Exponential {
            first: Duration::from_secs(1),
            numerator: 2,
            denominator: 1,
            cap: Duration::from_secs(8),
        };
        Backoff::new(schedule, limit).unwrap()
    }

    fn channel() -> Channel<u64, u64> {
        Channel::new(backoff(10), 4, 4)
    }

    fn sent(channel: &mut Channel<u64, u64>, now: Instant) -> Vec<u16> {
        core::iter::from_fn(|| channel.poll_send(now).map(|sending| sending.ns)).collect()
    }

    #[test]
    fn the_window_opens_by_one_for_each_acknowledgement() {
        let mut channel = channel();
        (0..8).for_each(|n| channel.enqueue(n).unwrap());
        let now = Instant::ZERO;
        assert_eq!(sent(&mut channel, now), [0]);
        assert_eq!(channel.acknowledge(now, 1), 1);
        assert_eq!(sent(&mut channel, now), [1, 2]);
        assert_eq!(channel.acknowledge(now, 3), 2);
        assert_eq!(sent(&mut channel, now), [3, 4, 5]);
        assert_eq!(channel.acknowledge(now, 4), 1);
        assert_eq!(sent(&mut channel, now), [6, 7], "never more than the peer's window of 4");
    }

    #[test]
    fn the_front_is_sent_again_after_1_2_4_8_8_seconds_and_given_up_after_the_limit() {
        let mut channel: Channel<u64, u64> = Channel::new(backoff(4), 4, 4);
        channel.enqueue(7).unwrap();
        let mut now = Instant::ZERO;
        assert_eq!(sent(&mut channel, now), [0]);
        for gap in [1, 2, 4, 8] {
            assert_eq!(channel.handle_timeout(now), Expiry::NotYet);
            now += Duration::from_secs(gap);
            assert_eq!(channel.deadline(), Some(now));
            assert_eq!(channel.handle_timeout(now), Expiry::Resend);
            let sending = channel.poll_send(now).unwrap();
            assert!(sending.again && sending.ns == 0);
        }
        now += Duration::from_secs(8);
        assert_eq!(channel.handle_timeout(now), Expiry::GaveUp);
        assert_eq!(channel.retransmissions(), 4);
    }

    #[test]
    fn a_resend_bears_the_nr_of_now() {
        let mut channel = channel();
        channel.enqueue(7).unwrap();
        assert_eq!(channel.poll_send(Instant::ZERO).unwrap().nr, 0);
        channel.advance();
        channel.handle_timeout(Instant::from_secs(1));
        assert_eq!(channel.poll_send(Instant::from_secs(1)).unwrap().nr, 1);
    }

    #[test]
    fn an_nr_for_what_was_never_sent_is_invalid_and_an_old_one_is_not() {
        let mut channel = channel();
        (0..3).for_each(|n| channel.enqueue(n).unwrap());
        sent(&mut channel, Instant::ZERO);
        assert_eq!(channel.check_nr(0), Ok(()));
        assert_eq!(channel.check_nr(1), Ok(()));
        assert_eq!(channel.check_nr(2), Err(InvalidNr), "queued but not out");
        assert_eq!(channel.check_nr(32767), Err(InvalidNr));
        assert_eq!(channel.check_nr(65535), Ok(()), "the past");
        assert_eq!(channel.acknowledge(Instant::ZERO, 65535), 0);
        assert_eq!(channel.pending(), 3);
    }

    #[test]
    fn numbers_are_compared_as_the_example_of_the_rfc_does() {
        // The last received number is 15: 0 to 15 and 32784 to 65535 are not new.
        let mut channel: Channel<u64, u64> = Channel::new(backoff(1), u16::MAX, 4);
        (0..16).for_each(|_| channel.advance());
        for ns in [0, 15, 32784, 65535] {
            assert_eq!(channel.place(ns), Place::Duplicate, "{ns}");
        }
        assert_eq!(channel.place(16), Place::Next);
        assert_ne!(channel.place(32783), Place::Duplicate);
    }

    #[test]
    fn what_comes_early_waits_its_turn_and_what_lies_beyond_the_window_does_not() {
        let mut channel = channel();
        assert_eq!((channel.place(3), channel.place(4)), (Place::Early, Place::Beyond));
        channel.keep_early(2, 20);
        channel.keep_early(2, 21);
        channel.keep_early(9, 90);
        assert_eq!(channel.take_early(), None);
        channel.advance();
        channel.advance();
        assert_eq!(channel.take_early(), Some(20));
        channel.advance();
        assert_eq!(channel.take_early(), None);
    }

    #[test]
    fn a_full_queue_refuses_and_keeps_what_it_has() {
        let mut channel = channel();
        (0..QUEUE_LIMIT as u64).for_each(|n| channel.enqueue(n).unwrap());
        assert_eq!(channel.enqueue(9), Err(9));
        assert!(channel.is_full());
    }

    /// Two channels over a network that the test script tears at will, against counters that never wrap.
    fn run(script: &[(u8, u8)], start: u16, count: u64) -> (Vec<u64>, Vec<u64>) {
        let mut sender: Channel<u64, u64> = Channel::new(backoff(1_000), 4, 4);
        let mut receiver: Channel<u64, u64> = Channel::new(backoff(1_000), 4, 4);
        sender.acknowledged = start;
        receiver.expected = start;
        let mut wire: Vec<(u16, u64)> = vec![];
        let mut back: Vec<u16> = vec![];
        let (mut delivered, mut enqueued) = (vec![], 0u64);
        let mut now = Instant::ZERO;
        let steps = script.iter().copied().chain(core::iter::repeat_n((0, 0), 40 * count as usize));
        for (event, pick) in steps {
            if enqueued < count && sender.enqueue(enqueued).is_ok() {
                enqueued += 1;
            }
            while let Some(sending) = sender.poll_send(now) {
                wire.push((sending.ns, *sending.message));
            }
            assert!(sender.in_flight() <= 4);
            let pick = usize::from(pick);
            match event % 6 {
                // The oldest, or any, arrives; it may be repeated, lost, or the clock may run.
                0 | 1 if !wire.is_empty() => {
                    let at = if event % 6 == 0 { 0 } else { pick % wire.len() };
                    let (ns, message) = wire.remove(at);
                    match receiver.place(ns) {
                        Place::Next => {
                            receiver.advance();
                            delivered.push(message);
                            while let Some(message) = receiver.take_early() {
                                receiver.advance();
                                delivered.push(message);
                            }
                        }
                        Place::Early => receiver.keep_early(ns, message),
                        Place::Duplicate => receiver.owe_acknowledgement(),
                        Place::Beyond => {}
                    }
                    if receiver.settle_acknowledgement() {
                        back.push(receiver.next_nr());
                    }
                }
                2 if !wire.is_empty() => wire.push(wire[pick % wire.len()]),
                3 if !wire.is_empty() => drop(wire.remove(pick % wire.len())),
                4 if !back.is_empty() => drop(back.remove(pick % back.len())),
                _ => {
                    if !back.is_empty() {
                        let nr = back.remove(pick % back.len());
                        assert_eq!(sender.check_nr(nr), Ok(()));
                        sender.acknowledge(now, nr);
                    } else if let Some(deadline) = sender.deadline() {
                        now = now.max(deadline);
                        assert_ne!(sender.handle_timeout(now), Expiry::GaveUp);
                    }
                }
            }
        }
        (delivered, (0..count).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_message_is_delivered_once_and_in_order_whatever_the_network_does(
            script in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..400),
            start in prop_oneof![Just(0u16), 65_500u16..=65_535, 32_740u16..32_790],
            count in 1u64..60,
        ) {
            let (delivered, enqueued) = run(&script, start, count);
            prop_assert_eq!(delivered, enqueued);
        }

        #[test]
        fn places_agree_with_numbers_that_never_wrap(expected in 40_000u64..200_000, offset in -32_000i64..32_000) {
            let mut channel: Channel<u64, u64> = Channel::new(backoff(1), 16, 4);
            channel.expected = expected as u16;
            let number = expected as i64 + offset;
            let place = match offset {
                0 => Place::Next,
                ..0 => Place::Duplicate,
                1..16 => Place::Early,
                16.. => Place::Beyond,
            };
            prop_assert_eq!(channel.place(number as u16), place);
        }
    }
}
