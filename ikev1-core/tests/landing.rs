//! The transition table says where a message leads, and that is where it leads.

use crate::common;
use crate::common::{Pair, connection, left, plan, right};
use drive::{SecretBytes, Verdict};
use ikev1_core::transition::TABLE;
use ikev1_core::{
    AddressSource, Config, ConnectionConfig, Dynamic, ModeConfig, ModeConfigClient, ModeConfigServer, Phase1Mode, Plan,
    PolicyConfig, Role, StateName, Status, TrafficSelector, Users, Xauth, XauthClient, XauthServer,
};
use ipsec_wire::isakmp::Message;
use ipsec_wire::registry::ExchangeType;
use std::collections::{BTreeMap, BTreeSet};

/// The state in which an exchange stands.
fn state(status: &Status, exchange: ExchangeType, message_id: u32) -> Option<StateName> {
    let sa = status.ike_sas.last()?;
    match exchange {
        ExchangeType::QUICK => sa.exchanges.iter().find(|of| of.message_id == message_id).map(|of| of.state),
        ExchangeType::TRANSACTION => sa.transactions.iter().find(|of| of.message_id == message_id).map(|of| of.state),
        _ => Some(sa.exchange_state),
    }
}

/// Goes through everything, and holds each state against the table. Returns the rows that were met.
fn walked(left: Plan, right: Plan, users: Option<Users>) -> BTreeSet<usize> {
    let mut pair = Pair::new(left, right);
    pair.right.users = users;
    pair.initiate();
    let mut numbers: BTreeMap<(ExchangeType, u32), (u8, bool)> = BTreeMap::new();
    let mut met = BTreeSet::new();
    while let Some(transmit) = pair.wire.front().cloned() {
        let header = *Message::parse(&transmit.payload).unwrap().header();
        let (exchange, id) = (header.exchange, header.message_id.0);
        let to_right = transmit.path.remote.ip() == std::net::IpAddr::from(common::B);
        let (number, begun_by_left) = numbers.entry((exchange, id)).or_insert((0, to_right));
        *number += 1;
        let role = if to_right == *begun_by_left { Role::Responder } else { Role::Initiator };
        let number = *number;
        assert_eq!(pair.step(), Some(Verdict::Accepted), "{exchange} message {number}");
        if exchange == ExchangeType::INFORMATIONAL {
            continue;
        }
        let end = if to_right { &pair.right } else { &pair.left };
        let after = state(&end.endpoint.status(), exchange, id);
        let fits = |row: &&(usize, &ikev1_core::transition::Row)| {
            row.1.exchange == exchange && row.1.receiver == role && row.1.message == number && Some(row.1.next) == after
        };
        let rows: Vec<_> = TABLE.iter().enumerate().collect();
        let found = rows.iter().find(fits);
        // The answer to a SET is an ACK: the one way that the table leaves to its text.
        if after == Some(StateName::TransactionAckSent) {
            continue;
        }
        let (at, _) = found.unwrap_or_else(|| panic!("{exchange} message {number} at the {role} leads to {after:?}"));
        met.insert(*at);
    }
    assert!(pair.left.established() && pair.right.established());
    met
}

#[test]
fn every_message_of_a_session_leads_where_the_table_says() {
    let mut met = BTreeSet::new();
    let modes: [fn(ConnectionConfig) -> ConnectionConfig; 3] = [
        |connection| connection,
        |connection| connection.mode(Phase1Mode::Aggressive).dangerously_allow_aggressive_mode(true),
        |connection| connection.mode(Phase1Mode::Base).dangerously_allow_base_mode(true),
    ];
    for mode in modes {
        met.extend(walked(plan(mode(left())), plan(mode(right())), None));
    }
    // Main mode 6, aggressive mode 3, base mode 4, quick mode 3.
    assert_eq!(met.len(), 16, "{met:?}");
}

#[test]
fn every_message_of_xauth_and_mode_config_leads_where_the_table_says() {
    let suites = || PolicyConfig::new("net").suites(vec![common::esp()]);
    let everything = TrafficSelector::subnet([0, 0, 0, 0].into(), 0).unwrap();
    let (inside, clients) = (common::net([10, 10, 2, 0]), common::net([10, 20, 0, 0]));
    for push in [false, true] {
        let ours = connection(common::A, common::B)
            .xauth(Xauth::Client(XauthClient::new().credentials("alice".into(), SecretBytes::copied(b"p"))))
            .mode_config(ModeConfig::Client(ModeConfigClient::new().push(push)))
            .policy(suites().local(everything).remote(inside).dynamic(Dynamic::Local));
        let theirs = ModeConfigServer::new().addresses(AddressSource::Pool("clients".into())).push(push);
        let theirs = connection(common::B, common::A)
            .xauth(Xauth::Server(XauthServer::new()))
            .mode_config(ModeConfig::Server(theirs))
            .policy(suites().local(inside).remote(clients).dynamic(Dynamic::Remote));
        let address = |last: u8| [10, 20, 0, last].into();
        let theirs = Config::new().address_pool("clients", address(1), address(9)).connection(theirs).build().unwrap();
        let mut users = Users::new();
        users.insert("alice".into(), SecretBytes::copied(b"p"));
        let met = walked(plan(ours), theirs, Some(users));
        // Main mode 6, quick mode 3, and of the transactions REQUEST, REPLY and ACK.
        assert_eq!(met.len(), 12, "{push} {met:?}");
    }
}
