use crate::classify::{Flat, family_of};
use crate::database::{Database, Interface, InterfaceId, WhenEmpty};
use crate::{Action, Arrival, Decision, Direction, Explanation, Family, InboundRefusal, PacketKey, PolicyId};
use alloc::vec::Vec;

impl Database {
    /// Decides about a packet that is to be sent through `interface`, and counts the hit.
    pub fn outbound(&mut self, interface: InterfaceId, key: &PacketKey) -> Decision {
        let decision = self.decide(interface, Direction::Outbound, key);
        self.count_decision(decision, Direction::Outbound);
        decision
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
        let Some(listed) = self.interfaces.get(&interface) else { return Decision::Discard { policy: None } };
        if listed.order.len() == 0 {
            return match listed.when_empty {
                WhenEmpty::Discard => Decision::Discard { policy: None },
                WhenEmpty::Bypass => Decision::Bypass { policy: None },
            };
        }
        self.decision_of(self.classify(listed, direction, key))
    }

    /// Decides about packets that go the same way, and counts nothing. What has no room in `decisions` is left.
    pub fn decide_batch(
        &self,
        interface: InterfaceId,
        direction: Direction,
        keys: &[PacketKey],
        decisions: &mut [Decision],
    ) {
        for (key, decision) in keys.iter().zip(decisions) {
            *decision = self.decide(interface, direction, key);
        }
    }

    /// Decides about a packet by asking each policy in turn, and says what refused each before the one
    /// that matched. Counts the refusals, and no hit.
    ///
    /// This is the oracle of the index as well: the two never differ.
    pub fn explain(&mut self, interface: InterfaceId, direction: Direction, key: &PacketKey) -> Explanation {
        let mut refused = Vec::new();
        let mut matched = None;
        let Some(listed) = self.interfaces.get(&interface) else {
            return Explanation { decision: Decision::Discard { policy: None }, refused };
        };
        for slot in listed.order.iter() {
            let (Some(id), Some(policy)) = (self.id(slot), self.policy_in(slot)) else { continue };
            match policy.refusal(direction, key) {
                None => {
                    matched = Some(slot);
                    break;
                }
                Some(refusal) => refused.push((id, refusal)),
            }
        }
        let empty = listed.order.len() == 0 && listed.when_empty == WhenEmpty::Bypass;
        let decision = if empty { Decision::Bypass { policy: None } } else { self.decision_of(matched) };
        for (_, refusal) in &refused {
            self.filters.count(*refusal);
        }
        Explanation { decision, refused }
    }

    /// The slot of the first policy that matches.
    #[inline]
    fn classify(&self, listed: &Interface, direction: Direction, key: &PacketKey) -> Option<u32> {
        let matches = |slot| self.policy_in(slot).is_some_and(|policy| policy.refusal(direction, key).is_none());
        match family_of(key) {
            Some(Family::V4) => listed.v4.find(&Flat::new(direction, key), matches),
            Some(Family::V6) => listed.v6.find(&Flat::new(direction, key), matches),
            // No packet has addresses of two families; whoever asks anyway is answered.
            None => listed.order.iter().find(|slot| matches(*slot)),
        }
    }

    fn decision_of(&self, slot: Option<u32>) -> Decision {
        let Some((slot, found)) = slot.and_then(|slot| Some((slot, self.slots.get(slot as usize)?))) else {
            return Decision::Discard { policy: None };
        };
        let policy = PolicyId { slot, generation: found.generation };
        match found.action {
            Action::Protect(template) => Decision::Protect { policy, template },
            Action::Bypass => Decision::Bypass { policy: Some(policy) },
            Action::Discard => Decision::Discard { policy: Some(policy) },
        }
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
        let Some(record) = blamed.and_then(|id| self.record_mut(id)) else {
            self.counters.match_failed = self.counters.match_failed.saturating_add(1);
            return;
        };
        let counters = &mut record.counters;
        let counter = match refusal {
            InboundRefusal::Discarded(_) => &mut counters.in_deny,
            InboundRefusal::NotProtected(_) => &mut counters.in_action_ipsec_fail,
            InboundRefusal::NotToBeProtected(_) | InboundRefusal::NoPolicy => &mut counters.in_policy_action_fail,
            InboundRefusal::OtherPolicy { .. } => &mut counters.in_pol_select_match_fail,
            InboundRefusal::StalePolicy(_) => &mut counters.in_bundle_state_bad,
        };
        *counter = counter.saturating_add(1);
    }
}
