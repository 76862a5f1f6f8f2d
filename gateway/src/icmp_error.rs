//! ICMP errors about what associations carry, where no policy wants them by their own header, RFC 4301 §6.2.
//!
//! A router behind one gateway tells a host behind the other that its packet was too long, or went nowhere. Policies for
//! some protocols and ports only do not name such messages; without them senders find no path MTU. So they take the
//! associations of the traffic they are about, and are taken from no others.

use crate::counters::count;
use crate::pump::Gateway;
use crate::route::{INTERFACE, holds, ports};
use drive::Instant;
use ikev1_core::ChildId;
use ikev1_core::proposal::Mode;
use spd::{Arrival, Decision, Direction, PacketKey, PolicyId, Selector, TemplateId};

impl Gateway {
    /// Returns the key by which an ICMP error that `dropped` drops may leave after all, and the template of its
    /// associations: those that are there and carry the traffic it is about. None are negotiated for it.
    pub(crate) fn leaves_as_error(
        &mut self,
        now: Instant,
        dropped: Option<PolicyId>,
        key: &PacketKey,
        packet: &[u8],
    ) -> Option<(PacketKey, TemplateId)> {
        let about = PacketKey::of_quoted(packet, Direction::Outbound)?;
        if self.drops_on_purpose(dropped) {
            return None;
        }
        let Decision::Protect { policy, template } = self.policies.decide(INTERFACE, Direction::Outbound, &about)
        else {
            return None;
        };
        let pair = self.carrier(now, template, &about).and_then(|child| self.pairs.get(&child))?;
        // In transport mode what comes out is this machine's own.
        let own = pair.mode == Mode::Tunnel || key.local == pair.ends.local;
        if !own || !pair.outbound.protects() {
            return None;
        }
        if self.tracer.on {
            self.trace_look_up(now, None, &about, None);
        }
        count(&mut self.counters.out_errors);
        self.count_policy(policy, |counters| &mut counters.out_process_start);
        Some((about, template))
    }

    /// Returns whether an ICMP error, which came out of a pair and is to be dropped, is about traffic of that very pair.
    pub(crate) fn arrives_as_error(&mut self, now: Instant, child: ChildId, key: &PacketKey, packet: &[u8]) -> bool {
        let Some(about) = PacketKey::of_quoted(packet, Direction::Inbound) else { return false };
        let Some(pair) = self.pairs.get(&child) else { return false };
        let (local_port, remote_port) = ports(about.upper).unzip();
        let agreed = holds(&pair.local, about.local, about.protocol, local_port)
            && holds(&pair.remote, about.remote, about.protocol, remote_port);
        let policy = pair.policy;
        let dropped = match self.policies.decide(INTERFACE, Direction::Inbound, key) {
            Decision::Discard { policy } => policy,
            Decision::Bypass { .. } | Decision::Protect { .. } => None,
        };
        if !agreed || self.drops_on_purpose(dropped) || !self.protects(policy, &about) {
            return false;
        }
        if self.tracer.on {
            self.trace_look_up(now, Some(Arrival::Protected { policy }), &about, None);
        }
        count(&mut self.counters.in_errors);
        self.count_policy(policy, |counters| &mut counters.in_process_start);
        true
    }

    /// Whether what comes in like this belongs to a policy.
    fn protects(&self, policy: PolicyId, key: &PacketKey) -> bool {
        let decision = self.policies.decide(INTERFACE, Direction::Inbound, key);
        matches!(decision, Decision::Protect { policy: found, .. } if found == policy)
    }

    /// Whether the policy that drops a packet names something of it. One that drops whatever is left says no more than
    /// none does.
    fn drops_on_purpose(&self, dropped: Option<PolicyId>) -> bool {
        let policy = dropped.and_then(|policy| self.policies.policy(policy));
        policy.is_some_and(|policy| *policy.selector() != Selector::default())
    }
}
