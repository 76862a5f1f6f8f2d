use crate::Entropy;
use core::time::Duration;
use drive::Instant;

/// How likely something is, in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u32);

impl Chance {
    /// It never happens.
    pub const NEVER: Self = Self(0);
    /// It always happens.
    pub const ALWAYS: Self = Self(1_000_000);

    /// Returns the chance of `percent` in a hundred, at most [`Chance::ALWAYS`].
    pub const fn percent(percent: u32) -> Self {
        Self::per_million(percent.saturating_mul(10_000))
    }

    /// Returns the chance of `parts` in a million, at most [`Chance::ALWAYS`].
    pub const fn per_million(parts: u32) -> Self {
        if parts > 1_000_000 { Self::ALWAYS } else { Self(parts) }
    }

    /// Returns the parts per million.
    pub const fn parts_per_million(self) -> u32 {
        self.0
    }

    fn happens(self, entropy: &mut Entropy) -> bool {
        // Nothing is drawn for what is switched off, so that a setting leaves the others' draws alone.
        self.0 > 0 && entropy.below(1_000_000) < u64::from(self.0)
    }
}

/// How a link loses packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// Nothing is lost.
    #[default]
    None,
    /// Each packet is lost with the same chance, whatever became of the one before.
    Random(Chance),
    /// Losses come in bursts.
    Burst(GilbertElliott),
}

/// The loss model of Gilbert and Elliott: a good and a bad state, each with its own loss.
///
/// The share of time in the bad state is `worsen / (worsen + recover)`; a bad spell lasts
/// `1 / recover` packets on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GilbertElliott {
    /// The chance per packet to go from good to bad.
    pub worsen: Chance,
    /// The chance per packet to go from bad to good.
    pub recover: Chance,
    /// The loss in the good state.
    pub good: Chance,
    /// The loss in the bad state.
    pub bad: Chance,
}

impl GilbertElliott {
    /// Returns the simple model: nothing is lost in the good state and everything in the bad one.
    pub const fn simple(worsen: Chance, recover: Chance) -> Self {
        Self { worsen, recover, good: Chance::NEVER, bad: Chance::ALWAYS }
    }
}

/// What becomes of a packet that is larger than the MTU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Oversize {
    /// It travels in IP fragments: each is lost on its own, and one lost fragment loses the packet.
    #[default]
    Fragment,
    /// It is dropped: a path that lets no fragment through.
    Drop,
}

/// The properties of one direction of a link. The default is perfect: no delay, no loss, MTU 1500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The time every packet takes.
    pub latency: Duration,
    /// The most that chance adds to the latency. By itself it does not reorder.
    pub jitter: Duration,
    /// How packets are lost.
    pub loss: Loss,
    /// The chance that a packet arrives twice.
    pub duplicate: Chance,
    /// The chance that a packet is held back, so that later ones overtake it.
    pub reorder: Chance,
    /// How much later a packet that is held back arrives.
    pub reorder_delay: Duration,
    /// The chance that one bit of the payload is flipped without the checksums noticing.
    pub corrupt: Chance,
    /// The largest IP packet, headers included, in octets.
    pub mtu: usize,
    /// What becomes of a larger one.
    pub oversize: Oversize,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Loss::None,
            duplicate: Chance::NEVER,
            reorder: Chance::NEVER,
            reorder_delay: Duration::from_millis(50),
            corrupt: Chance::NEVER,
            mtu: 1500,
            oversize: Oversize::Fragment,
        }
    }
}

impl Link {
    /// Returns a link with `latency` and nothing else wrong.
    pub fn with_latency(latency: Duration) -> Self {
        Self { latency, ..Self::default() }
    }

    /// Returns a link with `latency` that loses packets at random.
    pub fn lossy(latency: Duration, loss: Chance) -> Self {
        Self { latency, loss: Loss::Random(loss), ..Self::default() }
    }

    /// Returns a link that lets nothing through.
    pub fn cut() -> Self {
        Self { loss: Loss::Random(Chance::ALWAYS), ..Self::default() }
    }

