//! One line for each piece of news.

use super::file::LogLevel;
use core::fmt::Display;
use drive::{Instant, Path};
use gateway::{Event, Plan};
use ikev1_core::negotiate::Refusals;
use ikev1_core::{ClientSettings, ConnectionId, Event as Ike, Failure, MessageTrace, PolicyId};
use ipsec_wire::registry::{NotifyType, ProtocolId};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

/// Prints lines of time, level and text; what is below its level is not printed.
#[derive(Debug)]
pub struct Log {
    level: LogLevel,
    connections: BTreeMap<ConnectionId, String>,
    policies: BTreeMap<(ConnectionId, PolicyId), String>,
}

impl Log {
    /// Returns a log that knows the names of a plan.
    pub fn new(level: LogLevel, plan: &Plan) -> Self {
        let mut log = Self { level, connections: BTreeMap::new(), policies: BTreeMap::new() };
        for (id, connection) in plan.ike().connections() {
            log.connections.insert(id, connection.name().to_owned());
            for (policy, of) in connection.policies() {
                log.policies.insert((id, policy), of.name().to_owned());
            }
        }
        log
    }

    /// Prints a line about the program itself.
    pub fn line(&self, now: Instant, text: &str) {
        self.print(now, LogLevel::Info, text);
    }

    /// Prints a line about something that failed.
    pub fn warning(&self, now: Instant, text: &str) {
        self.print(now, LogLevel::Warn, text);
    }

    /// Prints why a datagram was dropped; only in a trace, since anyone can send such datagrams.
    pub fn dropped(&self, now: Instant, path: Path, reason: &impl Display) {
        self.print(now, LogLevel::Trace, &format!("dropped from {}: {reason}", path.remote));
    }

    /// Prints news of the engine.
    pub fn event(&self, now: Instant, event: &Event) {
        let (level, text) = self.text(event);
        text.lines().for_each(|line| self.print(now, level, line));
    }

    /// Returns the text of news of the engine, its parts with `; ` between them, and its level. Only what the policy
    /// debugger tells has more than one line.
    pub fn text(&self, event: &Event) -> (LogLevel, String) {
        match event {
            Event::Ike(event) => self.ike(event),
            Event::Acquiring { connection, policy } => {
                (LogLevel::Info, format!("{}: traffic needs it, negotiating", self.policy(*connection, *policy)))
            }
            Event::WaitingLost { connection, policy, packets, reason } => (
                LogLevel::Warn,
                format!("{}: {packets} waiting packets dropped: {reason}", self.policy(*connection, *policy)),
            ),
            Event::SessionUp { connection, policy, peer, local, remote, .. } => (
                LogLevel::Info,
                format!("{}: up with {}, {local} to {remote}", self.policy(*connection, *policy), peer.ip()),
            ),
            Event::SessionDown { connection, policy, peer, reason, lasted, traffic, .. } => (
                LogLevel::Info,
                format!(
                    "{}: down with {} after {} s: {reason:?}; {} packets of {} octets in, {} of {} out",
                    self.policy(*connection, *policy),
                    peer.ip(),
                    lasted.as_secs(),
                    traffic.in_packets,
                    traffic.in_octets,
                    traffic.out_packets,
                    traffic.out_octets
                ),
            ),
            Event::RouteWanted { template, connection, policy, peer, to }
            | Event::RouteUnwanted { template, connection, policy, peer, to } => {
                let what = if matches!(event, Event::RouteWanted { .. }) { "wanted" } else { "not wanted any more" };
                let policy = self.policy(*connection, *policy);
                (LogLevel::Info, format!("{policy}: route by {template} to {to} through {} {what}", peer.ip()))
            }
            Event::FragmentsRefused { outbound, reason, local, remote, count } => {
                let way = if *outbound { "to send" } else { "received" };
                (LogLevel::Warn, format!("{count} fragments {way} dropped, the last of {local} and {remote}: {reason}"))
            }
            Event::PathMtuLowered { child, mtu } => (LogLevel::Info, format!("{child}: its path carries {mtu} octets")),
            Event::Trace(trace) => (LogLevel::Info, trace.to_string()),
            Event::InstallRefused { child, reason } => (LogLevel::Warn, format!("{child}: not installed: {reason}")),
            other => (LogLevel::Info, format!("{other:?}")),
        }
    }

