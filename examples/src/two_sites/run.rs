//! The script: what happens, and in which order.

use super::lan::Host;
use super::scenario::{Ending, Rekey, Scenario, Side};
use super::sites::{self, Network};
use super::story::{End, Story};
use super::tables;
use crate::gatewayd::file::{FileError, LogLevel};
use crate::gatewayd::log::Log;
use core::time::Duration;
use gateway::{Command, Gateway, Snapshot};
use ikev1_core::KeyLogLine;
use simnet::{Capture, Harness, Incident, Link, NodeId, RunError, Tap};
use std::io::{self, Write};

/// How long a negotiation, or the end, may take before it counts as failed: longer than the resends of a
/// message, 292 s by default, so that the end that began it says itself why.
const PATIENCE: Duration = Duration::from_secs(400);

/// How long the reply to the last ping of a row may take.
const LAST_REPLY: Duration = Duration::from_secs(1);

/// Why a run was given up.
#[derive(Debug, thiserror::Error)]
pub enum RunFailure {
    /// The scenario makes no plan.
    #[error(transparent)]
    Scenario(#[from] FileError),
    /// A machine did not do its part.
    #[error(transparent)]
    Machine(#[from] RunError),
    /// The log cannot be written.
    #[error("the log cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// What a run leaves behind.
pub struct Outcome {
    /// What travelled, if it was recorded.
    pub capture: Option<Capture>,
    /// The keys of all associations, if they were asked for.
    pub keys: Vec<KeyLogLine>,
    /// Whether there was a tunnel, pings came back both ways, and rekey and end went as the script has them.
    pub is_success: bool,
}

/// What a run is asked to keep.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// What travels, recorded there.
    pub capture: Option<Tap>,
    /// The keys of all associations.
    pub keys: bool,
}

/// Runs a scenario and writes what happens to `out` as it happens.
///
/// The same scenario and seed give the same text, octet for octet.
///
/// # Errors
/// A scenario that makes no plan, a machine that misbehaves, or a log that cannot be written.
pub fn run(scenario: &Scenario, seed: u64, keep: Keep, out: &mut dyn Write) -> Result<Outcome, RunFailure> {
    let mut stage = Stage::new(scenario, seed, keep, out)?;
    let script = &scenario.script;
    stage.introduce(scenario, seed)?;
    stage.heading("The first ping from the left needs a tunnel, and brings it up")?;
    stage.pings(Side::Left)?;
    if !stage.is_up() {
        stage.status("Status without a tunnel")?;
        return stage.finish(false, None);
    }
    stage.heading("Pings from the right")?;
    stage.pings(Side::Right)?;
    let title = match script.rekey {
        Rekey::Child => Some("The left renews the IPsec SAs"),
        Rekey::Ike => Some("The left renews the ISAKMP SA"),
        Rekey::Nothing => None,
    };
    let mut renewed = None;
    if let Some(title) = title {
        stage.heading(title)?;
        renewed = Some(stage.rekey()?);
        stage.heading("Pings both ways after the rekey")?;
        stage.pings(Side::Left)?;
        stage.pings(Side::Right)?;
    }
    if script.idle_seconds > 0 {
        stage.heading("Silence")?;
        stage.pass(Duration::from_secs(script.idle_seconds.into()))?;
    }
    stage.status("Status before the end")?;
    let is_over = match script.end {
        Ending::Close => {
            stage.heading("The left closes")?;
            stage.close()?;
            // Nothing answers a Delete: where it is lost, the other site goes on until its own time is up.
            true
        }
        Ending::Cut => {
            stage.heading("The wire is cut")?;
            stage.cut()?
        }
    };
    stage.status("Status after the end")?;
    stage.finish(is_over, renewed)
}

/// The harness on which the script runs, and where its text goes.
struct Stage<'a> {
    scenario: &'a Scenario,
    net: Harness<Gateway, Story>,
    nodes: [NodeId; 2],
    out: &'a mut dyn Write,
}

impl<'a> Stage<'a> {
    fn new(scenario: &'a Scenario, seed: u64, keep: Keep, out: &'a mut dyn Write) -> Result<Self, RunFailure> {
        let mut network = Network::new(scenario, seed);
        network.world.watch();
        if let Some(tap) = keep.capture {
            network.world.start_capture_of(tap);
        }
        let (left, right) = (network.left, network.right);
        let mut gateways = Vec::new();
        let mut end = |side: Side, node: NodeId| -> Result<End, RunFailure> {
            let (plan, trust) = sites::plan(scenario, side, keep.keys)?;
            let users = sites::users(scenario, side);
            let log = Log::new(LogLevel::Trace, &plan);
            gateways.push((node, Gateway::new(plan, Box::new(network.world.entropy(node)))));
            let identifier = u16::try_from(node.index()).unwrap_or(u16::MAX).saturating_add(1);
            Ok(End { side, node, host: Host::new(scenario.site(side).host, identifier), log, trust, users })
        };
        let ends = [end(Side::Left, left)?, end(Side::Right, right)?];
        let mut net = Harness::with_handler(network.world, Story::new(ends));
        for (node, gateway) in gateways {
            net.place(node, gateway);
        }
        Ok(Self { scenario, net, nodes: [left, right], out })
    }

