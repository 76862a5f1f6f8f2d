//! XAUTH and mode-config over links that lose, double and reorder: all of it comes through, or fails by
//! its own limits.

use crate::common::{A, B, SITE, connection, esp, net};
use core::net::IpAddr;
use core::time::Duration;
use drive::{Datagram, Instant, Machine, SecretBytes, Verdict};
use ikev1_core::{
    Action, AddressSource, Command, CommandError, Config, DropReason, Dynamic, Endpoint, Event, Handle, ModeConfig,
    ModeConfigClient, ModeConfigServer, PolicyConfig, TrafficSelector, Users, Xauth, XauthClient, XauthServer,
};
use simnet::{Chance, Harness, Link, World};

/// An end whose users are in memory.
struct Site {
    endpoint: Endpoint,
    users: Users,
    now: Instant,
}

impl Machine for Site {
    type Command = Command;
    type Handle = Handle;
    type CommandError = CommandError;
    type DropReason = DropReason;
    type Action = Action;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Verdict<DropReason> {
        self.now = now;
        self.endpoint.handle_datagram(now, datagram)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.endpoint.handle_timeout(now);
    }

    fn handle_command(&mut self, now: Instant, command: Command) -> Result<Handle, CommandError> {
        self.now = now;
        self.endpoint.handle_command(now, command)
    }

    fn poll_action(&mut self) -> Option<Action> {
        loop {
            match self.endpoint.poll_action()? {
                Action::VerifyUser(asked) => {
                    let verdict = self.users.verify(&asked);
                    let answer = Command::ProvideVerdict { ticket: asked.ticket, verdict };
                    self.endpoint.handle_command(self.now, answer).unwrap();
                }
                other => return Some(other),
            }
        }
    }

    fn next_timer(&self) -> Option<(Instant, &'static str)> {
        self.endpoint.next_timer()
    }
}

fn policy(dynamic: Dynamic) -> PolicyConfig {
    let everything = TrafficSelector::subnet([0, 0, 0, 0].into(), 0).unwrap();
    let (local, remote) = match dynamic {
        Dynamic::Local => (everything, net([10, 10, 2, 0])),
        _ => (net([10, 10, 2, 0]), net([10, 20, 0, 0])),
    };
    PolicyConfig::new("net").local(local).remote(remote).suites(vec![esp()]).dynamic(dynamic)
}

fn harness(seed: u64, link: Link, push: bool, password: &[u8]) -> (Harness<Site>, simnet::NodeId, simnet::NodeId) {
    let mut world = World::new(seed);
    world.set_links(link);
    let nodes = (world.add_node("client", A), world.add_node("server", B));
    let entropy = (world.entropy(nodes.0), world.entropy(nodes.1));
    let credentials = XauthClient::new().credentials("alice".into(), SecretBytes::copied(password));
    let client = connection(A, B)
        .xauth(Xauth::Client(credentials))
        .mode_config(ModeConfig::Client(ModeConfigClient::new().push(push)))
        .policy(policy(Dynamic::Local));
    let source = AddressSource::Pool("clients".into());
    let server = connection(B, A)
        .xauth(Xauth::Server(XauthServer::new()))
        .mode_config(ModeConfig::Server(ModeConfigServer::new().addresses(source).push(push)))
        .policy(policy(Dynamic::Remote));
    let address = |last: u8| IpAddr::from([10, 20, 0, last]);
    let config = |connection| Config::new().address_pool("clients", address(1), address(9)).connection(connection);
    let mut users = Users::new();
    users.insert("alice".into(), SecretBytes::copied(b"alice password"));
    let site = |config: Config, entropy, users| Site {
        endpoint: Endpoint::new(config.build().unwrap(), entropy),
        users,
        now: Instant::ZERO,
    };
    let mut harness = Harness::new(world);
    harness.place(nodes.0, site(config(client), Box::new(entropy.0), Users::new()));
    harness.place(nodes.1, site(config(server), Box::new(entropy.1), users));
    (harness, nodes.0, nodes.1)
}

fn events(harness: &Harness<Site>, node: simnet::NodeId) -> impl Iterator<Item = &Event> {
    harness.actions(node).iter().filter_map(|(_, action)| match action {
        Action::Event(event) => Some(event),
        _ => None,
    })
}