    fn print(&self, now: Instant, level: LogLevel, text: &str) {
        if level <= self.level {
            let name = match level {
                LogLevel::Warn => "warn",
                LogLevel::Info => "info",
                LogLevel::Trace => "trace",
            };
            // A reader that went away is no reason to end.
            let _ = writeln!(std::io::stdout(), "{now:>14} {name:<5} {text}");
        }
    }

    fn ike(&self, event: &Ike) -> (LogLevel, String) {
        use LogLevel::{Info, Trace, Warn};
        match event {
            Ike::Message(message) => (Trace, message_line(message)),
            Ike::Phase1Started { ike_sa, role, connection, path, replaces } => {
                let mut text = format!("{}: phase 1 as {role}, {ike_sa}, {path}", self.connection(*connection));
                if let Some(old) = replaces {
                    _ = write!(text, ", to replace {old}");
                }
                (Info, text)
            }
            Ike::Phase1Negotiated { ike_sa, chosen, number, passed_over } => {
                (Info, format!("{ike_sa}: transform {number} chosen: {chosen}{}", reasons(passed_over)))
            }
            Ike::NatDetected { ike_sa, nat, version, path } => {
                (Info, format!("{ike_sa}: NAT discovered: {nat} ({version}), path {path}"))
            }
            Ike::KeyHashExposed { ike_sa, connection, path, peer } => (
                Warn,
                format!(
                    "{}: {ike_sa}: a hash over the pre-shared key went to {}, which says it is {peer}",
                    self.connection(*connection),
                    path.remote
                ),
            ),
            Ike::Phase1Established { ike_sa, cookies, connection, role, peer, lifetime, .. } => (
                Info,
                format!(
                    "{}: phase 1 established as {role}, {ike_sa}, cookies {cookies}, peer is {peer}, for {} s",
                    self.connection(*connection),
                    lifetime.as_secs()
                ),
            ),
            Ike::Phase1Failed { ike_sa, connection, role, path, failure, refusals } => {
                let who = connection.map_or_else(|| "no connection".to_owned(), |id| self.connection(id));
                (
                    Warn,
                    format!("{who}: phase 1 failed as {role}, {ike_sa}, {path}: {}{}", why(failure), reasons(refusals)),
                )
            }
            Ike::AuthenticationFailed { ike_sa, connection, path, peer, wanted, credential, failure } => {
                let unknown = || "unreadable".to_owned();
                let peer = peer.as_ref().map_or_else(unknown, ToString::to_string);
                let wanted = wanted.as_ref().map_or_else(|| "anyone".to_owned(), ToString::to_string);
                (
                    Warn,
                    format!(
                        "{}: authentication failed, {ike_sa}, {path}: {failure}; peer says {peer}, wanted {wanted}, looked up {credential}",
                        self.connection(*connection)
                    ),
                )
            }
            Ike::IkeSaEnded { ike_sa, connection, reason } => {
                (Info, format!("{}: {ike_sa} ended: {reason}", self.connection(*connection)))
            }
            Ike::Phase2Started { child, ike_sa, role, message_id, .. } => {
                (Info, format!("{child}: phase 2 as {role} under {ike_sa}, message id {message_id:#010x}"))
            }
            Ike::Phase2Negotiated { child, chosen, number, passed_over } => {
                (Info, format!("{child}: proposal {number} chosen: {chosen}{}", reasons(passed_over)))
            }
            Ike::SaEstablished { child, connection, policy, role, sas, local, remote, .. } => (
                Info,
                format!(
                    "{}: {child} established as {role}, {local} === {remote}, {}",
                    self.policy(*connection, *policy),
                    sas.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + ")
                ),
            ),
            Ike::Phase2Failed { child, connection, policy, role, failure, refusals, asked, .. } => {
                let who = policy.map_or_else(|| self.connection(*connection), |id| self.policy(*connection, id));
                let mut text =
                    format!("{who}: phase 2 failed as {role}, {child}: {}{}", why(failure), reasons(refusals));
                if let Some((theirs, ours)) = asked {
                    _ = write!(text, "; the peer asked for {theirs} on its side and {ours} on ours");
                }
                (Warn, text)
            }
            Ike::SaRekeyed { child, replaced } => (Info, format!("{child} took the place of {replaced}")),
            Ike::SaExpired { child, hard } => {
                (Info, format!("{child} came to its {} limit", if *hard { "hard" } else { "soft" }))
            }
            Ike::SaEnded { child, connection, policy, reason } => {
                (Info, format!("{}: {child} ended: {reason}", self.policy(*connection, *policy)))
            }
            Ike::SasAdopted { from, to, count } => (Info, format!("{to} took {count} IPsec SAs over from {from}")),
            Ike::PeerProbed { ike_sa, sequence, retries } => {
                (Trace, format!("{ike_sa}: asked whether the peer lives, number {sequence}, {retries} before"))
            }
            Ike::PeerDead { ike_sa, connection, children } => (
                Warn,
                format!("{}: peer is dead, {ike_sa} and {} IPsec SAs go", self.connection(*connection), children.len()),
            ),
            Ike::DeleteReceived { ike_sa, protocol, spis } => {
                let protocol = match ProtocolId(*protocol) {
                    ProtocolId::ISAKMP => "ISAKMP SA".to_owned(),
                    ProtocolId::AH => "AH".to_owned(),
                    ProtocolId::ESP => "ESP".to_owned(),
                    ProtocolId::IPCOMP => "IPComp".to_owned(),
                    other => other.to_string(),
                };
                let spis = spis.iter().map(|spi| format!(" {spi:#010x}")).collect::<String>();
                (Info, format!("{ike_sa}: delete received: {protocol}{spis}"))
            }
            Ike::NotifyReceived { ike_sa, notify, protected, .. } => {
                (Info, format!("{ike_sa}: notify received, {}: {notify}", protection(*protected)))
            }
            Ike::NotifySent { path, notify, protected } => {
                (Info, format!("notify sent to {}, {}: {notify}", path.remote, protection(*protected)))
            }
            Ike::InitialContact { ike_sa, ike_sas, children } => {
                (Info, format!("{ike_sa}: the peer knows no older SA: {ike_sas} ISAKMP SAs and {children} pairs go"))
            }
            Ike::PathChanged { ike_sa, from, to } => (Info, format!("{ike_sa}: path {from} is now {to}")),
            Ike::AcquireQueued { connection, policy, merged } => {
                let how = if *merged { "merged with one at work" } else { "waits for phase 1" };
                (Trace, format!("{}: negotiation {how}", self.policy(*connection, *policy)))
            }
            Ike::Resent { ike_sa, exchange, message_id, sendings, left } => {
                let id = if *message_id == 0 { String::new() } else { format!(" id {message_id:#010x}") };
                (Trace, format!("{ike_sa}: {exchange}{id} unanswered, sending {sendings}, {left} left"))
            }
            Ike::UserAsked { ike_sa, connection, round } => {
                (Info, format!("{}: {ike_sa}: the user is asked, round {round}", self.connection(*connection)))
            }
            Ike::UserAuthenticated { ike_sa, connection, user, is_peer } => {
                let whose = if *is_peer { "the peer's user" } else { "our user" };
                (Info, format!("{}: {ike_sa}: {whose} {user} is proven", self.connection(*connection)))
            }
            Ike::UserRefused { ike_sa, connection, user, left, message } => {
                let user = user.as_ref().map_or_else(|| "who gave no name".to_owned(), ToString::to_string);
                let said = message.as_ref().map(|message| format!(": {message:?}")).unwrap_or_default();
                let text =
                    format!("{}: {ike_sa}: user {user} refused, {left} tries left{said}", self.connection(*connection));
                (Warn, text)
            }
            Ike::AddressLeased { ike_sa, connection, peer, user, address } => {
                let user = user.as_ref().map(|user| format!(" as {user}")).unwrap_or_default();
                (Info, format!("{}: {ike_sa}: {address} lent to {peer}{user}", self.connection(*connection)))
            }
            Ike::AddressReleased { connection, address } => {
                (Info, format!("{}: {address} is free again", self.connection(*connection)))
            }
            Ike::Configured { ike_sa, connection, settings } => {
                (Info, format!("{}: {ike_sa}: given {}", self.connection(*connection), given(settings)))
            }
            Ike::AttributeNotSupported { ike_sa, attribute } => (Info, format!("{ike_sa}: not supported: {attribute}")),
            Ike::Closed => (Info, "closed".to_owned()),
            other => (Info, format!("{other:?}")),
        }
    }

