//! Two endpoints and the queue between them.

pub mod lossy;
pub mod signing;

use core::time::Duration;
use drive::{Instant, Path, SecretBytes, Transmit, Verdict};
use ikev1_core::auth::{PreSharedKey, RsaVerifyingKey};
use ikev1_core::crypto::{CipherAlgorithm, DhGroup, HashAlgorithm};
use ikev1_core::proposal::{AesKey, AuthenticationMethod, EspCipher, Integrity, Lifetime, Phase1Transform, Protection};
use ikev1_core::{
    Action, ChildId, Command, Config, ConnectionConfig, ConnectionId, Direction, DropReason, Endpoint, Event,
    InstallSa, OriginalAddresses, Peer, Plan, PolicyConfig, RemoveSa, TrafficSelector, Users, VerifyCertificate,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::VecDeque;
use std::net::IpAddr;

pub const A: [u8; 4] = [192, 0, 2, 1];
pub const B: [u8; 4] = [192, 0, 2, 2];
pub const SITE: ConnectionId = ConnectionId(0);

pub fn net(octets: [u8; 4]) -> TrafficSelector {
    TrafficSelector::subnet(octets.into(), 24).unwrap()
}

/// A transform that costs little: most tests are not about exponentiations.
pub fn transform(group: DhGroup) -> Phase1Transform {
    Phase1Transform {
        cipher: CipherAlgorithm::Aes128,
        hash: HashAlgorithm::Sha1,
        group,
        authentication: AuthenticationMethod::PreSharedKey,
        lifetime: Lifetime::default(),
    }
}

pub fn esp() -> Protection {
    Protection::Esp { cipher: EspCipher::AesCbc(AesKey::Bits128), integrity: Some(Integrity::HmacSha1) }
}

pub fn policy(local: [u8; 4], remote: [u8; 4]) -> PolicyConfig {
    PolicyConfig::new("net").local(net(local)).remote(net(remote)).suites(vec![esp()])
}

/// The connection of one end, without policies.
pub fn connection(local: [u8; 4], peer: [u8; 4]) -> ConnectionConfig {
    ConnectionConfig::new("site")
        .peer(Peer::Address(peer.into()))
        .local(IpAddr::from(local))
        .pre_shared_key(PreSharedKey::copied(b"psk for the interop lab"))
        .phase1(vec![transform(DhGroup::Modp768)])
        .dangerously_allow_weak_algorithms(true)
}

pub fn left() -> ConnectionConfig {
    connection(A, B).policy(policy([10, 10, 1, 0], [10, 10, 2, 0]))
}

pub fn right() -> ConnectionConfig {
    connection(B, A).policy(policy([10, 10, 2, 0], [10, 10, 1, 0]))
}

pub fn plan(connection: ConnectionConfig) -> Plan {
    Config::new().trace(true).connection(connection).build().unwrap()
}

pub fn endpoint(plan: Plan, seed: u64) -> Endpoint {
    Endpoint::new(plan, Box::new(ChaCha8Rng::seed_from_u64(seed)))
}

/// What an installed SA must agree on with its counterpart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    pub child: ChildId,
    pub direction: Direction,
    pub spi: u32,
    pub suite: Protection,
    pub keys: (Vec<u8>, Vec<u8>),
    pub replaces: Option<ChildId>,
}

impl Installed {
    /// One for each protocol.
    fn of(install: &InstallSa) -> impl Iterator<Item = Self> {
        let open = |key: &SecretBytes| key.expose().to_vec();
        install.sas.iter().map(move |sa| Self {
            child: install.child,
            direction: install.direction,
            spi: sa.spi,
            suite: sa.suite,
            keys: (open(&sa.encryption_key), open(&sa.integrity_key)),
            replaces: install.replaces,
        })
    }
}

/// One end with all that it asked for.
pub struct End {
    pub endpoint: Endpoint,
    pub events: Vec<Event>,
    pub installed: Vec<Installed>,
    pub removed: Vec<RemoveSa>,
    pub log: Vec<String>,
    pub next_spi: u32,
    /// Who answers for the users, if anyone does.
    pub users: Option<Users>,
    /// Questions of phase 1.5 that the test answers itself.
    pub asked: Vec<Action>,
    /// What the installed SAs say of the addresses before a NAT, one for each direction.
    pub originals: Vec<Option<OriginalAddresses>>,
    /// The IP protocol for which no SPI is given.
    pub refuse_spi_of: Option<u8>,
    /// Judges certificates; without it the questions stay open.
    pub trust: Option<Trust>,
    pub questions: Vec<VerifyCertificate>,
}

/// Returns the key of certificates that are trusted.
pub type Trust = fn(&VerifyCertificate) -> Option<RsaVerifyingKey>;

