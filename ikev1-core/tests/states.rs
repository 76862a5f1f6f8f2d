//! Every state against every message: what the machine itself answers, not only its table.
//!
//! `states.txt` is the snapshot of all answers and `src/transition.txt` the table as the documentation
//! shows it; `SNAPSHOTS=write` writes both anew.

use crate::common;
use crate::common::{A, Pair, SITE, left, plan, right};
use drive::{Datagram, Path, Transmit, Verdict};
use ikev1_core::transition::{TABLE, row};
use ikev1_core::{Command, ConnectionConfig, Cookies, DropReason, Phase1Mode, Role, StateName, Status};
use ipsec_wire::isakmp::{Body, Flags, Header, Message};
use ipsec_wire::registry::{ExchangeType, PayloadType};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path as FilePath;

fn snapshot(name: &str, text: &str) {
    let path = FilePath::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "write") {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} differs; the text is now:\n{text}", path.display());
}

#[test]
fn the_documentation_shows_the_table_as_it_is() {
    let mut text = String::from("```text\n");
    for row in TABLE {
        writeln!(text, "{row}").unwrap();
    }
    text.push_str("```\n");
    snapshot("src/transition.txt", &text);
}

#[derive(Clone, Copy)]
enum Way {
    Main,
    Aggressive,
    Base,
}

impl Way {
    const ALL: [Self; 3] = [Self::Main, Self::Aggressive, Self::Base];

    const fn name(self) -> &'static str {
        match self {
            Self::Main => "main mode",
            Self::Aggressive => "aggressive mode",
            Self::Base => "base mode",
        }
    }

    fn pair(self) -> Pair {
        let change = |connection: ConnectionConfig| match self {
            Self::Main => connection,
            Self::Aggressive => connection.mode(Phase1Mode::Aggressive).dangerously_allow_aggressive_mode(true),
            // INITIAL-CONTACT has a message of its own there, which would pass for a Delete here.
            Self::Base => connection.mode(Phase1Mode::Base).dangerously_allow_base_mode(true).initial_contact(false),
        };
        Pair::new(plan(change(left())), plan(change(right())))
    }

    /// The messages of a whole life, with their names: from the first one to both Deletes.
    fn life(self) -> Vec<(String, Transmit)> {
        let mut pair = self.pair();
        pair.initiate();
        pair.settle();
        pair.command(Command::CloseConnection { connection: SITE });
        pair.settle();
        let mut counts: BTreeMap<u8, usize> = BTreeMap::new();
        let name = |transmit: &Transmit| {
            let exchange = header(transmit).exchange;
            let number = counts.entry(exchange.0).or_default();
            *number += 1;
            let exchange = match exchange {
                ExchangeType::MAIN => "main",
                ExchangeType::AGGRESSIVE => "aggressive",
                ExchangeType::BASE => "base",
                ExchangeType::QUICK => "quick",
                ExchangeType::INFORMATIONAL => "delete",
                other => panic!("{other}"),
            };
            format!("{exchange} {number}")
        };
        let names: Vec<String> = pair.seen.iter().map(name).collect();
        names.into_iter().zip(pair.seen).collect()
    }

    /// The same life, stopped after so many messages.
    fn stopped_after(self, messages: usize) -> Pair {
        let mut pair = self.pair();
        pair.initiate();
        for delivered in 0..messages {
            if pair.wire.is_empty() {
                assert!(pair.left.established(), "after {delivered}");
                pair.command(Command::CloseConnection { connection: SITE });
            }
            pair.step();
        }
        pair
    }
}

fn header(transmit: &Transmit) -> Header {
    Header::parse(&transmit.payload).unwrap()
}

/// An end of a pair: the one that began, or the one that answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Side {
    fn end(self, pair: &mut Pair) -> &mut common::End {
        match self {
            Self::Left => &mut pair.left,
            Self::Right => &mut pair.right,
        }
    }

    const fn role(self) -> Role {
        match self {
            Self::Left => Role::Initiator,
            Self::Right => Role::Responder,
        }
    }

    /// The path of this end to the other.
    fn path(self) -> Path {
        let path = Path::new((A, 500).into(), (common::B, 500).into());
        if self == Self::Left { path } else { path.reversed() }
    }
}