    fn node(&self, side: Side) -> NodeId {
        let [left, right] = self.nodes;
        match side {
            Side::Left => left,
            Side::Right => right,
        }
    }

    fn introduce(&mut self, scenario: &Scenario, seed: u64) -> Result<(), RunFailure> {
        let page = &mut self.net.handler.page;
        page.text(format_args!("two sites, seed {seed}: the same seed gives the same run\n"));
        sites::picture(scenario).iter().for_each(|line| page.text(line));
        self.flush()
    }

    fn heading(&mut self, title: &str) -> Result<(), RunFailure> {
        self.net.handler.page.heading(title);
        self.net.handler.page.columns();
        self.flush()
    }

    /// Lets the host on a side ping the other, one ping after the other.
    fn pings(&mut self, side: Side) -> Result<(), RunFailure> {
        let script = self.scenario.script;
        let to = self.scenario.site(side.other()).host;
        for _ in 0..script.pings {
            let now = self.net.now();
            let host = &mut self.net.handler.end(side).host;
            let from = host.address();
            let (sequence, ping) = host.ping(now, to, script.size);
            let text = format!("{from} > {to}, number {sequence}, {} octets", ping.len());
            self.net.handler.page.line(now, side.name(), "ping", text);
            let outcome = self.net.call(self.node(side), |now, gateway| gateway.handle_packet(now, &ping))?;
            self.net.handler.handed_over(now, side, &outcome);
            self.flush()?;
            // The first ping brings the tunnel up; the others would only wait with it.
            self.wait(PATIENCE, |stage| stage.is_up() || stage.net.handler.failures > 0)?;
            if !self.is_up() {
                return Ok(());
            }
            self.pass(Duration::from_millis(script.interval_ms.into()))?;
        }
        self.pass(LAST_REPLY)
    }

