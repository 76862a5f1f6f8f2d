//! Who is told about, and what the gateway says to the policy debugger on a packet's way.
//!
//! All of it is asked only when something is to be told: the data path looks at [`Tracer::on`] before.

use crate::action::{Action, Event};
use crate::counters::{Counters, count};
use crate::debug::{DebugFlags, DebugSettings, DebugTarget};
use crate::defaults::{DEBUG_DEVICE, MAX_DEBUG_WALK, MAX_TRACES};
use crate::pump::Gateway;
use crate::route::{self, INTERFACE};
use crate::trace::{AcquireTrace, FilterOf, FilterTrace, Step, StepTrace, Trace, TraceLine, TracePlace};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use drive::Instant;
use ikev1_core::{ChildId, CommandError, ConnectionId, Peer};
use spd::{Arrival, Decision, Direction, Fragment, InboundRefusal, PacketKey, Refusal, SelectorPart, TemplateId};

/// The settings in force, and the lines that wait for the caller.
#[derive(Debug, Default)]
pub(crate) struct Tracer {
    /// Whether anything is told of anyone.
    pub(crate) on: bool,
    policies: BTreeMap<spd::PolicyId, DebugSettings>,
    /// Pairs with settings of their own, which may be to tell nothing.
    pairs: BTreeMap<ChildId, DebugSettings>,
    /// Whether any of them tells of selectors.
    filters: bool,
    lines: VecDeque<Trace>,
    lost: u64,
    /// Where the last line went.
    device: u32,
}

impl Tracer {
    pub(crate) fn new(mut policies: BTreeMap<spd::PolicyId, DebugSettings>) -> Self {
        policies.values_mut().for_each(|settings| *settings = settings.bounded());
        let mut tracer = Self { policies, device: DEBUG_DEVICE, ..Self::default() };
        tracer.settle();
        tracer
    }

    /// Returns the next line for the caller, and last how many were lost.
    pub(crate) fn next(&mut self) -> Option<Action> {
        let line = self.lines.pop_front().or_else(|| {
            let lost = core::mem::take(&mut self.lost);
            (lost > 0).then_some(Trace { device: self.device, line: TraceLine::Lost(lost) })
        })?;
        self.device = line.device;
        Some(Action::Event(Event::Trace(Box::new(line))))
    }

    /// Forgets the settings of a pair that is gone.
    pub(crate) fn forget(&mut self, child: ChildId) {
        if self.pairs.remove(&child).is_some() {
            self.settle();
        }
    }

    pub(crate) fn of_policy(&self, policy: spd::PolicyId) -> DebugSettings {
        self.policies.get(&policy).copied().unwrap_or_default()
    }

    pub(crate) fn of_pair(&self, child: ChildId, policy: spd::PolicyId) -> DebugSettings {
        self.pairs.get(&child).copied().unwrap_or_else(|| self.of_policy(policy))
    }

    fn settle(&mut self) {
        let all = || self.policies.values().chain(self.pairs.values());
        self.on = all().any(DebugSettings::is_on);
        self.filters = all().any(|settings| settings.filter != DebugFlags::OFF);
    }

    pub(crate) fn tell(&mut self, counters: &mut Counters, device: u32, line: impl FnOnce() -> TraceLine) {
        if self.has_room() {
            self.lines.push_back(Trace { device, line: line() });
        } else {
            self.lose(counters);
        }
    }

    fn has_room(&self) -> bool {
        self.lines.len() < MAX_TRACES
    }

    fn lose(&mut self, counters: &mut Counters) {
        self.lost = self.lost.saturating_add(1);
        count(&mut counters.traces_dropped);
    }

    /// Tells of the selectors of one policy or pair, up to the one that refuses.
    fn tell_filter(
        &mut self,
        counters: &mut Counters,
        settings: DebugSettings,
        direction: Direction,
        refusal: Option<Refusal>,
        of: impl Fn() -> FilterOf,
    ) {
        let flags = settings.filter;
        if !flags.has(way(direction)) {
            return;
        }
        let mut tell = |selector: Option<SelectorPart>, refusal: Option<Refusal>| {
            if flags.has(result(refusal.is_none())) && selector.is_none_or(|selector| flags.has(flag(selector))) {
                let line = || TraceLine::Filter(FilterTrace { direction, of: of(), selector, refusal });
                self.tell(counters, settings.device, line);
            }
        };
        if refusal.is_some_and(|refusal| refusal.part().is_none()) {
            return tell(None, refusal);
        }
        for selector in SelectorPart::ASKED {
            if refusal.and_then(Refusal::part) == Some(selector) {
                return tell(Some(selector), refusal);
            }
            tell(Some(selector), None);
        }
    }
}