    /// Returns a link with everything wrong at once: jitter, bursts, duplicates, reordering, bit errors.
    pub fn hostile(latency: Duration) -> Self {
        Self {
            latency,
            jitter: latency / 2,
            loss: Loss::Burst(GilbertElliott::simple(Chance::percent(5), Chance::percent(40))),
            duplicate: Chance::percent(5),
            reorder: Chance::percent(5),
            corrupt: Chance::percent(1),
            ..Self::default()
        }
    }
}

/// What a link did to one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// It was lost.
    Lost,
    /// It was larger than the MTU of a link that does not fragment.
    TooBig,
    /// It arrives once or twice, each copy perhaps with one bit flipped.
    Arrives { first: Copied, second: Option<Copied>, held_back: bool },
}

/// One copy of a packet on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    pub at: Instant,
    /// The number of the payload bit to flip.
    pub flip: Option<u64>,
}

/// One direction of a link at work.
#[derive(Debug)]
pub(crate) struct Carrier {
    link: Link,
    entropy: Entropy,
    in_bad_state: bool,
    latest_arrival: Instant,
}

impl Carrier {
    pub(crate) fn new(link: Link, entropy: Entropy) -> Self {
        Self { link, entropy, in_bad_state: false, latest_arrival: Instant::ZERO }
    }

    pub(crate) fn set_link(&mut self, link: Link) {
        self.link = link;
    }

    /// Carries a packet of `header` and `payload` octets that is sent `now`.
    pub(crate) fn carry(&mut self, now: Instant, header: usize, payload: usize) -> Carried {
        let fragments = self.fragments(header, payload);
        if fragments > 1 && self.link.oversize == Oversize::Drop {
            return Carried::TooBig;
        }
        // Every fragment draws, lost or not: what follows does not depend on which one was lost.
        let lost = (0..fragments).filter(|_| self.loses()).count();
        if lost > 0 {
            return Carried::Lost;
        }
        let held_back = self.link.reorder.happens(&mut self.entropy);
        let first = self.copy(now, payload, held_back);
        let twice = self.link.duplicate.happens(&mut self.entropy);
        let second = if twice { Some(self.copy(now, payload, false)) } else { None };
        Carried::Arrives { first, second, held_back }
    }

    fn fragments(&self, header: usize, payload: usize) -> usize {
        if header.saturating_add(payload) <= self.link.mtu {
            return 1;
        }
        // Fragments carry multiples of 8 octets behind a header of at least 20.
        let room = (self.link.mtu.saturating_sub(20) / 8 * 8).max(8);
        payload.div_ceil(room).max(2)
    }

    fn loses(&mut self) -> bool {
        match self.link.loss {
            Loss::None => false,
            Loss::Random(chance) => chance.happens(&mut self.entropy),
            Loss::Burst(model) => {
                let leave = if self.in_bad_state { model.recover } else { model.worsen };
                if leave.happens(&mut self.entropy) {
                    self.in_bad_state = !self.in_bad_state;
                }
                let loss = if self.in_bad_state { model.bad } else { model.good };
                loss.happens(&mut self.entropy)
            }
        }
    }

