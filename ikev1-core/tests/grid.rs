//! Every exchange over every kind of bad link: each run finishes or fails by its own limits.
//!
//! The table of outcomes is the snapshot `grid.txt`; `SNAPSHOTS=write` writes it anew.

use crate::common::{A, B, SITE, esp, left, net, right, signing};
use core::time::Duration;
use drive::{Instant, SecretBytes};
use ikev1_core::auth::{Authentication, RemoteKey};
use ikev1_core::crypto::DhGroup;
use ikev1_core::{
    Action, AddressSource, Command, Config, ConnectionConfig, Endpoint, Event, Failure, IkeSaState, IkeSaStatus,
    ModeConfig, ModeConfigClient, ModeConfigServer, Phase1Mode, Plan, PolicyConfig, PolicyId, RemoteIdentity, Status,
    Users, Xauth, XauthClient, XauthServer,
};
use nat_t::{Support, Version};
use simnet::{Chance, Harness, Link, NodeId, World};
use std::fmt::Write as _;
use std::path::Path;

/// The runs of each cell.
const SEEDS: u64 = 50;
/// No schedule of any exchange is longer.
const PATIENCE: Duration = Duration::from_secs(2_000);
/// How long liveness checks are watched.
const WATCH: Duration = Duration::from_secs(600);
const LATENCY: Duration = Duration::from_millis(20);

/// What a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exchange {
    /// From nothing to a pair of IPsec SAs.
    Tunnel,
    /// One more pair under an SA that is up.
    Quick,
    /// A pair renewed.
    RekeyChild,
    /// The ISAKMP SA renewed.
    RekeyIke,
    /// The peer asked whether it lives, for ten minutes without traffic: it does.
    Dpd,
    /// One end closes; the other follows, by the Delete or because nobody answers any more.
    Delete,
}

struct Case {
    name: &'static str,
    exchange: Exchange,
    change: Change,
}

/// What is special about the connection of an end; `true` for the one that starts.
type Change = fn(ConnectionConfig, bool) -> ConnectionConfig;

const fn case(name: &'static str, exchange: Exchange, change: Change) -> Case {
    Case { name, exchange, change }
}

fn as_it_is(connection: ConnectionConfig, _: bool) -> ConnectionConfig {
    connection
}

fn aggressive(connection: ConnectionConfig, _: bool) -> ConnectionConfig {
    connection.mode(Phase1Mode::Aggressive).dangerously_allow_aggressive_mode(true)
}

fn base(connection: ConnectionConfig, _: bool) -> ConnectionConfig {
    connection.mode(Phase1Mode::Base).dangerously_allow_base_mode(true)
}

fn base_rsa(connection: ConnectionConfig, starts: bool) -> ConnectionConfig {
    rsa(connection, starts).mode(Phase1Mode::Base)
}

fn in_parts(connection: ConnectionConfig, _: bool) -> ConnectionConfig {
    connection.fragment_size(128)
}

/// All that drafts 00 and 01 of NAT traversal have: everything on port 500.
fn draft_00(connection: ConnectionConfig, _: bool) -> ConnectionConfig {
    connection.nat_t_versions(Support::NONE.with(Version::Draft00)).force_encapsulation(true)
}

fn initiator_commits(connection: ConnectionConfig, starts: bool) -> ConnectionConfig {
    connection.commit_bit(starts)
}

fn both_commit(connection: ConnectionConfig, _: bool) -> ConnectionConfig {
    connection.commit_bit(true)
}

/// Each ISAKMP SA carries one quick mode, so that a renewal begins with main mode.
fn one_each(connection: ConnectionConfig, _: bool) -> ConnectionConfig {
    connection.pfs_identities(true)
}

/// Each knows the key of the other, so that nobody has to be asked.
fn rsa(connection: ConnectionConfig, starts: bool) -> ConnectionConfig {
    let (ours, theirs) = if starts { ("left", "right") } else { ("right", "left") };
    let local = signing::credential(ours, &[]);
    let remote = RemoteKey::Key(signing::key(theirs));
    signing::signing(connection, ours, theirs, &[]).authentication(Authentication::RsaSignature { local, remote })
}

fn xauth(connection: ConnectionConfig, starts: bool) -> ConnectionConfig {
    let client = || XauthClient::new().credentials("alice".into(), SecretBytes::copied(b"secret"));
    connection.xauth(if starts { Xauth::Client(client()) } else { Xauth::Server(XauthServer::new()) })
}

