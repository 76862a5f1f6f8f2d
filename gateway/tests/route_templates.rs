//! Routes that a policy with a template wants, row 344: for peers that come from anywhere.

use crate::common::{OFFICE, Side, Sites, left_behind_nat, right_for_anyone, subnet};
use core::time::Duration;
use gateway::{Command, ConfigError, Event, Outcome, RouteTemplate, RouteTemplateProblem};

const SECOND: Duration = Duration::from_secs(1);

fn template(name: &str) -> RouteTemplate {
    RouteTemplate::new(name).unwrap()
}

#[derive(Debug, PartialEq)]
enum News {
    Up,
    Wanted,
    Unwanted,
    Down,
}

/// What the side for anyone said of tunnels and routes, in order.
fn news(sites: &Sites) -> Vec<News> {
    let of = |event: &Event| match event {
        Event::SessionUp { .. } => Some(News::Up),
        Event::SessionDown { .. } => Some(News::Down),
        Event::RouteWanted { template: of, to, .. } => {
            assert_eq!((of, *to), (&template("BRANCH"), subnet(Side::left().lan)));
            Some(News::Wanted)
        }
        Event::RouteUnwanted { template: of, to, .. } => {
            assert_eq!((of, *to), (&template("branch"), subnet(Side::left().lan)));
            Some(News::Unwanted)
        }
        _ => None,
    };
    sites.events(sites.right).filter_map(of).collect()
}

#[test]
fn row_344_a_route_is_wanted_with_the_first_pair_there_and_unwanted_with_the_last() {
    let right = right_for_anyone().config().route_template("net", template("Branch")).build().unwrap();
    let mut sites = Sites::behind_nat(1, left_behind_nat().plan(), right);
    sites.up();
    assert_eq!(news(&sites), [News::Up, News::Wanted]);
    // A pair that renews another reaches what is reached already.
    let pairs = sites.machine(sites.left).snapshot(sites.net.now()).ipsec;
    let child = pairs.first().unwrap().status.child;
    sites.net.command(sites.left, Command::RekeyChild { child }).unwrap().unwrap();
    sites.run(60 * SECOND);
    assert_eq!(sites.ping(sites.left, 1), Outcome::Sent);
    sites.run(SECOND);
    assert_eq!(sites.replies(sites.left, 1), 1);
    assert_eq!(news(&sites), [News::Up, News::Wanted]);
    sites.net.command(sites.left, Command::CloseConnection { connection: OFFICE }).unwrap().unwrap();
    sites.run(SECOND);
    assert_eq!(news(&sites), [News::Up, News::Wanted, News::Unwanted, News::Down]);
}

#[test]
fn row_344_a_template_needs_a_policy_whose_peer_is_not_known() {
    let refused =
        |side: Side, policy: &str| side.config().route_template(policy, template("x")).build().map(drop).unwrap_err();
    let wrong = |policy: &str, problem| ConfigError::RouteTemplate { policy: policy.into(), problem };
    assert_eq!(refused(Side::left(), "net"), wrong("net", RouteTemplateProblem::KnownPeer));
    assert_eq!(refused(right_for_anyone(), "other"), wrong("other", RouteTemplateProblem::UnknownPolicy));
}