    fn is_up(&self) -> bool {
        self.snapshots().all(|snapshot| !snapshot.ipsec.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.snapshots().all(|snapshot| snapshot.isakmp.is_empty() && snapshot.ipsec.is_empty())
    }

    fn snapshots(&self) -> impl Iterator<Item = Snapshot> {
        let now = self.net.now();
        self.nodes.iter().filter_map(|node| self.net.machine(*node)).map(move |gateway| gateway.snapshot(now))
    }

    /// Renews what the script names, and says whether that worked.
    fn rekey(&mut self) -> Result<bool, RunFailure> {
        let now = self.net.now();
        let left = self.node(Side::Left);
        let Some(gateway) = self.net.machine(left) else { return Ok(false) };
        let snapshot = gateway.snapshot(now);
        let command = match self.scenario.script.rekey {
            Rekey::Child => snapshot.ipsec.first().map(|pair| Command::RekeyChild { child: pair.status.child }),
            Rekey::Ike => snapshot.isakmp.first().map(|sa| Command::RekeyIke { ike_sa: sa.ike_sa }),
            Rekey::Nothing => None,
        };
        let Some(command) = command else {
            self.net.handler.page.line(now, "left", "rekey", "there is nothing to renew");
            self.flush()?;
            return Ok(false);
        };
        let before = self.net.handler.renewals;
        self.command(Side::Left, command, "renew")?;
        let is_renewed = self.wait(PATIENCE, |stage| stage.net.handler.renewals > before)?;
        self.pass(Duration::from_secs(1))?;
        Ok(is_renewed)
    }

    fn close(&mut self) -> Result<(), RunFailure> {
        self.command(Side::Left, Command::CloseAll, "close")?;
        self.pass(Duration::from_secs(1))?;
        self.wait(PATIENCE, Self::is_empty).map(|_| ())
    }

    /// Cuts the wire, and says whether both ends find out.
    fn cut(&mut self) -> Result<bool, RunFailure> {
        self.net.world.set_links(Link::cut());
        self.wait(PATIENCE, Self::is_empty)
    }

    fn command(&mut self, side: Side, command: Command, word: &str) -> Result<(), RunFailure> {
        let now = self.net.now();
        let text = match command {
            Command::RekeyChild { child } => format!("{word} {child}"),
            Command::RekeyIke { ike_sa } => format!("{word} {ike_sa}"),
            _ => word.to_owned(),
        };
        self.net.handler.page.line(now, side.name(), "command", text);
        if let Err(error) = self.net.command(self.node(side), command)? {
            self.net.handler.page.line(now, side.name(), "command", format_args!("refused: {error}"));
        }
        self.flush()
    }

    fn status(&mut self, title: &str) -> Result<(), RunFailure> {
        let now = self.net.now();
        for side in [Side::Left, Side::Right] {
            self.net.handler.page.heading(&format!("{title}: {}", side.name()));
            if let Some(gateway) = self.net.machine(self.node(side)) {
                let snapshot = gateway.snapshot(now);
                tables::write(&mut self.net.handler.page, now, &snapshot);
            }
        }
        self.flush()
    }

    /// Lets time pass and writes what happens.
    fn pass(&mut self, time: Duration) -> Result<(), RunFailure> {
        self.wait(time, |_| false).map(|_| ())
    }

    /// Lets time pass until something holds, and says whether it did.
    fn wait(&mut self, time: Duration, is_done: impl Fn(&Self) -> bool) -> Result<bool, RunFailure> {
        let deadline = self.net.now() + time;
        while !is_done(self) {
            if self.net.step_until(deadline)?.is_none() {
                self.net.run_until(deadline)?;
                return Ok(is_done(self));
            }
            self.flush()?;
        }
        Ok(true)
    }

    fn flush(&mut self) -> Result<(), RunFailure> {
        for (at, incident, packet) in self.net.world.take_incidents() {
            self.net.handler.incident(at, incident, &packet);
        }
        self.out.write_all(self.net.handler.page.take().as_bytes())?;
        Ok(())
    }

    fn finish(mut self, is_over: bool, renewed: Option<bool>) -> Result<Outcome, RunFailure> {
        let mut is_success = is_over && renewed != Some(false);
        let now = self.net.now();
        let story = &mut self.net.handler;
        story.page.heading("In short");
        for end in &story.ends {
            let (sent, _) = end.host.counts();
            let trips = end.host.round_trips();
            is_success &= !trips.is_empty();
            story.page.text(tables::pings(end.side, sent, trips));
        }
        let counters = self.net.world.counters();
        story.page.text(format_args!(
            "network  {} packets sent, {} arrived, {} lost",
            counters.sent,
            counters.delivered,
            counters.of(Incident::Lost)
        ));
        story.page.text(match renewed {
            None => "rekey    none",
            Some(true) => "rekey    done",
            Some(false) => "rekey    FAILED",
        });
        story.page.text(format_args!("clock    {} virtual seconds", now));
        self.flush()?;
        let keys = core::mem::take(&mut self.net.handler.keys);
        Ok(Outcome { capture: self.net.world.capture().cloned(), keys, is_success })
    }
}