impl Gateway {
    /// Changes what is told of packets.
    pub(crate) fn debug(&mut self, of: &DebugTarget, settings: DebugSettings) -> Result<(), CommandError> {
        let settings = settings.bounded();
        match of {
            DebugTarget::AllPolicies => {
                let all = self.policies.iter(INTERFACE).map(|(policy, _)| (policy, settings));
                self.tracer.policies = all.collect();
                self.tracer.pairs.clear();
            }
            DebugTarget::Policy(name) => {
                let policy = self.policies.by_name(INTERFACE, name).ok_or(CommandError::UnknownPolicyName)?;
                self.tracer.policies.insert(policy, settings);
            }
            DebugTarget::Pair(child) => {
                if !self.pairs.contains_key(child) {
                    return Err(CommandError::UnknownChild(*child));
                }
                self.tracer.pairs.insert(*child, settings);
            }
        }
        self.tracer.settle();
        Ok(())
    }

    /// Tells how the policies decided about a packet that is to be sent, or came in as `arrival` says.
    #[cold]
    pub(crate) fn trace_look_up(
        &mut self,
        now: Instant,
        arrival: Option<Arrival>,
        key: &PacketKey,
        fragment: Option<&Fragment>,
    ) {
        let direction = if arrival.is_none() { Direction::Outbound } else { Direction::Inbound };
        let key = &self.fragments.key_asked_with(now, &self.policies, INTERFACE, arrival, key, fragment);
        self.trace_filters(direction, key);
        let action = match self.policies.decide(INTERFACE, direction, key) {
            Decision::Protect { policy, template } => Some((policy, spd::Action::Protect(template))),
            Decision::Bypass { policy } => policy.map(|policy| (policy, spd::Action::Bypass)),
            Decision::Discard { policy } => policy.map(|policy| (policy, spd::Action::Discard)),
        };
        if let Some((policy, action)) = action {
            self.trace_policy(policy, direction, Step::LookUp(action));
        }
    }