fn aggressive_rsa(connection: ConnectionConfig, starts: bool) -> ConnectionConfig {
    rsa(connection, starts).mode(Phase1Mode::Aggressive)
}

/// The end that starts is the user's, and knows the key of the gateway.
fn hybrid(connection: ConnectionConfig, starts: bool) -> ConnectionConfig {
    let authentication = if starts {
        Authentication::HybridClient(RemoteKey::Key(signing::key("right")))
    } else {
        Authentication::HybridGateway(signing::credential("right", &[]))
    };
    let identity = signing::name(if starts { "user" } else { "right" });
    let wanted = if starts { RemoteIdentity::Exactly(signing::name("right")) } else { RemoteIdentity::Anyone };
    xauth(connection.authentication(authentication).local_identity(identity).remote_identity(wanted), starts)
}

fn pulled(connection: ConnectionConfig, starts: bool) -> ConnectionConfig {
    configured(connection, starts, false)
}

fn pushed(connection: ConnectionConfig, starts: bool) -> ConnectionConfig {
    configured(connection, starts, true)
}

/// XAUTH, then an address of the pool.
fn configured(connection: ConnectionConfig, starts: bool, push: bool) -> ConnectionConfig {
    let server = ModeConfigServer::new().addresses(AddressSource::Pool(POOL.into())).push(push);
    let client = ModeConfigClient::new().push(push);
    let side = if starts { ModeConfig::Client(client) } else { ModeConfig::Server(server) };
    xauth(connection, starts).mode_config(side)
}

/// The name of the addresses for clients.
const POOL: &str = "clients";

const CASES: &[Case] = &[
    case("main mode, pre-shared key", Exchange::Tunnel, as_it_is),
    case("main mode, in parts of 128", Exchange::Tunnel, in_parts),
    case("main mode, NAT-T of draft 00", Exchange::Tunnel, draft_00),
    case("aggressive mode, pre-shared key", Exchange::Tunnel, aggressive),
    case("base mode, pre-shared key", Exchange::Tunnel, base),
    case("base mode, RSA signatures", Exchange::Tunnel, base_rsa),
    case("main mode, RSA signatures", Exchange::Tunnel, rsa),
    case("aggressive mode, RSA signatures", Exchange::Tunnel, aggressive_rsa),
    case("main mode, hybrid", Exchange::Tunnel, hybrid),
    case("main mode, key and XAUTH", Exchange::Tunnel, xauth),
    case("the same, then mode-config pulled", Exchange::Tunnel, pulled),
    case("the same, then mode-config pushed", Exchange::Tunnel, pushed),
    case("quick mode", Exchange::Quick, as_it_is),
    case("quick mode with PFS", Exchange::Quick, as_it_is),
    case("quick mode, initiator's commit bit", Exchange::Quick, initiator_commits),
    case("quick mode, commit bit of both", Exchange::Quick, both_commit),
    case("renewal of IPsec SAs", Exchange::RekeyChild, as_it_is),
    case("renewal, PFS for identities", Exchange::RekeyChild, one_each),
    case("renewal in main mode", Exchange::RekeyIke, as_it_is),
    case("renewal in aggressive mode", Exchange::RekeyIke, aggressive),
    case("dead peer detection", Exchange::Dpd, as_it_is),
    case("deletes", Exchange::Delete, as_it_is),
];

/// The links, each with its heading.
fn links() -> Vec<(String, Link)> {
    let latency = LATENCY;
    let mut links: Vec<(String, Link)> = [0, 10, 20, 30, 40]
        .map(|percent| (format!("loss {percent}%"), Link::lossy(latency, Chance::percent(percent))))
        .into();
    let doubling = Link { duplicate: Chance::percent(50), ..Link::with_latency(latency) };
    let reordering =
        Link { jitter: Duration::from_millis(30), reorder: Chance::percent(30), ..Link::with_latency(latency) };
    links.push(("doubled".into(), doubling));
    links.push(("reordered".into(), reordering));
    links.push(("all of it".into(), Link::hostile(latency)));
    links
}

