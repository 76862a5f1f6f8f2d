use crate::{
    Arrival, Database, Decision, Direction, Fragment, FragmentCounters, FragmentRefusal, InboundRefusal, InterfaceId,
    PacketKey, PolicyId, Upper,
};
use alloc::collections::BTreeMap;
use core::net::IpAddr;
use core::time::Duration;
use drive::{Instant, MonotonicClock};

/// How an interface decides about fragments that do not show what policies look at, RFC 4301 §7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FragmentCheck {
    /// By their addresses and protocol alone: they match policies that ask nothing more, or ask for fragments
    /// (OPAQUE), RFC 4301 §7.1 and §7.2.
    Selectors,
    /// As their first fragment, where a policy of the interface asks for more, RFC 4301 §7.4. Those of packets
    /// whose policy protects some ports only are dropped, unless it says that it carries them: IKEv1 cannot agree on it.
    #[default]
    Stateful,
    /// As their first fragment, and associations of policies for some ports carry them too, RFC 4301 §7.3: for ends
    /// that agreed on it by their configuration.
    StatefulProtected,
}

/// What a [`FragmentTracker`] keeps at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentLimits {
    /// How many first fragments are remembered; beyond, the oldest goes. Each takes about 250 octets.
    pub packets: usize,
    /// How long each is.
    pub lifetime: Duration,
}

impl Default for FragmentLimits {
    /// 4096 packets, as long as hosts wait for a packet's fragments: 30 seconds.
    fn default() -> Self {
        Self { packets: 4096, lifetime: Duration::from_secs(30) }
    }
}

/// Remembers what first fragments show, so that the others meet the same policy: stateful fragment checking,
/// RFC 4301 §7.3 and §7.4.
///
/// It stands beside a [`Database`], whose interfaces say which [`FragmentCheck`] they want, and is asked instead of it:
/// about whole packets too, which it passes on. No fragment is kept: one that comes before its first is dropped and
/// counted, unless its policy needs nothing of the first.
///
/// ```
/// use drive::Instant;
/// use spd::{Database, Direction, FragmentCheck, FragmentTracker, InterfaceId, PacketKey, WhenEmpty};
///
/// let (mut policies, mut fragments) = (Database::new(), FragmentTracker::default());
/// let wan = InterfaceId(0);
/// policies.add_interface(wan, WhenEmpty::Discard)?;
/// policies.set_fragment_check(wan, FragmentCheck::Stateful)?;
///
/// let packet = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1];
/// let (key, fragment) = PacketKey::with_fragment(&packet, Direction::Outbound)?;
/// match fragments.outbound(Instant::from_secs(1), &mut policies, wan, &key, fragment.as_ref()) {
///     Ok(decision) => println!("{decision:?}"),
///     Err(refusal) => println!("dropped: {refusal}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct FragmentTracker {
    limits: FragmentLimits,
    clock: MonotonicClock,
    firsts: BTreeMap<Whole, First>,
    /// The packets in the order in which their first fragments came, which is that of their deadlines.
    ages: BTreeMap<u64, Whole>,
    next_age: u64,
    counters: FragmentCounters,
}

/// The packet that a fragment is a part of. What came out of an association is another packet than what came in the
/// clear: neither can speak for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Whole {
    interface: InterfaceId,
    outbound: bool,
    association: Option<PolicyId>,
    local: IpAddr,
    remote: IpAddr,
    /// Of IPv4 only: RFC 791 tells packets apart by it as well, RFC 8200 §4.5 does not.
    protocol: Option<u8>,
    id: u32,
}

#[derive(Clone, Copy, Debug)]
struct First {
    protocol: Option<u8>,
    upper: Upper,
    /// Where it ended.
    end: u32,
    deadline: Instant,
    age: u64,
}

impl FragmentTracker {
    /// The most first fragments that one call forgets because their time is over; [`handle_timeout`](Self::handle_timeout)
    /// forgets them all.
    pub const FORGOTTEN_A_CALL: usize = 8;

    /// Returns a tracker that has seen nothing.
    pub fn new(limits: FragmentLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Decides about a packet or fragment that is to be sent, as [`Database::outbound`] does.
    ///
    /// # Errors
    /// [`FragmentRefusal`]: it has to be dropped, and is counted here and not by the database.
    pub fn outbound(
        &mut self,
        now: Instant,
        policies: &mut Database,
        interface: InterfaceId,
        key: &PacketKey,
        fragment: Option<&Fragment>,
    ) -> Result<Decision, FragmentRefusal> {
        let Some(fragment) = fragment else { return Ok(policies.outbound(interface, key)) };
        let asked = Asked { interface, direction: Direction::Outbound, association: None };
        let key = self.judge(now, policies, asked, key, fragment)?;
        Ok(policies.outbound(interface, &key))
    }

    /// Checks a packet or fragment that came in, after decryption, as [`Database::inbound`] does.
    ///
    /// # Errors
    /// [`InboundRefusal`]: it has to be dropped. What is dropped as [`InboundRefusal::Fragment`] is counted here and not
    /// by the database.
    pub fn inbound(
        &mut self,
        now: Instant,
        policies: &mut Database,
        interface: InterfaceId,
        key: &PacketKey,
        fragment: Option<&Fragment>,
        arrival: Arrival,
    ) -> Result<Option<PolicyId>, InboundRefusal> {
        let Some(fragment) = fragment else { return policies.inbound(interface, key, arrival) };
        let association = match arrival {
            Arrival::Clear => None,
            Arrival::Protected { policy } => Some(policy),
        };
        let asked = Asked { interface, direction: Direction::Inbound, association };
        let key = self.judge(now, policies, asked, key, fragment)?;
        policies.inbound(interface, &key, arrival)
    }

    /// Forgets all first fragments whose time is over. It is never a must: what is over is not used.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock.observe(now);
        while self.forget_oldest(now) {}
    }