    fn trace_filters(&mut self, direction: Direction, key: &PacketKey) {
        let Self { tracer, policies, counters, .. } = self;
        if !tracer.filters {
            return;
        }
        // Walking the policies for lines that have no room is work that anyone's packets could cause.
        if !tracer.has_room() {
            return tracer.lose(counters);
        }
        let mut left = MAX_DEBUG_WALK;
        let walked = policies.explain_each(INTERFACE, direction, key, |id, policy, refusal| {
            let settings = tracer.of_policy(id);
            tracer.tell_filter(counters, settings, direction, refusal, || FilterOf::Policy(policy.name().into()));
            left = left.saturating_sub(1);
            if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if walked.is_none() {
            tracer.lose(counters);
        }
    }

    /// Tells which pairs were asked to carry a packet, and which does.
    #[cold]
    pub(crate) fn trace_carrier(&mut self, template: TemplateId, key: &PacketKey, carrier: Option<ChildId>) {
        let direction = Direction::Outbound;
        if self.tracer.filters && self.tracer.has_room() {
            let pairs = self.routes.of(template).into_iter().flat_map(|route| route.carriers.pairs());
            let before = pairs.take(MAX_DEBUG_WALK).take_while(|child| carrier != Some(*child));
            let asked: Vec<ChildId> = before.chain(carrier).collect();
            asked.into_iter().for_each(|child| self.trace_pair_filter(child, direction, key));
        }
        if let Some(child) = carrier {
            self.trace_step(child, direction, Step::Chosen);
        }
    }

    /// Tells how a packet is held against what was negotiated for a pair.
    #[cold]
    pub(crate) fn trace_pair_filter(&mut self, child: ChildId, direction: Direction, key: &PacketKey) {
        let Some(pair) = self.pairs.get(&child) else { return };
        let settings = self.tracer.of_pair(child, pair.policy);
        if settings.filter != DebugFlags::OFF {
            let refusal = route::selector(pair.local, pair.remote).refusal(key);
            self.tracer.tell_filter(&mut self.counters, settings, direction, refusal, || FilterOf::Pair(child));
        }
    }

    /// Tells of a step of a packet that a pair carries.
    #[cold]
    pub(crate) fn trace_step(&mut self, child: ChildId, direction: Direction, step: Step) {
        if let Some(policy) = self.pairs.get(&child).map(|pair| pair.policy) {
            let settings = self.tracer.of_pair(child, policy);
            self.tell_step(settings, policy, Some(child), direction, step);
        }
    }

    /// Tells of a step of a packet that no pair carries yet.
    #[cold]
    pub(crate) fn trace_policy(&mut self, policy: spd::PolicyId, direction: Direction, step: Step) {
        self.tell_step(self.tracer.of_policy(policy), policy, None, direction, step);
    }

    fn tell_step(
        &mut self,
        settings: DebugSettings,
        policy: spd::PolicyId,
        child: Option<ChildId>,
        direction: Direction,
        step: Step,
    ) {
        if settings.trace.has(way(direction) | whereabouts(step.place()) | result(step.passed())) {
            let policies = &self.policies;
            self.tracer.tell(&mut self.counters, settings.device, || {
                TraceLine::Step(StepTrace { policy: name_of(policies, policy), child, direction, step })
            });
        }
    }

    /// Tells that a clear packet may not come in.
    #[cold]
    pub(crate) fn trace_refused(&mut self, refusal: InboundRefusal) {
        if let Some(policy) = refusal.policy() {
            self.trace_policy(policy, Direction::Inbound, Step::NotDelivered(refusal.into()));
        }
    }

    /// Tells which negotiation a packet asks for.
    #[cold]
    pub(crate) fn trace_acquire(&mut self, spd: spd::PolicyId, connection: ConnectionId, policy: ikev1_core::PolicyId) {
        let plan = self.ike.plan();
        let (Some(of), Some(protected)) = (plan.connection(connection), plan.policy(connection, policy)) else {
            return;
        };
        let first = protected.suites().first().map(|suite| suite.parts()).unwrap_or_default();
        let acquire = AcquireTrace {
            initiator_address: of.local(),
            responder_address: match of.peer() {
                Peer::Address(address) => Some(address),
                Peer::Subnet { .. } | Peer::Any => None,
            },
            protocol_id: first.first().map_or(0, |part| part.protocol().0),
            transforms: protected.suites().len(),
            sas: first.len(),
        };
        self.trace_policy(spd, Direction::Outbound, Step::Acquire(acquire));
    }
}

pub(crate) fn name_of(policies: &spd::Database, policy: spd::PolicyId) -> String {
    policies.policy(policy).map(|policy| policy.name().into()).unwrap_or_default()
}

pub(crate) const fn way(direction: Direction) -> DebugFlags {
    match direction {
        Direction::Outbound => DebugFlags::OUT,
        Direction::Inbound => DebugFlags::IN,
    }
}

const fn result(passed: bool) -> DebugFlags {
    if passed { DebugFlags::PASS } else { DebugFlags::FAIL }
}

pub(crate) const fn whereabouts(place: TracePlace) -> DebugFlags {
    match place {
        TracePlace::Ipsec => DebugFlags::IPSEC,
        TracePlace::Esp | TracePlace::Ah | TracePlace::Ipcomp => DebugFlags::PROTOCOL,
    }
}

/// Returns the filter that a selector goes with.
const fn flag(selector: SelectorPart) -> DebugFlags {
    match selector {
        SelectorPart::LocalAddress => DebugFlags::LOCAL_ADDRESS,
        SelectorPart::RemoteAddress => DebugFlags::REMOTE_ADDRESS,
        SelectorPart::Protocol | SelectorPart::Message => DebugFlags::TRANSPORT_PROTOCOL,
        SelectorPart::LocalPort => DebugFlags::LOCAL_PORT,
        SelectorPart::RemotePort => DebugFlags::REMOTE_PORT,
        SelectorPart::LocalName => DebugFlags::LOCAL_NAME,
        SelectorPart::RemoteName => DebugFlags::REMOTE_NAME,
    }
}