impl End {
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            events: Vec::new(),
            installed: Vec::new(),
            removed: Vec::new(),
            log: Vec::new(),
            next_spi: 0x1000,
            users: None,
            originals: Vec::new(),
            refuse_spi_of: None,
            trust: None,
            questions: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Drains the actions, answers questions, and returns the datagrams.
    pub fn drain(&mut self, now: Instant) -> Vec<Transmit> {
        let mut datagrams = Vec::new();
        while let Some(action) = self.endpoint.poll_action() {
            self.log.push(format!("{now} {action:?}"));
            match action {
                Action::Transmit(transmit) => datagrams.push(transmit),
                Action::Event(event) => self.events.push(event),
                Action::InstallSa(install) => {
                    self.originals.push(install.original);
                    self.installed.extend(Installed::of(&install));
                }
                Action::RemoveSa(removal) => {
                    self.installed.retain(|installed| installed.child != removal.child);
                    self.removed.push(removal);
                }
                Action::AllocateSpi(ask) => {
                    self.next_spi += 1;
                    let spi = Some(self.next_spi).filter(|_| self.refuse_spi_of != Some(ask.protocol));
                    let answer = Command::ProvideSpi { ticket: ask.ticket, spi };
                    self.endpoint.handle_command(now, answer).unwrap();
                }
                Action::VerifyUser(ask) if self.users.is_some() => {
                    let verdict = self.users.as_ref().unwrap().verify(&ask);
                    let answer = Command::ProvideVerdict { ticket: ask.ticket, verdict };
                    self.endpoint.handle_command(now, answer).unwrap();
                }
                Action::VerifyCertificate(question) => {
                    if let Some(trust) = self.trust {
                        let answer = Command::CertificateVerdict { ticket: question.ticket, key: trust(&question) };
                        self.endpoint.handle_command(now, answer).unwrap();
                    }
                    self.questions.push(*question);
                }
                other => self.asked.push(other),
            }
        }
        datagrams
    }

    pub fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }

    pub fn established(&self) -> bool {
        self.has(|event| matches!(event, Event::SaEstablished { .. }))
    }
}

/// Two ends, the datagrams between them, and time.
pub struct Pair {
    pub now: Instant,
    pub left: End,
    pub right: End,
    pub wire: VecDeque<Transmit>,
    /// Every datagram that went over the wire, in order.
    pub seen: Vec<Transmit>,
}

impl Pair {
    pub fn new(left: Plan, right: Plan) -> Self {
        Self {
            now: Instant::from_secs(1),
            left: End::new(endpoint(left, 1)),
            right: End { next_spi: 0x2000, ..End::new(endpoint(right, 2)) },
            wire: VecDeque::new(),
            seen: Vec::new(),
        }
    }

    pub fn ordinary() -> Self {
        Self::new(plan(left()), plan(right()))
    }

    /// Drains both ends onto the wire.
    pub fn drain(&mut self) {
        let now = self.now;
        self.wire.extend(self.left.drain(now));
        self.wire.extend(self.right.drain(now));
    }

    pub fn end_at(&mut self, path: Path) -> &mut End {
        if path.remote.ip() == IpAddr::from(A) { &mut self.left } else { &mut self.right }
    }

    /// Delivers the next datagram and returns what became of it.
    pub fn step(&mut self) -> Option<Verdict<DropReason>> {
        let transmit = self.wire.pop_front()?;
        self.seen.push(transmit.clone());
        let verdict = self.deliver(&transmit);
        self.drain();
        Some(verdict)
    }

    pub fn deliver(&mut self, transmit: &Transmit) -> Verdict<DropReason> {
        let now = self.now;
        self.end_at(transmit.path).endpoint.handle_datagram(now, transmit.as_received())
    }

    /// Delivers until the wire is empty.
    pub fn settle(&mut self) {
        self.drain();
        for _ in 0..1_000 {
            if self.step().is_none() {
                return;
            }
        }
        panic!("the ends never come to rest");
    }

    pub fn command(&mut self, command: Command) {
        self.left.endpoint.handle_command(self.now, command).unwrap();
        self.drain();
    }

    pub fn initiate(&mut self) {
        self.command(Command::Initiate { connection: SITE });
    }

    /// Lets time pass, timer by timer, delivering everything at once.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        for _ in 0..10_000 {
            let next = [&self.left, &self.right].into_iter().filter_map(|end| end.endpoint.poll_timeout()).min();
            let Some(at) = next.filter(|at| *at <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(at);
            let now = self.now;
            self.left.endpoint.handle_timeout(now);
            self.right.endpoint.handle_timeout(now);
            self.settle();
            for end in [&self.left, &self.right] {
                assert!(end.endpoint.poll_timeout().is_none_or(|at| at > now), "a timer stays due");
            }
        }
        panic!("timers never come to rest");
    }

    pub fn established() -> Self {
        let mut pair = Self::ordinary();
        pair.initiate();
        pair.settle();
        assert!(pair.left.established() && pair.right.established());
        pair
    }

    /// The SAs of one end are the mirror image of the other's.
    pub fn assert_mirrored(&self) {
        let mirror = |installed: &Installed| match installed.direction {
            Direction::Inbound => Direction::Outbound,
            Direction::Outbound => Direction::Inbound,
        };
        assert_eq!(self.left.installed.len(), self.right.installed.len());
        for ours in &self.left.installed {
            let same = |theirs: &&Installed| theirs.spi == ours.spi && theirs.suite == ours.suite;
            let theirs = self.right.installed.iter().find(same).unwrap();
            assert_eq!(theirs.direction, mirror(ours));
            assert_eq!(theirs.keys, ours.keys);
            let keyless = matches!(ours.suite, Protection::Ipcomp { .. });
            assert_eq!(ours.keys.0.is_empty() && ours.keys.1.is_empty(), keyless);
        }
    }
}