/// Runs one client to its end, and returns what failed if it did not come through.
fn outcome(seed: u64, link: Link, push: bool) -> Result<(), String> {
    let (mut harness, client, server) = harness(seed, link, push, b"alice password");
    harness.command(client, Command::Initiate { connection: SITE }).unwrap().unwrap();
    let failed = |harness: &Harness<Site>| {
        [("client", client), ("server", server)].into_iter().find_map(|(name, node)| {
            events(harness, node).find_map(|event| match event {
                Event::Phase1Failed { failure, .. } => Some(format!("{name} phase 1: {failure}")),
                Event::Phase2Failed { failure, .. } => Some(format!("{name} phase 2: {failure}")),
                Event::IkeSaEnded { reason, .. } => Some(format!("{name}: {reason:?}")),
                _ => None,
            })
        })
    };
    let up =
        |harness: &Harness<Site>, node| events(harness, node).any(|event| matches!(event, Event::SaEstablished { .. }));
    let done = |harness: &Harness<Site>| failed(harness).is_some() || up(harness, client) && up(harness, server);
    assert!(harness.wait_for(Instant::from_secs(2_000), done).unwrap(), "seed {seed}: neither up nor failed");
    if let Some(why) = failed(&harness) {
        return Err(why);
    }
    for node in [client, server] {
        let asked = events(&harness, node).filter(|event| matches!(event, Event::UserAuthenticated { .. })).count();
        assert_eq!(asked, 1, "seed {seed}");
        let status = harness.machine(node).unwrap().endpoint.status();
        assert_eq!(status.ike_sas[0].client_address, Some([10, 20, 0, 1].into()), "seed {seed}");
    }
    Ok(())
}

#[test]
fn loss_up_to_forty_percent_comes_through_or_fails_by_its_own_limits() {
    let mut table = Vec::new();
    for percent in [0, 10, 20, 30, 40] {
        let link = Link::lossy(Duration::from_millis(20), Chance::percent(percent));
        for push in [false, true] {
            let failures: Vec<String> = (0..20).filter_map(|seed| outcome(seed, link, push).err()).collect();
            table.push((percent, push, 20 - failures.len(), failures));
        }
    }
    for (percent, push, completed, failures) in &table {
        let least = match percent {
            0 => 20,
            10 => 20,
            20 => 18,
            30 => 16,
            // Phase 1 and quick mode alone lose a third of these.
            _ => 7,
        };
        assert!(*completed >= least, "{percent} % push {push}: {completed} of 20; {failures:?}");
    }
}

#[test]
fn doubled_reordered_and_bursty_links_come_through() {
    let completed =
        (0..20).filter(|seed| outcome(*seed, Link::hostile(Duration::from_millis(30)), false).is_ok()).count();
    assert!(completed >= 18, "{completed} of 20");
    let doubling = Link { duplicate: Chance::ALWAYS, jitter: Duration::from_millis(40), ..Link::default() };
    for seed in 0..20 {
        assert_eq!(outcome(seed, doubling, seed % 2 == 0), Ok(()), "seed {seed}");
    }
}

#[test]
fn a_wrong_password_ends_on_both_ends_whatever_is_lost() {
    for seed in 0..20 {
        let link = Link::lossy(Duration::from_millis(20), Chance::percent(20));
        let (mut harness, client, server) = harness(seed, link, false, b"wrong");
        harness.command(client, Command::Initiate { connection: SITE }).unwrap().unwrap();
        harness.run_until(Instant::from_secs(2_000)).unwrap();
        for node in [client, server] {
            let status = harness.machine(node).unwrap().endpoint.status();
            assert!(status.ike_sas.is_empty() && status.children.is_empty(), "seed {seed}");
            assert!(!events(&harness, node).any(|event| matches!(event, Event::UserAuthenticated { .. })));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let (mut harness, client, _) = harness(7, Link::hostile(Duration::from_millis(20)), false, b"alice password");
        harness.start_record();
        harness.command(client, Command::Initiate { connection: SITE }).unwrap().unwrap();
        harness.run_until(Instant::from_secs(300)).unwrap();
        harness.record().to_vec()
    };
    assert_eq!(run(), run());
}