/// The policy of the pair that is made under an SA that is up.
fn second(local: [u8; 4], remote: [u8; 4], pfs: bool) -> PolicyConfig {
    let policy = PolicyConfig::new("second").local(net(local)).remote(net(remote)).suites(vec![esp()]);
    if pfs { policy.pfs(DhGroup::Modp768) } else { policy }
}

fn plans(case: &Case) -> [Plan; 2] {
    let pfs = case.name.ends_with("PFS");
    let left = left().policy(second([10, 10, 3, 0], [10, 10, 4, 0], pfs));
    let right = right().policy(second([10, 10, 4, 0], [10, 10, 3, 0], pfs));
    [(left, true), (right, false)].map(|(connection, starts)| {
        let config = Config::new().address_pool(POOL, [10, 20, 0, 1].into(), [10, 20, 0, 9].into());
        config.connection((case.change)(connection, starts)).build().unwrap()
    })
}

struct Run {
    harness: Harness<Endpoint>,
    nodes: [NodeId; 2],
    users: Users,
    /// How many actions of each end were looked through for questions.
    looked: [usize; 2],
}

impl Run {
    /// Two ends on a perfect link, established unless that is what the run is about.
    fn new(seed: u64, case: &Case) -> Self {
        let mut world = World::new(seed);
        world.set_links(Link::with_latency(LATENCY));
        let nodes = [world.add_node("left", A), world.add_node("right", B)];
        let entropy = nodes.map(|node| world.entropy(node));
        let mut harness = Harness::new(world);
        for ((node, plan), entropy) in nodes.into_iter().zip(plans(case)).zip(entropy) {
            harness.place(node, Endpoint::new(plan, Box::new(entropy)));
        }
        let mut users = Users::new();
        users.insert("alice".into(), SecretBytes::copied(b"secret"));
        let mut run = Self { harness, nodes, users, looked: [0; 2] };
        if case.exchange != Exchange::Tunnel {
            run.acquire(0);
            assert!(run.wait(|run| run.both(established)), "a perfect link");
        }
        run
    }

    fn command(&mut self, command: Command) {
        self.harness.command(self.nodes[0], command).unwrap().unwrap();
    }

    fn acquire(&mut self, policy: u32) {
        self.command(Command::Acquire { connection: SITE, policy: PolicyId(policy), packet: None });
    }

    fn status(&self, node: NodeId) -> Status {
        self.harness.machine(node).unwrap().status()
    }

    fn wait(&mut self, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.harness.now() + PATIENCE;
        while !done(self) {
            if self.harness.step_until(end).unwrap().is_none() {
                return false;
            }
            self.answer();
        }
        true
    }

    /// Answers the questions who a user is.
    fn answer(&mut self) {
        for (node, looked) in self.nodes.into_iter().zip(&mut self.looked) {
            let actions = self.harness.actions(node);
            let fresh = actions.get(*looked..).unwrap_or_default();
            *looked = actions.len();
            let answers: Vec<Command> = fresh
                .iter()
                .filter_map(|(_, action)| match action {
                    Action::VerifyUser(ask) => {
                        Some(Command::ProvideVerdict { ticket: ask.ticket, verdict: self.users.verify(ask) })
                    }
                    _ => None,
                })
                .collect();
            for answer in answers {
                self.harness.command(node, answer).unwrap().unwrap();
            }
        }
    }

    fn told(&self, node: NodeId, wanted: fn(&Event) -> bool) -> bool {
        self.harness.actions(node).iter().any(|(_, action)| matches!(action, Action::Event(event) if wanted(event)))
    }

    fn both(&self, wanted: fn(&Event) -> bool) -> bool {
        self.nodes.iter().all(|node| self.told(*node, wanted))
    }

    fn failure(&self) -> Option<Failure> {
        let actions = self.nodes.iter().flat_map(|node| self.harness.actions(*node));
        actions.into_iter().find_map(|(_, action)| match action {
            Action::Event(Event::Phase1Failed { failure, .. } | Event::Phase2Failed { failure, .. }) => {
                Some(failure.clone())
            }
            _ => None,
        })
    }

