use crate::handler::Order;
use crate::record::verdict_text;
use crate::{Arrival, Entry, Handler, Mailbox, NodeId, Orders, RunError, What, World};
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use drive::{Datagram, Instant, IntoTransmit, Machine, Timers, Transmit};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How many steps one run may take unless [`Harness::set_step_limit`] says otherwise.
const DEFAULT_STEP_LIMIT: usize = 100_000;
/// How many actions one call may lead to: a machine that gives more never ends.
const ACTION_LIMIT: usize = 100_000;

/// What a machine says to a command.
pub type Answer<M> = Result<<M as Machine>::Handle, <M as Machine>::CommandError>;

/// Machines on the nodes of a world, driven by the one loop until there is nothing to do.
///
/// Actions that are datagrams go into the network; the others go to the [`Handler`].
pub struct Harness<M: Machine, H: Handler<M> = Mailbox<M>> {
    /// The network, to change links, rebind NATs, or put an attacker on the wire during a run.
    pub world: World,
    /// The handler, to look at what it has gathered.
    pub handler: H,
    machines: BTreeMap<NodeId, M>,
    timers: Timers<NodeId>,
    orders: Orders<M>,
    step_limit: usize,
    record: Option<Vec<Entry>>,
    refusals: Vec<(Instant, NodeId, M::CommandError)>,
    evidence: Option<String>,
}

impl<M: Machine> Harness<M>
where
    M::Action: fmt::Debug,
    M::CommandError: fmt::Debug,
    M::DropReason: fmt::Debug,
{
    /// Returns a harness whose handler collects all actions.
    pub fn new(world: World) -> Self {
        Self::with_handler(world, Mailbox::default())
    }

    /// Returns what the machine on `node` asked for so far, datagrams apart.
    pub fn actions(&self, node: NodeId) -> &[(Instant, M::Action)] {
        self.handler.actions(node)
    }

    /// Returns the same and forgets it.
    pub fn take_actions(&mut self, node: NodeId) -> Vec<(Instant, M::Action)> {
        self.handler.take(node)
    }
}

