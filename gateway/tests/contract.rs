//! What every machine promises its caller.

use crate::common;
use crate::common::{OFFICE, Side};
use core::time::Duration;
use drive::Instant;
use gateway::{Action, Command, CommandError, Config, ConfigError, Exemption, Gateway, Limits, OutboundDrop, Outcome};
use simnet::Entropy;
use spd::Selector;

fn gateway() -> Gateway {
    Gateway::new(Side::left().plan(), Box::new(Entropy::new(1)))
}

fn drained(gateway: &mut Gateway) -> usize {
    core::iter::from_fn(|| gateway.poll_action()).count()
}

#[test]
fn an_early_timeout_does_nothing() {
    let mut gateway = gateway();
    gateway.handle_command(Instant::from_secs(1), Command::Initiate { connection: OFFICE }).unwrap();
    assert!(drained(&mut gateway) > 0);
    let wake = gateway.poll_timeout().unwrap();
    gateway.handle_timeout(wake - Duration::from_micros(1));
    assert_eq!((drained(&mut gateway), gateway.poll_timeout()), (0, Some(wake)));
}

#[test]
fn after_a_timeout_and_a_drain_the_next_one_is_later() {
    let mut gateway = gateway();
    gateway.handle_command(Instant::ZERO, Command::Initiate { connection: OFFICE }).unwrap();
    let mut timeouts = 0;
    drained(&mut gateway);
    while let Some(wake) = gateway.poll_timeout() {
        gateway.handle_timeout(wake);
        drained(&mut gateway);
        assert!(gateway.poll_timeout().is_none_or(|next| next > wake));
        timeouts += 1;
        assert!(timeouts < 100, "a gateway whose peer is silent comes to rest");
    }
    assert!(timeouts > 1);
}

#[test]
fn a_clock_that_steps_back_stands_still() {
    let mut gateway = gateway();
    gateway.handle_command(Instant::from_secs(100), Command::Initiate { connection: OFFICE }).unwrap();
    drained(&mut gateway);
    let wake = gateway.poll_timeout().unwrap();
    gateway.handle_timeout(Instant::ZERO);
    assert_eq!((drained(&mut gateway), gateway.poll_timeout()), (0, Some(wake)));
    assert!(wake > Instant::from_secs(100));
}

#[test]
fn a_closed_gateway_takes_nothing_more_in() {
    let mut gateway = gateway();
    gateway.handle_command(Instant::ZERO, Command::CloseAll).unwrap();
    drained(&mut gateway);
    let packet = common::echo(common::LEFT_HOST, common::RIGHT_HOST, 1);
    assert_eq!(gateway.handle_packet(Instant::ZERO, &packet), Outcome::Dropped(OutboundDrop::Closed));
    let refused = gateway.handle_command(Instant::ZERO, Command::Initiate { connection: OFFICE });
    assert_eq!(refused.unwrap_err(), CommandError::Closed);
    let transmits =
        core::iter::from_fn(|| gateway.poll_action()).filter(|action| matches!(action, Action::Transmit(..)));
    assert_eq!(transmits.count(), 0);
}

#[test]
fn a_wrong_configuration_names_its_field() {
    let build = |change: fn(Config) -> Config| change(Side::left().config()).build().map(|_| ()).unwrap_err();
    let error = build(|config| config.waiting(Limits { per_policy: 0, ..gateway::defaults::WAITING }));
    assert!(matches!(error, ConfigError::Waiting { field: "waiting.per_policy", .. }), "{error}");
    assert_eq!(build(|config| config.replay_window(63)), ConfigError::ReplayWindow(63));
    let error = build(|config| config.exempt("net", Selector::default(), Exemption::Discard));
    assert!(matches!(&error, ConfigError::Policy { policy, .. } if policy == "net"), "{error}");
}
