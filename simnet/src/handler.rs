use crate::NodeId;
use drive::{Instant, Machine, Transmit, Verdict};
use std::collections::{BTreeMap, VecDeque};

/// Takes the actions that are not datagrams: the caller's part of the loop.
///
/// Closures of the same shape are handlers. What it wants done it puts into the [`Orders`].
pub trait Handler<M: Machine> {
    /// Takes one action of the machine on `node`.
    fn on_action(&mut self, now: Instant, node: NodeId, action: M::Action, orders: &mut Orders<M>);

    /// Sees a packet that `node` is about to send; `packet` is as the node sees it.
    fn on_sent(&mut self, now: Instant, node: NodeId, packet: &Transmit) {
        let _ = (now, node, packet);
    }

    /// Sees a packet that reached `node`, and what its machine thinks of it, before what follows from it.
    fn on_received(&mut self, now: Instant, node: NodeId, packet: &Transmit, verdict: &Verdict<M::DropReason>) {
        let _ = (now, node, packet, verdict);
    }
}

impl<M: Machine, F: FnMut(Instant, NodeId, M::Action, &mut Orders<M>)> Handler<M> for F {
    fn on_action(&mut self, now: Instant, node: NodeId, action: M::Action, orders: &mut Orders<M>) {
        self(now, node, action, orders);
    }
}

/// The handler that only collects: every action with its time, to be looked at afterwards.
pub struct Mailbox<M: Machine> {
    actions: BTreeMap<NodeId, Vec<(Instant, M::Action)>>,
}

impl<M: Machine> Default for Mailbox<M> {
    fn default() -> Self {
        Self { actions: BTreeMap::new() }
    }
}

impl<M: Machine> Mailbox<M> {
    /// Returns what the machine on `node` asked for so far.
    pub fn actions(&self, node: NodeId) -> &[(Instant, M::Action)] {
        self.actions.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Returns the same and forgets it.
    pub fn take(&mut self, node: NodeId) -> Vec<(Instant, M::Action)> {
        self.actions.remove(&node).unwrap_or_default()
    }
}

impl<M: Machine> Handler<M> for Mailbox<M> {
    fn on_action(&mut self, now: Instant, node: NodeId, action: M::Action, _: &mut Orders<M>) {
        self.actions.entry(node).or_default().push((now, action));
    }
}

/// What a handler wants done next, in order, at the same instant.
pub struct Orders<M: Machine> {
    pub(crate) queue: VecDeque<(NodeId, Order<M>)>,
}

/// A call that an order holds until it is its turn.
type Call<M> = Box<dyn FnOnce(Instant, &mut M)>;

pub(crate) enum Order<M: Machine> {
    Command(M::Command),
    Call(Call<M>),
    Send(Transmit),
}

impl<M: Machine> Default for Orders<M> {
    fn default() -> Self {
        Self { queue: VecDeque::new() }
    }
}

impl<M: Machine> Orders<M> {
    /// Gives a command to the machine on `node`. If it is refused, [`Harness::refusals`](crate::Harness::refusals) says so.
    pub fn command(&mut self, node: NodeId, command: M::Command) {
        self.queue.push_back((node, Order::Command(command)));
    }

    /// Calls the machine on `node`, for what is not a command; its actions are drained afterwards.
    pub fn call(&mut self, node: NodeId, call: impl FnOnce(Instant, &mut M) + 'static) {
        self.queue.push_back((node, Order::Call(Box::new(call))));
    }

    /// Sends a packet from `node`.
    pub fn send(&mut self, node: NodeId, packet: Transmit) {
        self.queue.push_back((node, Order::Send(packet)));
    }
}
