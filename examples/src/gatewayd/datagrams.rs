//! Many datagrams in one call of the system.
//!
//! Towards one peer, packets of one length leave as one large datagram that the system cuts (UDP segmentation
//! offload), others by `sendmmsg`. What arrives is read by `recvmmsg`, and the system may have joined datagrams of
//! one length (UDP receive offload), which are cut here.

use core::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmsg,
};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use socket2::Socket;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsRawFd as _;

/// Messages that one call reads at most.
const DEPTH: usize = 16;
/// The longest message: a datagram, or several of one length that the system joined.
const LONGEST: usize = 65_535;
/// Datagrams that the system cuts a large one into at most, by its own limit.
const MOST_SEGMENTS: usize = 64;
/// The most octets in one large datagram.
const MOST_OCTETS: usize = 65_000;

/// Messages as they were read, kept for the room they have.
#[derive(Debug)]
pub struct Inbox {
    buffers: Vec<Vec<u8>>,
    messages: Vec<Message>,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    from: SocketAddr,
    length: usize,
    /// The length of each datagram but the last.
    segment: usize,
    traffic_class: Option<u8>,
}

/// A datagram that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived<'a> {
    /// Whom it came from.
    pub from: SocketAddr,
    /// Its payload; of a raw IPv4 socket the whole packet.
    pub payload: &'a [u8],
    /// DSCP and ECN of its header, if the system says.
    pub traffic_class: Option<u8>,
}

impl Inbox {
    /// Returns an empty inbox.
    pub fn new() -> Self {
        Self { buffers: vec![vec![0; LONGEST]; DEPTH], messages: Vec::with_capacity(DEPTH) }
    }

    /// Reads what a socket has, up to a bound, in place of what was here; returns whether there may be more.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is nothing, or what the system says.
    pub fn fill(&mut self, socket: &Socket) -> io::Result<bool> {
        self.messages.clear();
        // The headers are made anew: the system writes into them how much room for extras it used.
        let extras = nix::cmsg_space!(u8, i32, i32);
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(DEPTH, Some(extras));
        let mut slices: Vec<_> = self.buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let read = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        let mut count = 0;
        for message in read {
            count += 1;
            let mut segment = message.bytes;
            let mut traffic_class = None;
            for extra in message.cmsgs().into_iter().flatten() {
                match extra {
                    ControlMessageOwned::UdpGroSegments(octets) => segment = usize::try_from(octets).unwrap_or(segment),
                    ControlMessageOwned::Ipv4Tos(octet) => traffic_class = Some(octet),
                    ControlMessageOwned::Ipv6TClass(class) => traffic_class = u8::try_from(class).ok(),
                    _ => {}
                }
            }
            if let Some(from) = message.address.as_ref().and_then(standard) {
                self.messages.push(Message { from, length: message.bytes, segment, traffic_class });
            }
        }
        Ok(count == DEPTH)
    }

