use crate::classify::{Address, Classifier, Flat, InTables, LANES};
use crate::database::Database;
use crate::interface::{Interface, InterfaceId, WhenEmpty};
use crate::{Arrival, Decision, Direction, Explanation, InboundRefusal, PacketKey, Policy, PolicyId, Refusal};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::ControlFlow;

/// What none matches is dropped.
const NO_MATCH: Decision = Decision::Discard { policy: None };

impl Database {
    /// Decides about a packet that is to be sent through `interface`, and counts the hit.
    pub fn outbound(&mut self, interface: InterfaceId, key: &PacketKey) -> Decision {
        let decision = self.decide(interface, Direction::Outbound, key);
        self.count_decision(decision, Direction::Outbound);
        decision
    }

    /// Decides about packets that are to be sent through `interface`, as [`decide_batch`](Self::decide_batch) does, and
    /// counts the hits.
    pub fn outbound_batch(&mut self, interface: InterfaceId, keys: &[PacketKey], decisions: &mut [Decision]) {
        self.decide_batch(interface, Direction::Outbound, keys, decisions);
        for decision in decisions.iter().take(keys.len()) {
            self.count_decision(*decision, Direction::Outbound);
        }
    }

    /// Checks a packet that came in through `interface`, after decryption, and counts the hit, RFC 4301 §5.2.
    ///
    /// Returns the policy it was accepted under; none on an interface without policies that lets all pass.
    ///
    /// # Errors
    /// [`InboundRefusal`]: the packet has to be dropped.
    pub fn inbound(
        &mut self,
        interface: InterfaceId,
        key: &PacketKey,
        arrival: Arrival,
    ) -> Result<Option<PolicyId>, InboundRefusal> {
        let decision = self.decide(interface, Direction::Inbound, key);
        let verdict = self.check_arrival(decision, arrival);
        self.count_inbound(decision, &verdict, arrival);
        verdict
    }

