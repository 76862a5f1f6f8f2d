//! The status of an end, as a router's show command prints it.

use super::page::Page;
use super::scenario::Side;
use core::fmt::Display;
use core::time::Duration;
use drive::Instant;
use gateway::{PairStatus, Snapshot};
use ikev1_core::proposal::Mode;
use ikev1_core::{Encapsulation, IkeSaStatus};
use ipsec_wire::registry::ProtocolId;
use sad::SaStatus;

/// How many counters stand side by side.
const COUNTERS_A_LINE: usize = 3;

/// Writes everything a gateway can show that is worth a look.
pub fn write(page: &mut Page, now: Instant, snapshot: &Snapshot) {
    if snapshot.isakmp.is_empty() {
        page.text("ISAKMP SAs: none");
    }
    snapshot.isakmp.iter().for_each(|sa| isakmp(page, now, sa));
    if snapshot.ipsec.is_empty() {
        page.text("IPsec SAs: none");
    }
    snapshot.ipsec.iter().for_each(|pair| ipsec(page, now, pair));
    counters(page, "Packets", snapshot.counters.iter());
    counters(page, "Exchanges", snapshot.ike_counters.iter());
}

/// Returns what became of the pings of a host, on one line.
pub fn pings(side: Side, sent: u16, trips: &[Duration]) -> String {
    let answered = trips.len();
    let lost = usize::from(sent).saturating_sub(answered);
    let mut line = format!("{:<8} {sent} pings sent, {answered} answered, {lost} lost", side.name());
    if let (Some(least), Some(most)) = (trips.iter().min(), trips.iter().max()) {
        let mean = trips.iter().sum::<Duration>() / u32::try_from(answered).unwrap_or(u32::MAX);
        line.push_str(&format!("; round trip {} / {} / {} ms", millis(*least), millis(mean), millis(*most)));
    }
    line
}

fn isakmp(page: &mut Page, now: Instant, sa: &IkeSaStatus) {
    page.text(format_args!("ISAKMP SA {} of {}", sa.ike_sa.0, sa.name));
    row(page, "State", format_args!("{} as {}", sa.exchange_state.name(), sa.role));
    row(page, "Cookies", sa.cookies);
    row(page, "Path", sa.path);
    if let (Some(local), Some(remote)) = (&sa.local_identity, &sa.remote_identity) {
        row(page, "Identities", format_args!("{local} and {remote}"));
    }
    if let Some(user) = &sa.user {
        row(page, "User", user);
    }
    if let Some(address) = &sa.client_address {
        row(page, "Client has", address);
    }
    if let Some(transform) = &sa.transform {
        row(page, "Transform", transform);
    }
    let version = sa.nat_version.map_or_else(|| "not supported by the peer".to_owned(), |version| version.to_string());
    row(page, "NAT discovered", format_args!("{} ({version})", sa.nat));
    row(page, "Age", format_args!("{} s", (now - sa.created).as_secs()));
    row(page, "Renewal, end", format_args!("in {}, in {}", until(now, sa.soft), until(now, sa.hard)));
    row(page, "Quick modes", sa.phase2_negotiations);
}

fn ipsec(page: &mut Page, now: Instant, pair: &PairStatus) {
    let status = &pair.status;
    let note = if status.superseded { ", replaced, receives only" } else { "" };
    page.text(format_args!("IPsec SAs {} of {}.{}{note}", status.child.0, pair.connection, status.name));
    row(page, "Traffic", format_args!("{} === {}", status.local, status.remote));
    let mode = match status.mode {
        Mode::Tunnel => "tunnel",
        Mode::Transport => "transport",
    };
    match status.encapsulation {
        Encapsulation::Native => row(page, "Mode", format_args!("{mode}, directly in IP")),
        Encapsulation::Udp(path) => row(page, "Mode", format_args!("{mode}, in UDP, {path}")),
    }
    row(page, "Age", format_args!("{} s", (now - status.established).as_secs()));
    for sa in &status.sas {
        row(page, "Protection", sa.suite);
        if sa.suite.protocol() == ProtocolId::IPCOMP {
            // Compression has no association of its own.
            row(page, "CPI", format_args!("{:#06x} received, {:#06x} sent", sa.inbound, sa.outbound));
            continue;
        }
        let of = |list: &'_ [SaStatus], spi| list.iter().find(|known| known.spi.get() == spi).cloned();
        direction(page, "Received", sa.inbound, of(&pair.inbound, sa.inbound).as_ref());
        direction(page, "Sent", sa.outbound, of(&pair.outbound, sa.outbound).as_ref());
    }
}

fn direction(page: &mut Page, name: &str, spi: u32, sa: Option<&SaStatus>) {
    let Some(detail) = sa.and_then(|sa| sa.detail.as_ref()) else {
        return row(page, name, format_args!("SPI {spi:#010x}, not there"));
    };
    let (packets, octets) = (detail.counters.packets(), detail.counters.octets());
    let last = detail.last_sequence;
    row(page, name, format_args!("SPI {spi:#010x}, {packets} packets, {octets} octets, last number {last}"));
}

fn counters(page: &mut Page, title: &str, counters: impl Iterator<Item = (&'static str, u64)>) {
    let counted: Vec<_> = counters.filter(|(_, count)| *count > 0).collect();
    if counted.is_empty() {
        return;
    }
    page.text(format_args!("{title}, counted"));
    for line in counted.chunks(COUNTERS_A_LINE) {
        let columns: Vec<_> = line.iter().map(|(name, count)| format!("{name:.<26} {count:>5}")).collect();
        page.text(format_args!("  {}", columns.join("   ")));
    }
}

fn row(page: &mut Page, name: &str, value: impl Display) {
    page.text(format_args!("  {name:.<16} {value}"));
}

fn until(now: Instant, at: Option<Instant>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| format!("{} s", (at - now).as_secs()))
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_are_summed_up_on_one_line() {
        let trips = [Duration::from_millis(40), Duration::from_millis(50)];
        let expected = "left     3 pings sent, 2 answered, 1 lost; round trip 40.0 / 45.0 / 50.0 ms";
        assert_eq!(pings(Side::Left, 3, &trips), expected);
        assert_eq!(pings(Side::Right, 1, &[]), "right    1 pings sent, 0 answered, 1 lost");
    }
}