    /// Returns the datagrams that were read, oldest first.
    pub fn datagrams(&self) -> impl Iterator<Item = Arrived<'_>> {
        self.messages.iter().zip(&self.buffers).flat_map(|(message, buffer)| {
            let whole = buffer.get(..message.length).unwrap_or_default();
            whole.chunks(message.segment.max(1)).map(|payload| Arrived {
                from: message.from,
                payload,
                traffic_class: message.traffic_class,
            })
        })
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

fn standard(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || address.as_sockaddr_in().map(|address| SocketAddrV4::from(*address).into());
    v4().or_else(|| address.as_sockaddr_in6().map(|address| SocketAddrV6::from(*address).into()))
}

/// Sends payloads to one peer, in their order; `segments` says whether the system cuts large datagrams.
///
/// A payload that the system refuses does not keep the others from leaving.
///
/// # Errors
/// What the system says of the last one that it refused.
pub fn send(socket: &Socket, to: SocketAddr, payloads: &[&[u8]], segments: bool) -> io::Result<()> {
    let mut outcome = Ok(());
    let mut rest = payloads;
    while !rest.is_empty() {
        let run = if segments { alike(rest) } else { 1 };
        if run > 1 {
            let (large, behind) = rest.split_at(run);
            outcome = send_large(socket, to, large).and(outcome);
            rest = behind;
        } else {
            let singles = if segments { lonely(rest) } else { rest.len() };
            let (now, behind) = rest.split_at(singles);
            outcome = send_each(socket, to, now).and(outcome);
            rest = behind;
        }
    }
    outcome
}

/// Returns how many payloads from the first on make one large datagram: of one length, the last may be shorter.
fn alike(payloads: &[&[u8]]) -> usize {
    let Some(length) = payloads.first().map(|first| first.len()).filter(|length| *length > 0) else { return 1 };
    let most = MOST_SEGMENTS.min(MOST_OCTETS / length);
    let equal = payloads.iter().take(most).take_while(|payload| payload.len() == length).count();
    let tail = payloads.get(equal).is_some_and(|tail| equal < most && !tail.is_empty() && tail.len() < length);
    (equal + usize::from(tail)).max(1)
}

/// Returns how many payloads from the first on travel alone.
fn lonely(payloads: &[&[u8]]) -> usize {
    (1..payloads.len()).find(|at| payloads.get(*at..).is_some_and(|rest| alike(rest) > 1)).unwrap_or(payloads.len())
}

fn send_large(socket: &Socket, to: SocketAddr, payloads: &[&[u8]]) -> io::Result<()> {
    let slices: Vec<_> = payloads.iter().map(|payload| IoSlice::new(payload)).collect();
    let length = payloads.first().and_then(|first| u16::try_from(first.len()).ok()).unwrap_or(u16::MAX);
    let extras = [ControlMessage::UdpGsoSegments(&length)];
    let to_here = SockaddrStorage::from(to);
    match sendmsg(socket.as_raw_fd(), &slices, &extras, MsgFlags::MSG_DONTWAIT, Some(&to_here)) {
        Ok(_) => Ok(()),
        // Longer than the path, or a device that cannot: each by itself may be fragmented.
        Err(Errno::EINVAL | Errno::EMSGSIZE | Errno::EIO | Errno::EOPNOTSUPP) => send_each(socket, to, payloads),
        Err(error) => Err(error.into()),
    }
}

fn send_each(socket: &Socket, to: SocketAddr, payloads: &[&[u8]]) -> io::Result<()> {
    if let [payload] = payloads {
        return socket.send_to(payload, &to.into()).map(drop);
    }
    let to = SocketAddrAny::from(to);
    let slices: Vec<_> = payloads.iter().map(|payload| [IoSlice::new(payload)]).collect();
    let mut extras: Vec<_> = payloads.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let mut messages: Vec<_> =
        slices.iter().zip(&mut extras).map(|(slice, extra)| MMsgHdr::new_with_addr(&to, slice, extra)).collect();
    let mut outcome = Ok(());
    let mut rest = messages.as_mut_slice();
    while !rest.is_empty() {
        // One that is refused stops the call if it is the first, else it is reported by the next call.
        let sent = match sendmmsg(socket, rest, SendFlags::DONTWAIT) {
            Ok(sent) => sent,
            Err(error) => {
                outcome = Err(error.into());
                1
            }
        };
        rest = rest.get_mut(sent.max(1)..).unwrap_or_default();
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{setsockopt, sockopt};
    use socket2::{Domain, Type};

    fn pair() -> (Socket, Socket, SocketAddr) {
        let bound = || {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
            socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
            socket
        };
        let (sender, receiver) = (bound(), bound());
        let to = receiver.local_addr().unwrap().as_socket().unwrap();
        (sender, receiver, to)
    }

    fn received(receiver: &Socket) -> Vec<Vec<u8>> {
        let (mut inbox, mut all) = (Inbox::new(), Vec::new());
        // On the loopback device everything has arrived once it was sent.
        while inbox.fill(receiver).is_ok() {
            all.extend(inbox.datagrams().map(|arrived| arrived.payload.to_vec()));
        }
        all
    }

    #[test]
    fn every_payload_arrives_whole_and_in_order_with_and_without_segmentation() {
        let lengths = [100, 100, 100, 7, 1400, 1400, 1400, 1400, 3, 3, 1, 900, 1, 900, 900];
        let payloads: Vec<Vec<u8>> = lengths.iter().zip(1..).map(|(length, octet)| vec![octet; *length]).collect();
        let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        for segments in [false, true] {
            for joins in [false, true] {
                let (sender, receiver, to) = pair();
                setsockopt(&receiver, sockopt::UdpGroSegment, &joins).unwrap();
                send(&sender, to, &slices, segments).unwrap();
                assert_eq!(received(&receiver), payloads, "segments {segments}, joins {joins}");
            }
        }
    }

    #[test]
    fn a_payload_that_is_refused_keeps_no_other_from_leaving() {
        let (sender, receiver, to) = pair();
        let long = vec![1; 70_000];
        for segments in [false, true] {
            assert!(send(&sender, to, &[b"a", &long, b"bc"], segments).is_err());
            assert_eq!(received(&receiver), [b"a".to_vec(), b"bc".to_vec()]);
        }
    }

    #[test]
    fn equal_lengths_and_one_shorter_make_one_large_datagram_within_the_limits_of_the_system() {
        let payloads = |lengths: &[usize]| lengths.iter().map(|length| &[0; 1500][..*length]).collect::<Vec<_>>();
        assert_eq!(alike(&payloads(&[5, 5, 5, 4, 4])), 4);
        assert_eq!(alike(&payloads(&[5, 6])), 1);
        assert_eq!(alike(&payloads(&[5, 0])), 1);
        assert_eq!(alike(&payloads(&[0, 0])), 1);
        assert_eq!(alike(&payloads(&[1; 100])), 64);
        assert_eq!(alike(&payloads(&[1500; 100])), 43);
        assert_eq!(lonely(&payloads(&[1, 2, 3, 4, 4])), 3);
        assert_eq!(lonely(&payloads(&[1])), 1);
    }

    #[test]
    fn the_header_that_a_datagram_came_with_is_told() {
        let (sender, receiver, to) = pair();
        setsockopt(&receiver, sockopt::IpRecvTos, &true).unwrap();
        sender.set_tos_v4(0xb9).unwrap();
        send(&sender, to, &[b"marked"], true).unwrap();
        let mut inbox = Inbox::new();
        assert!(!inbox.fill(&receiver).unwrap());
        let from = sender.local_addr().unwrap().as_socket().unwrap();
        let arrived = Arrived { from, payload: b"marked", traffic_class: Some(0xb9) };
        assert_eq!(inbox.datagrams().collect::<Vec<_>>(), [arrived]);
    }
}