impl<M: Machine, H: Handler<M>> Harness<M, H>
where
    M::Action: fmt::Debug,
    M::CommandError: fmt::Debug,
    M::DropReason: fmt::Debug,
{
    /// Returns a harness that hands actions to `handler`.
    pub fn with_handler(world: World, handler: H) -> Self {
        Self {
            world,
            handler,
            machines: BTreeMap::new(),
            timers: Timers::new(),
            orders: Orders::default(),
            step_limit: DEFAULT_STEP_LIMIT,
            record: None,
            refusals: Vec::new(),
            evidence: None,
        }
    }

    /// Adds a node to the Internet with the machine that runs on it.
    pub fn add(&mut self, name: &str, address: impl Into<IpAddr>, machine: M) -> NodeId {
        let node = self.world.add_node(name, address);
        self.place(node, machine);
        node
    }

    /// Puts a machine on a node and returns the one it replaces, as when a peer reboots.
    pub fn place(&mut self, node: NodeId, machine: M) -> Option<M> {
        let old = self.machines.insert(node, machine);
        self.note_timer(node);
        old
    }

    /// Returns the machine on a node.
    pub fn machine(&self, node: NodeId) -> Option<&M> {
        self.machines.get(&node)
    }

    /// Returns the time.
    pub const fn now(&self) -> Instant {
        self.world.now()
    }

    /// Sets how many steps one run may take.
    pub fn set_step_limit(&mut self, steps: usize) {
        self.step_limit = steps;
    }

    /// Starts recording the run, for [`record`](Self::record).
    pub fn start_record(&mut self) {
        self.record.get_or_insert_default();
    }

    /// Returns what happened since [`start_record`](Self::start_record): the same seed and inputs give the
    /// same record.
    pub fn record(&self) -> &[Entry] {
        self.record.as_deref().unwrap_or_default()
    }

    /// Returns the commands of the handler that machines refused.
    pub fn refusals(&self) -> &[(Instant, NodeId, M::CommandError)] {
        &self.refusals
    }

    /// Writes a capture named `name` and the seed if the test fails from here on.
    ///
    /// It goes to the directory in `SIMNET_EVIDENCE`, else to that for temporary files, and is named on
    /// the standard error.
    pub fn keep_evidence(&mut self, name: &str) {
        self.evidence = Some(name.to_owned());
        self.world.start_capture();
    }

    /// Gives a command to the machine on `node`, and lets what it asks for be done.
    ///
    /// # Errors
    /// A [`RunError`]; what the machine says to the command is inside.
    pub fn command(&mut self, node: NodeId, command: M::Command) -> Result<Answer<M>, RunError> {
        let answer = self.hand_over(node, command).ok_or_else(|| self.no_machine(node))?;
        self.settle_node(node)?;
        Ok(answer)
    }

    /// Calls the machine on `node`, for what is not a command, and lets what it asks for be done.
    ///
    /// # Errors
    /// A [`RunError`].
    pub fn call<R>(&mut self, node: NodeId, call: impl FnOnce(Instant, &mut M) -> R) -> Result<R, RunError> {
        let now = self.now();
        let answer = self.machines.get_mut(&node).map(|machine| call(now, machine));
        let answer = answer.ok_or_else(|| self.no_machine(node))?;
        self.settle_node(node)?;
        Ok(answer)
    }

    /// Sends a packet from `node`, past its machine.
    pub fn send(&mut self, node: NodeId, packet: Transmit) {
        self.handler.on_sent(self.world.now(), node, &packet);
        self.log(node, || What::Sent(packet.clone()));
        self.world.send(node, packet);
    }

    /// Does the next thing that is due, and returns its time; `None` when nothing is.
    ///
    /// # Errors
    /// A [`RunError`].
    pub fn step(&mut self) -> Result<Option<Instant>, RunError> {
        self.step_until(Instant::MAX)
    }

    /// Does the next thing that is due at `limit` or earlier, and returns its time; `None` when nothing is.
    ///
    /// # Errors
    /// A [`RunError`].
    pub fn step_until(&mut self, limit: Instant) -> Result<Option<Instant>, RunError> {
        let timer = self.timers.next().map(|(at, node)| (at.max(self.world.now()), *node));
        let horizon = timer.map_or(limit, |(at, _)| at.min(limit));
        if let Some(arrival) = self.world.arrive_before(horizon) {
            self.deliver(arrival)?;
            return Ok(Some(self.now()));
        }
        match timer {
            Some((at, node)) if at <= limit => {
                self.world.advance_to(at);
                self.time_out(node)?;
                Ok(Some(at))
            }
            _ => Ok(None),
        }
    }

    /// Runs everything due up to `deadline`, and moves the clock there.
    ///
    /// # Errors
    /// A [`RunError`].
    pub fn run_until(&mut self, deadline: Instant) -> Result<(), RunError> {
        self.wait_for(deadline, |_| false)?;
        Ok(())
    }

    /// Runs for `time` from now.
    ///
    /// # Errors
    /// A [`RunError`].
    pub fn run_for(&mut self, time: Duration) -> Result<(), RunError> {
        self.run_until(self.now() + time)
    }

    /// Runs until nothing is due any more. A machine with a timer that always comes back never gets there.
    ///
    /// # Errors
    /// A [`RunError`].
    pub fn run_to_end(&mut self) -> Result<(), RunError> {
        for _ in 0..self.step_limit {
            if self.step()?.is_none() {
                return Ok(());
            }
        }
        Err(self.step_limit_reached())
    }

    /// Runs until `is_done` holds, and returns whether it did at `deadline`.
    ///
    /// # Errors
    /// A [`RunError`].
    pub fn wait_for(&mut self, deadline: Instant, mut is_done: impl FnMut(&Self) -> bool) -> Result<bool, RunError> {
        for _ in 0..self.step_limit {
            if is_done(self) {
                return Ok(true);
            }
            if self.step_until(deadline)?.is_none() {
                self.world.advance_to(deadline);
                return Ok(is_done(self));
            }
        }
        Err(self.step_limit_reached())
    }

    fn deliver(&mut self, arrival: Arrival) -> Result<(), RunError> {
        let Arrival { node, packet } = arrival;
        let now = self.now();
        let Some(machine) = self.machines.get_mut(&node) else { return Ok(()) };
        let verdict = machine.handle_datagram(now, Datagram { path: packet.path, payload: &packet.payload });
        self.handler.on_received(now, node, &packet, &verdict);
        self.log(node, || What::Received(packet.clone(), verdict_text(&verdict)));
        self.settle_node(node)
    }

    fn time_out(&mut self, node: NodeId) -> Result<(), RunError> {
        let now = self.now();
        let Some(machine) = self.machines.get_mut(&node) else { return Ok(()) };
        let reason = machine.next_timer().map_or("none", |(_, reason)| reason);
        machine.handle_timeout(now);
        self.log(node, || What::Timeout(reason));
        self.drain(node)?;
        if let Some((wanted, reason)) = self.machines.get(&node).and_then(Machine::next_timer)
            && wanted <= now
        {
            let name = self.world.name(node).to_owned();
            return Err(RunError::TimerNotLater { seed: self.world.seed(), node: name, reason, at: now, wanted });
        }
        self.settle_node(node)
    }

    fn hand_over(&mut self, node: NodeId, command: M::Command) -> Option<Answer<M>> {
        let now = self.now();
        let answer = self.machines.get_mut(&node)?.handle_command(now, command);
        self.log(node, || What::Command(answer.as_ref().err().map(|error| format!("{error:?}"))));
        Some(answer)
    }

    /// Drains a machine, and then does what the handler ordered until no order is left.
    fn settle_node(&mut self, node: NodeId) -> Result<(), RunError> {
        self.drain(node)?;
        let mut steps = 0;
        while let Some((node, order)) = self.orders.queue.pop_front() {
            steps += 1;
            if steps > self.step_limit {
                return Err(self.step_limit_reached());
            }
            self.obey(node, order);
            self.drain(node)?;
        }
        Ok(())
    }

    fn obey(&mut self, node: NodeId, order: Order<M>) {
        let now = self.now();
        match order {
            Order::Command(command) => {
                if let Some(Err(error)) = self.hand_over(node, command) {
                    self.refusals.push((now, node, error));
                }
            }
            Order::Call(call) => {
                if let Some(machine) = self.machines.get_mut(&node) {
                    call(now, machine);
                }
            }
            Order::Send(packet) => self.send(node, packet),
        }
    }

    fn drain(&mut self, node: NodeId) -> Result<(), RunError> {
        let now = self.now();
        for _ in 0..ACTION_LIMIT {
            let Some(action) = self.machines.get_mut(&node).and_then(Machine::poll_action) else {
                self.note_timer(node);
                return Ok(());
            };
            match action.into_transmit() {
                Ok(packet) => self.send(node, packet),
                Err(action) => {
                    self.log(node, || What::Action(format!("{action:?}")));
                    self.handler.on_action(now, node, action, &mut self.orders);
                }
            }
        }
        let name = self.world.name(node).to_owned();
        Err(RunError::ActionLimit { seed: self.world.seed(), node: name, actions: ACTION_LIMIT, at: now })
    }

    fn note_timer(&mut self, node: NodeId) {
        match self.machines.get(&node).and_then(Machine::poll_timeout) {
            Some(at) => self.timers.set(node, at),
            None => {
                self.timers.cancel(&node);
            }
        }
    }

    fn log(&mut self, node: NodeId, what: impl FnOnce() -> What) {
        let at = self.world.now();
        if let Some(record) = &mut self.record {
            record.push(Entry { at, node, what: what() });
        }
    }

    fn no_machine(&self, node: NodeId) -> RunError {
        RunError::NoMachine { node: self.world.name(node).to_owned() }
    }

    fn step_limit_reached(&self) -> RunError {
        RunError::StepLimit { seed: self.world.seed(), steps: self.step_limit, at: self.now() }
    }
}

impl<M: Machine, H: Handler<M>> Drop for Harness<M, H> {
    fn drop(&mut self) {
        let Some(name) = self.evidence.as_ref().filter(|_| std::thread::panicking()) else { return };
        let folder = std::env::var_os("SIMNET_EVIDENCE").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = folder.join(format!("{name}-seed-{}.pcap", self.world.seed()));
        let written =
            self.world.capture().map(|capture| std::fs::File::create(&path).and_then(|f| capture.write_to(f)));
        match written {
            Some(Ok(())) => {
                eprintln!("seed {}, at {}; capture in {}", self.world.seed(), self.world.now(), path.display())
            }
            Some(Err(error)) => eprintln!("seed {}; no capture: {error}", self.world.seed()),
            None => eprintln!("seed {}", self.world.seed()),
        }
    }
}
