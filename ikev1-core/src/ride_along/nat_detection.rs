use crate::crypto::HashAlgorithm;
use crate::ids::Cookies;
use core::net::SocketAddr;
use drive::Path;
use ipsec_wire::isakmp::{ChainBuilder, Payloads};
use ipsec_wire::registry::PayloadType;
use nat_t::detect::{self, nat_d_ends};
use nat_t::{Location, Version};

const fn cookies_of(cookies: Cookies) -> detect::Cookies {
    detect::Cookies { initiator: cookies.initiator.0, responder: cookies.responder.0 }
}

/// Adds the NAT-D payloads of messages 3 and 4 of main and base mode, 2 and 3 of aggressive mode,
/// RFC 3947 §3.2: the destination's hash, then the source's.
///
/// With `force` the source is nobody's, so that both ends find a NAT and encapsulate.
pub(crate) fn contribute(
    version: Version,
    hash: HashAlgorithm,
    cookies: Cookies,
    path: Path,
    force: bool,
    chain: &mut ChainBuilder,
) {
    let cookies = cookies_of(cookies);
    for end in nat_d_ends(path.remote, &[path.local], force) {
        let digest = detect::nat_d(&cookies, end, |input| hash.digest(&[input]));
        chain.push_body(PayloadType(version.nat_d_payload()), digest.as_bytes());
    }
}

/// Reads the peer's NAT-D payloads, of a message that came from `remote` to one of `locals`: where
/// NATs stand. What cannot be used is no detection.
pub(crate) fn absorb(
    version: Version,
    hash: HashAlgorithm,
    cookies: Cookies,
    locals: &[SocketAddr],
    remote: SocketAddr,
    payloads: &Payloads<'_>,
) -> Location {
    let bodies = payloads
        .iter()
        .filter(|payload| {
            let length = payload.body().len();
            detect::is_nat_d(Some(version), payload.payload_type().0, length, hash.output_len())
        })
        .map(|payload| payload.body());
    detect::detect(bodies, &cookies_of(cookies), locals, remote, |input| hash.digest(&[input]))
        .map_or(Location::Unknown, |detection| detection.location)
}