fn is_for(transmit: &Transmit, side: Side) -> bool {
    transmit.path.remote == side.path().local
}

/// What must not change when a message is not taken.
fn without_counters(status: Status) -> impl PartialEq + std::fmt::Debug {
    (status.ike_sas, status.children, status.embryonic, status.in_parts)
}

/// Puts a message under the cookies of another SA; a first message stays one.
fn under(cookies: Cookies, octets: &[u8]) -> Vec<u8> {
    let mut octets = octets.to_vec();
    octets[..8].copy_from_slice(&cookies.initiator.0);
    if octets[8..16] != [0; 8] {
        octets[8..16].copy_from_slice(&cookies.responder.0);
    }
    octets
}

fn deliver(pair: &mut Pair, side: Side, octets: &[u8]) -> Verdict<DropReason> {
    let now = pair.now;
    side.end(pair).endpoint.handle_datagram(now, Datagram { path: side.path(), payload: octets })
}

/// The state that a message meets: that of its quick mode, else that of its SA.
fn state_met(status: &Status, header: &Header) -> StateName {
    let Some(sa) = status.ike_sas.first() else {
        return match header.exchange {
            ExchangeType::MAIN => StateName::MainIdle,
            ExchangeType::BASE => StateName::BaseIdle,
            _ => StateName::AggressiveIdle,
        };
    };
    match header.exchange {
        ExchangeType::INFORMATIONAL => StateName::InfoIdle,
        ExchangeType::QUICK => {
            let exchange = sa.exchanges.iter().find(|exchange| exchange.message_id == header.message_id.0);
            exchange.map_or(StateName::QuickReceivingMessage, |exchange| exchange.state)
        }
        _ => sa.exchange_state,
    }
}

#[test]
fn every_state_gives_every_message_its_answer_and_takes_only_what_the_table_says() {
    let lives: Vec<Vec<(String, Transmit)>> = Way::ALL.into_iter().map(Way::life).collect();
    let mut text = String::new();
    for way in Way::ALL {
        let life = &lives[way as usize];
        for stage in 0..life.len() {
            writeln!(text, "{}, {} next", way.name(), life[stage].0).unwrap();
            for side in [Side::Left, Side::Right] {
                let mut answers: BTreeMap<String, Vec<String>> = BTreeMap::new();
                for (at, (name, transmit)) in lives.iter().flat_map(|life| life.iter().enumerate()) {
                    let own = lives[way as usize].iter().any(|(_, own)| own.payload == transmit.payload);
                    let for_this_end = is_for(transmit, side);
                    if own && !for_this_end && at >= stage {
                        // It cannot come back before it was sent.
                        continue;
                    }
                    let mut pair = way.stopped_after(stage);
                    let before = side.end(&mut pair).endpoint.status();
                    let octets = match before.ike_sas.first() {
                        Some(sa) if !own => under(sa.cookies, &transmit.payload),
                        _ => transmit.payload.to_vec(),
                    };
                    let verdict = deliver(&mut pair, side, &octets);
                    let label = match &verdict {
                        Verdict::Accepted => {
                            let header = header(transmit);
                            // Without an SA, whoever gets a first message is the responder.
                            let role = match header.exchange {
                                ExchangeType::INFORMATIONAL => Role::Responder,
                                _ if before.ike_sas.is_empty() => Role::Responder,
                                _ => side.role(),
                            };
                            let state = state_met(&before, &header);
                            let row = row(header.exchange, role, state);
                            // Without an SA any first message is one, whoever sent it first.
                            let begins = before.ike_sas.is_empty() && row.is_some_and(|row| row.message == 1);
                            let named = row.is_some_and(|row| {
                                name.ends_with(&row.message.to_string()) || name.starts_with("delete")
                            });
                            assert!(
                                named && (for_this_end || begins),
                                "{name} is taken in {state}, which the table does not say"
                            );
                            "taken".to_owned()
                        }
                        Verdict::Duplicate => "answered again".to_owned(),
                        Verdict::Ignored(reason) => reason.to_string(),
                    };
                    if !matches!(verdict, Verdict::Accepted) {
                        let after = side.end(&mut pair).endpoint.status();
                        // A question whether the peer lives may be answered, but nothing else moves.
                        assert_eq!(
                            format!("{:?}", without_counters(before)),
                            format!("{:?}", without_counters(after)),
                            "{}: {name} changes something at stage {stage}",
                            way.name()
                        );
                    }
                    let name = if for_this_end { name.clone() } else { format!("{name} reflected") };
                    answers.entry(label).or_default().push(name);
                }
                let state = side.end(&mut way.stopped_after(stage)).endpoint.status();
                let state = state.ike_sas.first().map_or("no SA", |sa| sa.exchange_state.name());
                writeln!(text, "  {} in {state}", side.role()).unwrap();
                for (label, names) in answers {
                    writeln!(text, "    {label}: {}", names.join(", ")).unwrap();
                }
            }
        }
    }
    snapshot("tests/states.txt", &text);
}