    /// Returns when the next first fragment is over; `None` when there is none.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (_, oldest) = self.ages.first_key_value()?;
        self.firsts.get(oldest).map(|first| first.deadline)
    }

    /// Returns how many first fragments are remembered.
    pub fn len(&self) -> usize {
        self.firsts.len()
    }

    /// Returns whether none is.
    pub fn is_empty(&self) -> bool {
        self.firsts.is_empty()
    }

    /// Returns what became of fragments.
    pub fn counters(&self) -> &FragmentCounters {
        &self.counters
    }

    /// Sets the counters to zero.
    pub fn reset_counters(&mut self) {
        self.counters.reset();
    }

    /// Returns the key that the policies are to be asked with.
    fn judge(
        &mut self,
        now: Instant,
        policies: &Database,
        asked: Asked,
        key: &PacketKey,
        fragment: &Fragment,
    ) -> Result<PacketKey, FragmentRefusal> {
        let now = self.clock.observe(now);
        for _ in 0..Self::FORGOTTEN_A_CALL {
            if !self.forget_oldest(now) {
                break;
            }
        }
        let judged = fragment.check(key).and_then(|()| self.follow(now, policies, asked, key, fragment));
        if let Err(refusal) = judged {
            self.counters.count(refusal);
        }
        judged
    }

    fn follow(
        &mut self,
        now: Instant,
        policies: &Database,
        asked: Asked,
        key: &PacketKey,
        fragment: &Fragment,
    ) -> Result<PacketKey, FragmentRefusal> {
        let check = policies.fragment_check(asked.interface).unwrap_or_default();
        let any_ports = !policies.selects_ports(asked.interface);
        if check == FragmentCheck::Selectors || any_ports {
            return Ok(*key);
        }
        let whole = Whole {
            interface: asked.interface,
            outbound: asked.direction == Direction::Outbound,
            association: asked.association,
            local: key.local,
            remote: key.remote,
            protocol: if key.local.is_ipv4() { key.protocol } else { None },
            id: fragment.id,
        };
        if fragment.is_first() {
            self.remember(now, whole, key, fragment);
            return Ok(*key);
        }
        // A policy for fragments is the operator's word about them, RFC 4301 §7.2.
        let alone = policies.decide(asked.interface, asked.direction, key);
        if alone
            .policy()
            .and_then(|id| policies.policy(id))
            .is_some_and(|policy| policy.selector().asks_for_fragments())
        {
            return Ok(*key);
        }
        let Some(first) = self.firsts.get(&whole).filter(|first| first.deadline > now) else {
            return match alone {
                // What may only pass protected, or not at all, harms nobody without its first.
                Decision::Protect { .. } | Decision::Discard { .. } => Ok(*key),
                Decision::Bypass { .. } => Err(FragmentRefusal::NoFirst),
            };
        };
        if fragment.offset < first.end {
            return Err(FragmentRefusal::Overlap);
        }
        let key = PacketKey { protocol: first.protocol, upper: first.upper, ..*key };
        if check == FragmentCheck::Stateful
            && let Decision::Protect { policy, .. } = policies.decide(asked.interface, asked.direction, &key)
            && policies.policy(policy).is_some_and(|one| one.selector().selects_ports() && !one.carries_fragments())
        {
            return Err(FragmentRefusal::NotAgreed);
        }
        self.counters.followed = self.counters.followed.saturating_add(1);
        Ok(key)
    }

    /// Remembers a first fragment. A sender uses its numbers again, so the newest counts.
    fn remember(&mut self, now: Instant, whole: Whole, key: &PacketKey, fragment: &Fragment) {
        self.counters.first = self.counters.first.saturating_add(1);
        if let Some(old) = self.firsts.remove(&whole) {
            self.ages.remove(&old.age);
            self.counters.replaced = self.counters.replaced.saturating_add(1);
        } else if self.firsts.len() >= self.limits.packets.max(1) {
            if let Some((_, oldest)) = self.ages.pop_first() {
                self.firsts.remove(&oldest);
            }
            self.counters.evicted = self.counters.evicted.saturating_add(1);
        }
        let age = self.next_age;
        self.next_age += 1;
        self.ages.insert(age, whole);
        let deadline = now.saturating_add(self.limits.lifetime);
        let first = First { protocol: key.protocol, upper: key.upper, end: fragment.end(), deadline, age };
        self.firsts.insert(whole, first);
    }

    /// Forgets the oldest first fragment if its time is over; returns whether it was.
    fn forget_oldest(&mut self, now: Instant) -> bool {
        if self.poll_timeout().is_none_or(|deadline| deadline > now) {
            return false;
        }
        if let Some((_, oldest)) = self.ages.pop_first() {
            self.firsts.remove(&oldest);
        }
        self.counters.expired = self.counters.expired.saturating_add(1);
        true
    }
}

/// Whose fragment it is.
#[derive(Clone, Copy)]
struct Asked {
    interface: InterfaceId,
    direction: Direction,
    association: Option<PolicyId>,
}