    /// Decides about a packet and counts nothing.
    pub fn decide(&self, interface: InterfaceId, direction: Direction, key: &PacketKey) -> Decision {
        let Some(listed) = self.interfaces.get(interface) else { return Decision::Discard { policy: None } };
        if listed.order.len() == 0 {
            return match listed.when_empty {
                WhenEmpty::Discard => Decision::Discard { policy: None },
                WhenEmpty::Bypass => Decision::Bypass { policy: None },
            };
        }
        let found = match (key.local, key.remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                self.classify(&listed.v4, direction, (local.to_bits(), remote.to_bits()), key)
            }
            (IpAddr::V6(local), IpAddr::V6(remote)) => {
                self.classify_v6(&listed.v6, direction, (local.to_bits(), remote.to_bits()), key)
            }
            // No packet has addresses of two families; whoever asks anyway is answered.
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return self.classify_mixed(listed, direction, key).unwrap_or(NO_MATCH);
            }
        };
        *found.unwrap_or(&NO_MATCH)
    }

    /// Decides about packets that go the same way, each as [`decide`](Self::decide) does, and counts nothing. What has
    /// no room in `decisions` is left.
    ///
    /// Thirty-two at a time go through the index side by side: with a hundred thousand policies that takes a tenth to a
    /// third less than one after another, with few about as much.
    pub fn decide_batch(
        &self,
        interface: InterfaceId,
        direction: Direction,
        keys: &[PacketKey],
        decisions: &mut [Decision],
    ) {
        let listed = self.interfaces.get(interface).filter(|listed| listed.order.len() > 0);
        let keys = keys.get(..decisions.len()).unwrap_or(keys);
        for (keys, decisions) in keys.chunks(LANES).zip(decisions.chunks_mut(LANES)) {
            let mut done = 0;
            if let Some(listed) = listed {
                done +=
                    self.classify_batch(&listed.v4, direction, keys, decisions, |key| match (key.local, key.remote) {
                        (IpAddr::V4(local), IpAddr::V4(remote)) => Some((local.to_bits(), remote.to_bits())),
                        (IpAddr::V4(_) | IpAddr::V6(_), _) => None,
                    });
                if done < keys.len() {
                    done += self.classify_batch(&listed.v6, direction, keys, decisions, |key| {
                        match (key.local, key.remote) {
                            (IpAddr::V6(local), IpAddr::V6(remote)) => Some((local.to_bits(), remote.to_bits())),
                            (IpAddr::V4(_) | IpAddr::V6(_), _) => None,
                        }
                    });
                }
            }
            if done < keys.len() {
                for (key, decision) in keys.iter().zip(decisions) {
                    if listed.is_none() || key.local.is_ipv4() != key.remote.is_ipv4() {
                        *decision = self.decide(interface, direction, key);
                    }
                }
            }
        }
    }

    /// Decides about a packet by asking each policy in turn, and says what refused each before the one
    /// that matched. Counts the refusals, and no hit.
    ///
    /// This is the oracle of the index as well: the two never differ.
    pub fn explain(&mut self, interface: InterfaceId, direction: Direction, key: &PacketKey) -> Explanation {
        let mut refused = Vec::new();
        let decision = self.explain_each(interface, direction, key, |id, _, refusal| {
            refused.extend(refusal.map(|refusal| (id, refusal)));
            ControlFlow::Continue(())
        });
        Explanation { decision: decision.unwrap_or(NO_MATCH), refused }
    }

    /// Decides about a packet as [`explain`](Self::explain) does, and shows each policy as it is asked, with what
    /// refused it; the one that matches is the last, with nothing.
    ///
    /// Returns `None` if `visit` broke off before a policy matched.
    pub fn explain_each(
        &mut self,
        interface: InterfaceId,
        direction: Direction,
        key: &PacketKey,
        mut visit: impl FnMut(PolicyId, &Policy, Option<Refusal>) -> ControlFlow<()>,
    ) -> Option<Decision> {
        let mut filters = core::mem::take(&mut self.filters);
        let decision = self.ask_each(interface, direction, key, |id, policy, refusal| {
            if let Some(refusal) = refusal {
                filters.count(refusal);
            }
            visit(id, policy, refusal)
        });
        self.filters = filters;
        decision
    }

    fn ask_each(
        &self,
        interface: InterfaceId,
        direction: Direction,
        key: &PacketKey,
        mut visit: impl FnMut(PolicyId, &Policy, Option<Refusal>) -> ControlFlow<()>,
    ) -> Option<Decision> {
        let Some(listed) = self.interfaces.get(interface) else { return Some(NO_MATCH) };
        for slot in listed.order.iter() {
            let (Some(id), Some(policy)) = (self.id(slot), self.policy_in(slot)) else { continue };
            let refusal = policy.refusal(direction, key);
            let goes_on = visit(id, policy, refusal).is_continue();
            if refusal.is_none() {
                return Some(Decision::of(id, policy.action()));
            }
            if !goes_on {
                return None;
            }
        }
        let empty = listed.order.len() == 0 && listed.when_empty == WhenEmpty::Bypass;
        Some(if empty { Decision::Bypass { policy: None } } else { NO_MATCH })
    }

    #[inline(never)]
    fn classify_mixed(&self, listed: &Interface, direction: Direction, key: &PacketKey) -> Option<Decision> {
        let slot = listed.order.iter().find(|slot| self.matches(*slot, direction, key))?;
        Some(Decision::of(self.id(slot)?, self.policy_in(slot)?.action()))
    }

    /// Apart, so that the code for IPv4 is short.
    #[inline(never)]
    fn classify_v6<'a>(
        &self,
        classifier: &'a Classifier<u128>,
        direction: Direction,
        addresses: (u128, u128),
        key: &PacketKey,
    ) -> Option<&'a Decision> {
        self.classify(classifier, direction, addresses, key)
    }

    /// What the first policy that matches decides.
    #[inline(always)]
    fn classify<'a, A: Address>(
        &self,
        classifier: &'a Classifier<A>,
        direction: Direction,
        (local, remote): (A, A),
        key: &PacketKey,
    ) -> Option<&'a Decision> {
        let flat = Flat::new(direction, local, remote, key);
        match classifier.find(&flat) {
            Ok(found) => found.map(|entry| &entry.decision),
            Err(in_tables) => self.classify_beside(classifier, direction, key, &flat, in_tables),
        }
    }

    /// Apart, since it is seldom: so the rest is short.
    #[inline(never)]
    fn classify_beside<'a, A: Address>(
        &self,
        classifier: &'a Classifier<A>,
        direction: Direction,
        key: &PacketKey,
        flat: &Flat<A>,
        in_tables: InTables<'a, A>,
    ) -> Option<&'a Decision> {
        let ask = |slot| self.matches(slot, direction, key);
        classifier.find_beside(flat, in_tables, ask).map(|entry| &entry.decision)
    }

    /// Whether the policy in a slot matches.
    fn matches(&self, slot: u32, direction: Direction, key: &PacketKey) -> bool {
        self.policy_in(slot).is_some_and(|policy| policy.refusal(direction, key).is_none())
    }

    /// Decides about those of up to [`LANES`] packets that have addresses of one family, and returns how many.
    #[inline]
    fn classify_batch<A: Address>(
        &self,
        classifier: &Classifier<A>,
        direction: Direction,
        keys: &[PacketKey],
        decisions: &mut [Decision],
        addresses: impl Fn(&PacketKey) -> Option<(A, A)>,
    ) -> usize {
        let mut flats = [Flat::NONE; LANES];
        let mut places = [0; LANES];
        let mut count = 0;
        for (place, key) in keys.iter().enumerate() {
            let Some((local, remote)) = addresses(key) else { continue };
            if let (Some(flat), Some(into)) = (flats.get_mut(count), places.get_mut(count)) {
                *flat = Flat::new(direction, local, remote, key);
                *into = place;
                count += 1;
            }
        }
        let place = |number: usize| places.get(number).copied().unwrap_or(usize::MAX);
        let matches =
            |number: usize, slot| keys.get(place(number)).is_some_and(|key| self.matches(slot, direction, key));
        classifier.find_batch(flats.get(..count).unwrap_or_default(), matches, |number, found| {
            if let Some(decision) = decisions.get_mut(place(number)) {
                *decision = found.map_or(NO_MATCH, |entry| entry.decision);
            }
        });
        count
    }

    fn check_arrival(&self, decision: Decision, arrival: Arrival) -> Result<Option<PolicyId>, InboundRefusal> {
        match (decision, arrival) {
            (_, Arrival::Protected { policy }) if self.record(policy).is_none() => {
                Err(InboundRefusal::StalePolicy(policy))
            }
            (Decision::Discard { policy: None }, _) => Err(InboundRefusal::NoPolicy),
            (Decision::Discard { policy: Some(policy) }, _) => Err(InboundRefusal::Discarded(policy)),
            (Decision::Bypass { policy }, Arrival::Clear) => Ok(policy),
            (Decision::Bypass { policy }, Arrival::Protected { .. }) => {
                Err(policy.map_or(InboundRefusal::NoPolicy, InboundRefusal::NotToBeProtected))
            }
            (Decision::Protect { policy, .. }, Arrival::Clear) => Err(InboundRefusal::NotProtected(policy)),
            (Decision::Protect { policy, .. }, Arrival::Protected { policy: association }) => {
                if policy == association {
                    return Ok(Some(policy));
                }
                Err(InboundRefusal::OtherPolicy { association, packet: policy })
            }
        }
    }

    fn count_decision(&mut self, decision: Decision, direction: Direction) {
        let Some(record) = decision.policy().and_then(|id| self.record_mut(id)) else {
            self.counters.match_failed = self.counters.match_failed.saturating_add(1);
            return;
        };
        record.hits = record.hits.saturating_add(1);
        let counters = &mut record.counters;
        let counter = match (decision, direction) {
            (Decision::Discard { .. }, Direction::Outbound) => &mut counters.out_deny,
            (Decision::Discard { .. }, Direction::Inbound) => &mut counters.in_deny,
            (Decision::Bypass { .. }, Direction::Outbound) => &mut counters.out_permit,
            (Decision::Bypass { .. }, Direction::Inbound) => &mut counters.in_permit,
            (Decision::Protect { .. }, Direction::Outbound) => &mut counters.out_process_start,
            (Decision::Protect { .. }, Direction::Inbound) => &mut counters.in_process_start,
        };
        *counter = counter.saturating_add(1);
        self.counters.match_good = self.counters.match_good.saturating_add(1);
    }

    fn count_inbound(
        &mut self,
        decision: Decision,
        verdict: &Result<Option<PolicyId>, InboundRefusal>,
        arrival: Arrival,
    ) {
        let blamed = match (decision.policy(), arrival) {
            (Some(id), _) => Some(id),
            (None, Arrival::Protected { policy }) => Some(policy),
            (None, Arrival::Clear) => None,
        };
        let Err(refusal) = verdict else { return self.count_decision(decision, Direction::Inbound) };
        // A packet that is refused met its policy all the same.
        let met = decision.policy().and_then(|id| self.record_mut(id)).map(|record| {
            record.hits = record.hits.saturating_add(1);
        });
        let counters = &mut self.counters;
        let counter = if met.is_some() { &mut counters.match_good } else { &mut counters.match_failed };
        *counter = counter.saturating_add(1);
        let Some(record) = blamed.and_then(|id| self.record_mut(id)) else { return };
        let counters = &mut record.counters;
        let counter = match refusal {
            InboundRefusal::Discarded(_) => &mut counters.in_deny,
            InboundRefusal::NotProtected(_) => &mut counters.in_action_ipsec_fail,
            InboundRefusal::NotToBeProtected(_) | InboundRefusal::NoPolicy => &mut counters.in_policy_action_fail,
            InboundRefusal::OtherPolicy { .. } | InboundRefusal::Fragment(_) => &mut counters.in_pol_select_match_fail,
            InboundRefusal::StalePolicy(_) => &mut counters.in_bundle_state_bad,
        };
        *counter = counter.saturating_add(1);
    }
}