/// Rows 30 and 31: every subset of the payloads of every clear message, and every doubling. Payloads of
/// one type count as one, since any number of them is lawful or none.
#[test]
fn only_messages_with_all_their_payloads_once_advance() {
    for way in Way::ALL {
        let life = way.life();
        for (stage, (name, transmit)) in life.iter().enumerate() {
            if header(transmit).flags.contains(Flags::ENCRYPTION) {
                continue;
            }
            let message = Message::parse(&transmit.payload).unwrap();
            let Body::Clear(payloads) = message.body() else { panic!("{name} is clear") };
            let mut types: Vec<PayloadType> = Vec::new();
            for payload in &payloads {
                if !types.contains(&payload.payload_type()) {
                    types.push(payload.payload_type());
                }
            }
            let side = if is_for(transmit, Side::Left) { Side::Left } else { Side::Right };
            let mut pair = way.stopped_after(stage);
            let before = side.end(&mut pair).endpoint.status();
            let state = state_met(&before, &header(transmit));
            let row = row(header(transmit).exchange, side.role(), state).unwrap();
            let build = |keep: &dyn Fn(PayloadType) -> usize| {
                let mut chain = ipsec_wire::isakmp::ChainBuilder::new();
                for payload in &payloads {
                    for _ in 0..keep(payload.payload_type()) {
                        chain.push_body(payload.payload_type(), payload.body());
                    }
                }
                let chain = chain.finish().unwrap();
                header(transmit).enclose(chain.first(), chain.octets()).unwrap()
            };
            for subset in 0u32..1 << types.len() {
                let has = |wanted: PayloadType| {
                    types.iter().position(|t| *t == wanted).is_some_and(|at| subset >> at & 1 == 1)
                };
                let octets = build(&|payload_type| usize::from(has(payload_type)));
                let lawful = row.required.iter().all(|required| has(*required));
                let mut fresh = lawful.then(|| way.stopped_after(stage));
                let verdict = deliver(fresh.as_mut().unwrap_or(&mut pair), side, &octets);
                assert_eq!(verdict == Verdict::Accepted, lawful, "{name} with {subset:b} of {types:?}: {verdict:?}");
            }
            for required in row.required {
                let octets = build(&|payload_type| 1 + usize::from(payload_type == *required));
                let verdict = deliver(&mut pair, side, &octets);
                assert_eq!(verdict, Verdict::Ignored(DropReason::PayloadSet), "{name} with two of {required}");
            }
            // What was refused left no trace: the lawful one is taken.
            assert_eq!(deliver(&mut pair, side, &transmit.payload), Verdict::Accepted, "{name}");
        }
    }
}