    /// Starts what the run is about.
    fn start(&mut self, exchange: Exchange) {
        match exchange {
            Exchange::Tunnel => self.acquire(0),
            Exchange::Quick => self.acquire(1),
            Exchange::RekeyChild => {
                let child = self.status(self.nodes[0]).children[0].child;
                self.command(Command::RekeyChild { child });
            }
            Exchange::RekeyIke => {
                let ike_sa = self.status(self.nodes[0]).ike_sas[0].ike_sa;
                self.command(Command::RekeyIke { ike_sa });
            }
            Exchange::Dpd => {}
            Exchange::Delete => self.command(Command::CloseConnection { connection: SITE }),
        }
    }

    fn is_done(&self, exchange: Exchange, began: Instant) -> bool {
        match exchange {
            Exchange::Tunnel | Exchange::Quick => self.both(established),
            Exchange::RekeyChild => self.both(|event| matches!(event, Event::SaRekeyed { .. })),
            Exchange::RekeyIke => self.both(|event| matches!(event, Event::SasAdopted { .. })),
            Exchange::Dpd => self.harness.now() >= began + WATCH,
            Exchange::Delete => self.both(|event| matches!(event, Event::IkeSaEnded { .. })),
        }
    }

    /// Runs to the end: how long it took, or why it failed.
    fn finish(mut self, exchange: Exchange, link: Link) -> Result<Duration, Failure> {
        for node in self.nodes {
            drop(self.harness.take_actions(node));
        }
        self.looked = [0; 2];
        self.harness.world.set_links(link);
        let began = self.harness.now();
        self.start(exchange);
        let dead =
            |run: &Self| run.nodes.iter().any(|node| run.told(*node, |event| matches!(event, Event::PeerDead { .. })));
        let ended = |run: &Self| {
            let over = run.failure().is_some() || exchange == Exchange::Dpd && dead(run);
            over || run.is_done(exchange, began)
        };
        assert!(self.wait(ended), "neither done nor failed");
        if let Some(failure) = self.failure() {
            // Whatever failed, nothing half-made outlives the limits of the three messages of an initiator.
            self.harness.run_for(Duration::from_secs(1_000)).unwrap();
            let since = self.harness.now().saturating_sub(Duration::from_secs(3 * 292));
            let young = |sa: &IkeSaStatus| sa.state != IkeSaState::Embryonic || sa.created >= since;
            assert!(self.nodes.iter().all(|node| self.status(*node).ike_sas.iter().all(young)));
            return Err(failure);
        }
        if exchange == Exchange::Dpd && dead(&self) {
            return Err(Failure::PeerDead);
        }
        Ok(self.harness.now().saturating_duration_since(began))
    }
}

fn established(event: &Event) -> bool {
    matches!(event, Event::SaEstablished { .. })
}

/// Runs a cell and returns its text: how many of the runs finished, and the median and the longest of
/// their times in seconds.
fn cell(case: &Case, link: Link) -> String {
    let mut times = Vec::new();
    for seed in 0..SEEDS {
        match Run::new(seed, case).finish(case.exchange, link) {
            Ok(time) => times.push(time),
            Err(failure) => {
                let own_limit = matches!(
                    failure,
                    Failure::Timeout { .. }
                        | Failure::HalfOpenTimeout
                        | Failure::PeerDead
                        | Failure::UserTimeout
                        // The other end told that its own limit was reached.
                        | Failure::IkeSaGone
                        | Failure::ProbablyWrongKey
                );
                assert!(own_limit, "{}, seed {seed}: {failure}", case.name);
            }
        }
    }
    times.sort_unstable();
    let seconds = |time: Option<&Duration>| time.map_or("-".into(), |time| format!("{:.1}", time.as_secs_f64()));
    format!("{} {:>5} {:>6}", times.len(), seconds(times.get(times.len() / 2)), seconds(times.last()))
}

#[test]
fn every_exchange_over_every_link_finishes_or_fails_by_its_own_limits() {
    let links = links();
    let mut table = format!("{:<36}", format!("of {SEEDS}: done, median s, longest s"));
    for (heading, _) in &links {
        write!(table, " | {heading:<15}").unwrap();
    }
    table.truncate(table.trim_end().len());
    for case in CASES {
        write!(table, "\n{:<36}", case.name).unwrap();
        for (_, link) in &links {
            write!(table, " | {:<15}", cell(case, *link)).unwrap();
        }
        table.truncate(table.trim_end().len());
    }
    table.push('\n');
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grid.txt");
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "write") {
        std::fs::write(&path, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == table, "{} differs; the table is now:\n{table}", path.display());
}