    fn connection(&self, id: ConnectionId) -> String {
        self.connections.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn policy(&self, connection: ConnectionId, id: PolicyId) -> String {
        let name = self.policies.get(&(connection, id)).cloned().unwrap_or_else(|| id.to_string());
        format!("{}.{name}", self.connection(connection))
    }
}

fn protection(protected: bool) -> &'static str {
    if protected { "protected" } else { "unprotected, a hint only" }
}

/// The reason of a failure, with the name of the notification that the peer gave.
fn why(failure: &Failure) -> String {
    match failure {
        Failure::Timeout { sendings, hint: Some(hint) } => {
            format!("no answer after {sendings} sendings; the peer hinted {}", NotifyType(*hint))
        }
        Failure::RefusedByPeer(notify) => format!("the peer refused: {}", NotifyType(*notify)),
        other => other.to_string(),
    }
}

/// What a client is given, its texts in quotes and escaped.
fn given(settings: &ClientSettings) -> String {
    let mut text = settings.address.map_or_else(|| "no address".to_owned(), |address| address.to_string());
    let mut more = |what: &str, list: Vec<String>| {
        if !list.is_empty() {
            _ = write!(text, ", {what} {}", list.join(" "));
        }
    };
    let unity = &settings.unity;
    more("mask", settings.netmask.iter().map(ToString::to_string).collect());
    more("DNS", settings.dns.iter().map(ToString::to_string).collect());
    more("NBNS", settings.nbns.iter().map(ToString::to_string).collect());
    more("domain", unity.default_domain.iter().map(|domain| format!("{domain:?}")).collect());
    more("networks", settings.subnets.iter().chain(&unity.split_include).map(ToString::to_string).collect());
    more("but not", unity.split_exclude.iter().map(ToString::to_string).collect());
    more("seconds", settings.expiry.iter().map(ToString::to_string).collect());
    more("banner", unity.banner.iter().map(|banner| format!("{banner:?}")).collect());
    text
}

fn reasons(refusals: &Refusals) -> String {
    if refusals.is_empty() { String::new() } else { format!("; {}", refusals.to_string().replace('\n', "; ")) }
}

fn message_line(message: &MessageTrace) -> String {
    let mut line = format!("{:?} {} {}", message.direction, message.exchange, message.number);
    if message.message_id != 0 {
        _ = write!(line, " id {:#010x}", message.message_id);
    }
    line.push(':');
    for payload in &message.payloads {
        _ = write!(line, " {payload}");
    }
    let how = if message.encrypted { "encrypted" } else { "clear" };
    _ = write!(line, " ({} octets, {how}) {}", message.length, message.path);
    line
}