    fn copy(&mut self, now: Instant, payload: usize, held_back: bool) -> Copied {
        let mut at = now + self.link.latency;
        if !self.link.jitter.is_zero() {
            at += self.entropy.up_to(self.link.jitter);
        }
        if held_back {
            at += self.link.reorder_delay;
        } else {
            at = at.max(self.latest_arrival);
            self.latest_arrival = at;
        }
        let corrupt = payload > 0 && self.link.corrupt.happens(&mut self.entropy);
        let flip = corrupt.then(|| self.entropy.below((payload as u64).saturating_mul(8)));
        Copied { at, flip }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: usize = 20_000;

    fn lost(link: Link) -> Vec<bool> {
        let mut carrier = Carrier::new(link, Entropy::new(11));
        (0..SENT).map(|_| carrier.carry(Instant::ZERO, 28, 100) == Carried::Lost).collect()
    }

    fn share(lost: &[bool]) -> f64 {
        lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64
    }

    fn longest_run(lost: &[bool]) -> usize {
        lost.split(|lost| !lost).map(<[bool]>::len).max().unwrap()
    }

    #[test]
    fn random_loss_comes_at_the_rate_set() {
        for percent in [5, 20, 50] {
            let seen = share(&lost(Link::lossy(Duration::ZERO, Chance::percent(percent))));
            assert!((seen - f64::from(percent) / 100.0).abs() < 0.015, "{percent} % set, {seen} seen");
        }
        assert_eq!(share(&lost(Link::default())), 0.0);
        assert_eq!(share(&lost(Link::cut())), 1.0);
    }

    #[test]
    fn bursts_lose_as_much_as_the_model_says_in_longer_runs_than_chance() {
        let model = GilbertElliott::simple(Chance::percent(2), Chance::percent(10));
        let bursts = lost(Link { loss: Loss::Burst(model), ..Link::default() });
        let expected = 2.0 / 12.0;
        assert!((share(&bursts) - expected).abs() < 0.03, "{}", share(&bursts));
        let random = lost(Link::lossy(Duration::ZERO, Chance::per_million(166_667)));
        assert!(longest_run(&bursts) > 2 * longest_run(&random));
    }

    #[test]
    fn a_fragmented_packet_is_lost_with_any_of_its_fragments() {
        let link = Link { mtu: 576, ..Link::lossy(Duration::ZERO, Chance::percent(10)) };
        let mut carrier = Carrier::new(link, Entropy::new(3));
        assert_eq!(carrier.fragments(28, 1600), 3);
        let lost: Vec<_> = (0..SENT).map(|_| carrier.carry(Instant::ZERO, 28, 1600) == Carried::Lost).collect();
        let expected = 1.0 - 0.9f64.powi(3);
        assert!((share(&lost) - expected).abs() < 0.02, "{}", share(&lost));
    }

    #[test]
    fn a_link_that_does_not_fragment_drops_what_is_larger_than_the_mtu() {
        let mut carrier = Carrier::new(Link { oversize: Oversize::Drop, ..Link::default() }, Entropy::new(3));
        assert_eq!(carrier.carry(Instant::ZERO, 28, 1473), Carried::TooBig);
        assert!(matches!(carrier.carry(Instant::ZERO, 28, 1472), Carried::Arrives { .. }));
    }

    #[test]
    fn jitter_alone_keeps_the_order_and_stays_in_its_range() {
        let link = Link { jitter: Duration::from_millis(30), ..Link::with_latency(Duration::from_millis(20)) };
        let mut carrier = Carrier::new(link, Entropy::new(5));
        let mut last = Instant::ZERO;
        for n in 0..1_000 {
            let now = Instant::from_millis(n);
            let Carried::Arrives { first, second: None, held_back: false } = carrier.carry(now, 28, 100) else {
                panic!("one undamaged copy")
            };
            assert!(first.at >= last && first.at >= now + link.latency);
            assert!(first.at <= now + link.latency + link.jitter);
            last = first.at;
        }
    }

    #[test]
    fn a_packet_held_back_is_overtaken() {
        let link = Link { reorder: Chance::percent(10), ..Link::with_latency(Duration::from_millis(20)) };
        let mut carrier = Carrier::new(link, Entropy::new(5));
        let arrivals: Vec<_> = (0..100)
            .map(|n| {
                let Carried::Arrives { first, .. } = carrier.carry(Instant::from_millis(n), 28, 100) else {
                    panic!("nothing is lost here")
                };
                first.at
            })
            .collect();
        assert!(arrivals.windows(2).any(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn duplicates_and_bit_errors_come_at_the_rates_set() {
        let link = Link { duplicate: Chance::percent(10), corrupt: Chance::percent(5), ..Link::default() };
        let mut carrier = Carrier::new(link, Entropy::new(9));
        let (mut twice, mut flipped, mut copies) = (0usize, 0usize, 0usize);
        for _ in 0..SENT {
            let Carried::Arrives { first, second, .. } = carrier.carry(Instant::ZERO, 28, 10) else { panic!("lost") };
            twice += usize::from(second.is_some());
            for copy in [Some(first), second].into_iter().flatten() {
                copies += 1;
                flipped += usize::from(copy.flip.is_some());
                assert!(copy.flip.is_none_or(|bit| bit < 80));
            }
        }
        assert!((twice as f64 / SENT as f64 - 0.10).abs() < 0.01);
        assert!((flipped as f64 / copies as f64 - 0.05).abs() < 0.01);
    }
}
