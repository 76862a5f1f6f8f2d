//! ESP through `sad`, the whole path, against bare transforms.

#![expect(clippy::disallowed_types, reason = "a benchmark reads the clock; the libraries never do")]

use crate::measure::Report;
use cbc::cipher::{BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use drive::Path;
use esp_ah::suite::{AesKey, IcvLen};
use esp_ah::{
    BuiltIn, CipherAlgorithm, IntegrityAlgorithm, OpenKey, Packet, Provider, Ring, SealKey, SequenceBits, Suite,
};
use hmac::{Hmac, Mac};
use polyval::Polyval;
use polyval::universal_hash::UniversalHash;
use rand_core::SeedableRng;
use sad::{
    FlowId, InboundKeys, Incoming, Lifetime, OutboundKeys, Outgoing, OwnerId, SaHandle, SaMode, SaParameters,
    SaProtocol, Sad, SadSettings, SourceCheck, Spi, WindowSize,
};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Packets of a batch.
const BATCH: usize = 32;
/// Octets from one packet's start to the next one's.
const STRIDE: usize = 2048;
/// Where in its stride a packet's ESP header starts.
const START: usize = 128;
/// Batches of a measurement: ours and the anchor's in turn.
const BATCHES: usize = 1500;

/// Whether to measure against an anchor, and what the ratio may be at most (seal, open).
#[derive(Clone, Copy)]
enum Against {
    Nothing,
    Measured,
    AtMost(f64, f64),
}

impl Against {
    fn targets(self) -> (Option<f64>, Option<f64>) {
        match self {
            Self::Nothing | Self::Measured => (None, None),
            Self::AtMost(seal, open) => (Some(seal), Some(open)),
        }
    }
}

/// One line of the table: a suite, a length, and the anchors.
#[derive(Clone, Copy)]
struct Case {
    suite: Suite,
    provider: &'static dyn Provider,
    /// Who that is, where there is a choice.
    by: &'static str,
    inner: usize,
    openssl: Against,
    ipsec_mb: Against,
}

fn suites() -> [Suite; 5] {
    let make = |cipher, integrity| match Suite::new(cipher, integrity) {
        Ok(suite) => suite,
        Err(error) => unreachable!("{error}"),
    };
    [
        make(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacSha1_96),
        make(CipherAlgorithm::AesCbc(AesKey::Bits256), IntegrityAlgorithm::HmacSha256_128),
        make(CipherAlgorithm::AesGcm(AesKey::Bits128, IcvLen::Octets16), IntegrityAlgorithm::None),
        make(CipherAlgorithm::AesCbc(AesKey::Bits128), IntegrityAlgorithm::HmacMd5_96),
        make(CipherAlgorithm::AesCbc(AesKey::Bits256), IntegrityAlgorithm::HmacSha512_256),
    ]
}

const HMACS: [IntegrityAlgorithm; 5] = [
    IntegrityAlgorithm::HmacMd5_96,
    IntegrityAlgorithm::HmacSha1_96,
    IntegrityAlgorithm::HmacSha256_128,
    IntegrityAlgorithm::HmacSha384_192,
    IntegrityAlgorithm::HmacSha512_256,
];

/// Runs every case of ESP.
pub fn run(report: &mut Report) {
    let [sha1, sha256, gcm, md5, sha512] = suites();
    let case = |suite, inner, openssl, ipsec_mb| Case { suite, provider: &BuiltIn, by: "", inner, openssl, ipsec_mb };
    let gcm_1400 = case(gcm, 1400, Against::AtMost(0.85, 0.85), Against::AtMost(4.5, 4.5));
    let cases = [
        case(sha1, 1400, Against::AtMost(0.65, 1.0), Against::AtMost(3.0, 3.5)),
        case(sha1, 256, Against::AtMost(0.5, 0.65), Against::AtMost(2.0, 2.5)),
        case(sha256, 1400, Against::AtMost(0.55, 0.9), Against::AtMost(1.8, 2.1)),
        case(md5, 1400, Against::Measured, Against::Nothing),
        case(sha512, 1400, Against::Measured, Against::Nothing),
        // Vector AES takes assembly, which is what providers are for: what `esp-ah` does by itself has no target.
        Case { provider: &Ring, by: " by ring", ..gcm_1400 },
        Case { by: " built in", openssl: Against::Measured, ipsec_mb: Against::Measured, ..gcm_1400 },
    ];
    for case in &cases {
        run_case(report, case, BATCH);
    }
    for bits in [AesKey::Bits128, AesKey::Bits192, AesKey::Bits256] {
        for integrity in HMACS {
            let Ok(suite) = Suite::new(CipherAlgorithm::AesCbc(bits), integrity) else {
                unreachable!("HMAC goes with CBC")
            };
            for inner in [256, 1400] {
                for (provider, by, at_most) in one_a_call(integrity) {
                    run_case(report, &Case { provider, by, ..case(suite, inner, at_most, Against::Nothing) }, 1);
                }
            }
        }
    }
    providers(report, gcm);
    mixed(report, sha1);
    library(report, sha1);
}

/// Who makes the ICVs of single packets, and what the ratio to OpenSSL may be.
fn one_a_call(integrity: IntegrityAlgorithm) -> Vec<(&'static dyn Provider, &'static str, Against)> {
    let target = Against::AtMost(1.0, 1.0);
    match integrity {
        IntegrityAlgorithm::HmacSha384_192 | IntegrityAlgorithm::HmacSha512_256 => vec![
            // No crate has a longer hash as fast as OpenSSL's, which a provider lends us.
            #[cfg(feature = "anchors")]
            (&esp_ah::OpenSsl, " by OpenSSL", target),
            (&BuiltIn, " built in", Against::Measured),
        ],
        _ => vec![(&BuiltIn, "", target)],
    }
}

fn run_case(report: &mut Report, case: &Case, count: usize) {
    let Case { suite, provider, by, inner, .. } = *case;
    let path = &mut Through::sad(suite, provider, 1, &vec![inner; count]);
    let label = |anchor: &str, way: &str| format!("esp {suite}{by}, {inner} x {count}, {way} / {anchor}");
    let mut duel = |anchor: &str, against: Against, other: &mut dyn Anchor| {
        let (seal, open) = against.targets();
        compare(report, &label(anchor, "seal"), seal, count, |_| path.seal(), |_| other.seal());
        compare(report, &label(anchor, "open"), open, count, |_| path.open(), |_| other.open());
    };
    if let Some(mut naive) = Naive::new(suite, inner, count) {
        duel("RustCrypto per packet", Against::Measured, &mut naive);
    }
    #[cfg(feature = "anchors")]
    {
        use bench_anchors::Library;
        if !matches!(case.openssl, Against::Nothing) {
            duel("OpenSSL", case.openssl, &mut foreign::Foreign::new(Library::OpenSsl, suite, inner, count));
        }
        if !matches!(case.ipsec_mb, Against::Nothing) {
            duel("ipsec-mb burst", case.ipsec_mb, &mut foreign::Foreign::new(Library::IpsecMb, suite, inner, count));
        }
    }
    #[cfg(not(feature = "anchors"))]
    let _ = (case.openssl, case.ipsec_mb);
}

/// What a provider makes against the same built in: it is there to be faster.
fn providers(report: &mut Report, gcm: Suite) {
    let chacha = Suite::new(CipherAlgorithm::ChaCha20Poly1305, IntegrityAlgorithm::None);
    for suite in [Some(gcm), chacha.ok()].into_iter().flatten() {
        for inner in [64, 256, 1400] {
            let mut ring = Through::sad(suite, &Ring, 1, &[inner; BATCH]);
            let mut built_in = Through::sad(suite, &BuiltIn, 1, &[inner; BATCH]);
            let name = |way| format!("esp {suite}, {inner} x {BATCH}, {way} by ring / built in");
            let target = (inner == 1400).then_some(1.0);
            compare(report, &name("seal"), target, BATCH, |_| ring.seal(), |_| built_in.seal());
            compare(report, &name("open"), target, BATCH, |_| ring.open(), |_| built_in.open());
        }
    }
}

/// Mixed lengths and eight associations against one association and their mean length.
fn mixed(report: &mut Report, suite: Suite) {
    let lengths: Vec<usize> = (0..BATCH).map(|n| 64 + (n * 389) % 1337).collect();
    let mean = lengths.iter().sum::<usize>() / BATCH;
    let mut mixture = Through::sad(suite, &BuiltIn, 8, &lengths);
    let mut uniform = Through::sad(suite, &BuiltIn, 1, &[mean; BATCH]);
    let name = |way| format!("esp {suite}, 8 associations, mixed lengths, {way} / uniform");
    compare(report, &name("seal"), Some(1.3), BATCH, |_| mixture.seal(), |_| uniform.seal());
    compare(report, &name("open"), Some(1.3), BATCH, |_| mixture.open(), |_| uniform.open());
}

/// The whole path against the transforms of `esp-ah` alone.
fn library(report: &mut Report, suite: Suite) {
    for inner in [64, 256, 1400] {
        let mut path = Through::sad(suite, &BuiltIn, 1, &[inner; BATCH]);
        let mut bare = Bare::new(suite, inner);
        let name = format!("esp {suite}, {inner} x {BATCH}, seal through sad / esp-ah");
        let target = (inner == 256).then_some(1.15);
        compare(report, &name, target, BATCH, |_| path.seal(), |_| bare.seal());
    }
}

/// Times batches of both sides in turn and reports nanoseconds a packet.
fn compare(
    report: &mut Report,
    name: &str,
    target: Option<f64>,
    count: usize,
    mut ours: impl FnMut(usize) -> Duration,
    mut anchor: impl FnMut(usize) -> Duration,
) {
    if !report.wants(name) {
        return;
    }
    let batches = if count == 1 { BATCHES * 8 } else { BATCHES };
    let mut times: [Vec<f64>; 3] = Default::default();
    for n in 0..batches {
        // The order alternates, so that neither side always finds the caches as the other left them.
        let (a, b) = if n % 2 == 0 {
            let a = ours(n);
            (a, anchor(n))
        } else {
            let b = anchor(n);
            (ours(n), b)
        };
        let (a, b) = (a.as_secs_f64() * 1e9 / count as f64, b.as_secs_f64() * 1e9 / count as f64);
        for (times, value) in times.iter_mut().zip([a, b, a / b]) {
            times.push(value);
        }
    }
    let [a, b, ratio] = times.map(|mut values| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    });
    report.line(name, a, b, ratio, target);
}

/// Bare transforms as somebody else does them.
trait Anchor {
    /// Seals a batch and returns the time of it.
    fn seal(&mut self) -> Duration;
    /// Opens a batch and returns the time of it.
    fn open(&mut self) -> Duration;
}

fn keymat(suite: Suite, association: usize) -> Vec<u8> {
    (0..suite.keymat_len()).map(|n| (n * 31 + association * 7 + 1) as u8).collect()
}

/// Our packets through a database of associations.
struct Through {
    sad: Sad,
    outbound: Vec<SaHandle>,
    buffers: Vec<u8>,
    lengths: Vec<usize>,
    path: Path,
    clock: u64,
}

impl Through {
    fn sad(suite: Suite, provider: &dyn Provider, associations: usize, lengths: &[usize]) -> Self {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut sad = Sad::new(SadSettings::default(), &mut rng);
        let now = drive::Instant::ZERO;
        let end = |last| std::net::SocketAddr::from(([192, 0, 2, last], 0));
        let path = Path { protocol: 50, local: end(1), remote: end(2) };
        let mut outbound = Vec::new();
        for n in 0..associations {
            let keymat = keymat(suite, n);
            let parameters = SaParameters {
                mode: SaMode::Tunnel,
                path,
                flow: FlowId(n as u64),
                owner: OwnerId(0),
                lifetime: Lifetime::default(),
            };
            let made = sad.allocate_spi(now, SaProtocol::Esp, path.local.ip(), OwnerId(0), &mut rng);
            let Ok((larval, spi)) = made else { unreachable!("an empty database has room") };
            let keys = (
                SealKey::with_provider(suite, SequenceBits::Bits64, &keymat, provider),
                OpenKey::with_provider(suite, SequenceBits::Bits64, &keymat, provider),
            );
            let (Ok(sealer), Ok(opener)) = keys else { unreachable!("key material as long as the suite's") };
            let window = WindowSize::Packets128;
            let inbound =
                sad.install_inbound(now, larval, &parameters, window, SourceCheck::Any, InboundKeys::Esp(opener));
            let Some(spi) = Spi::new(spi.get()) else { unreachable!("it was given out") };
            let sent = sad.install_outbound(now, spi, &parameters, OutboundKeys::Esp(sealer), None);
            let (Ok(()), Ok(sent)) = (inbound, sent) else { unreachable!("there is room") };
            outbound.push(sent);
        }
        let buffers = vec![0x5a; STRIDE * lengths.len()];
        Self { sad, outbound, buffers, lengths: lengths.to_vec(), path, clock: 0 }
    }

    fn seal(&mut self) -> Duration {
        self.clock += 1;
        let now = drive::Instant::ZERO + Duration::from_micros(self.clock);
        let mut packets: Vec<Outgoing<'_>> = self
            .buffers
            .chunks_mut(STRIDE)
            .zip(&self.lengths)
            .zip(self.outbound.iter().cycle())
            .filter_map(|((buffer, &len), &association)| {
                Some(Outgoing::new(association, Packet::new(buffer, START + 24..START + 24 + len)?, 4))
            })
            .collect();
        let begun = Instant::now();
        self.sad.seal_batch(now, black_box(&mut packets));
        let took = begun.elapsed();
        assert!(packets.iter().all(|packet| packet.outcome().is_ok()), "a packet was not sealed");
        took
    }

    fn open(&mut self) -> Duration {
        self.clock += 1;
        let now = drive::Instant::ZERO + Duration::from_micros(self.clock);
        let path = self.path;
        let mut sealed: Vec<Outgoing<'_>> = self
            .buffers
            .chunks_mut(STRIDE)
            .zip(&self.lengths)
            .zip(self.outbound.iter().cycle())
            .filter_map(|((buffer, &len), &association)| {
                Some(Outgoing::new(association, Packet::new(buffer, START + 24..START + 24 + len)?, 4))
            })
            .collect();
        self.sad.seal_batch(now, &mut sealed);
        let mut packets: Vec<Incoming<'_>> =
            sealed.into_iter().map(|sealed| Incoming::new(path, sealed.packet)).collect();
        let begun = Instant::now();
        self.sad.open_batch(now, black_box(&mut packets));
        let took = begun.elapsed();
        assert!(packets.iter().all(|packet| packet.outcome().is_ok()), "a packet was not opened");
        took
    }
}

/// The transforms of `esp-ah` without a database.
struct Bare {
    key: SealKey,
    buffers: Vec<u8>,
    inner: usize,
    sequence: u64,
}

impl Bare {
    fn new(suite: Suite, inner: usize) -> Self {
        let Ok(key) = SealKey::new(suite, SequenceBits::Bits64, &keymat(suite, 0)) else {
            unreachable!("key material as long as the suite's")
        };
        Self { key, buffers: vec![0x5a; STRIDE * BATCH], inner, sequence: 0 }
    }

    fn seal(&mut self) -> Duration {
        let (key, inner, first) = (&self.key, self.inner, self.sequence);
        self.sequence += BATCH as u64;
        let mut jobs: Vec<_> = self
            .buffers
            .chunks_mut(STRIDE)
            .zip(first + 1..)
            .filter_map(|(buffer, sequence)| {
                let packet = Packet::new(buffer, START + 24..START + 24 + inner)?;
                Some(esp_ah::SealJob::new(key, packet, 256, sequence, 4))
            })
            .collect();
        let begun = Instant::now();
        esp_ah::seal_batch(black_box(&mut jobs));
        begun.elapsed()
    }
}

/// What somebody writes with the RustCrypto crates, packet after packet, and nothing of ESP around it: `Hmac` cloned
/// for each, GCM of `aes` and `polyval`.
struct Naive {
    frames: Vec<u8>,
    text: usize,
    icv: usize,
    keys: NaiveKeys,
}

enum NaiveKeys {
    Sha1(Box<(aes::Aes128, Hmac<sha1::Sha1>)>),
    Sha256(Box<(aes::Aes256, Hmac<sha2::Sha256>)>),
    Gcm(Box<(aes::Aes128Enc, Polyval)>),
}

impl Naive {
    fn new(suite: Suite, inner: usize, count: usize) -> Option<Self> {
        let keymat = keymat(suite, 0);
        let (key, auth) = keymat.split_at_checked(suite.cipher().lengths().key)?;
        let keys = match suite.integrity() {
            IntegrityAlgorithm::HmacSha1_96 if key.len() == 16 => {
                NaiveKeys::Sha1(Box::new((aes::Aes128::new_from_slice(key).ok()?, Hmac::new_from_slice(auth).ok()?)))
            }
            IntegrityAlgorithm::HmacSha256_128 if key.len() == 32 => {
                NaiveKeys::Sha256(Box::new((aes::Aes256::new_from_slice(key).ok()?, Hmac::new_from_slice(auth).ok()?)))
            }
            _ if matches!(suite.cipher(), CipherAlgorithm::AesGcm(AesKey::Bits128, _)) => {
                // The hash key is another than GCM's, which changes nothing of what is done.
                let hash = Polyval::new(&[7; 16].into());
                NaiveKeys::Gcm(Box::new((aes::Aes128Enc::new_from_slice(key).ok()?, hash)))
            }
            _ => return None,
        };
        let text = (inner + 2).next_multiple_of(suite.cipher().lengths().block.max(4));
        Some(Self { frames: vec![0x5a; STRIDE * count], text, icv: suite.icv_len(), keys })
    }

    fn seal_all(&mut self) {
        match &self.keys {
            NaiveKeys::Sha1(keys) => {
                each(&mut self.frames, |frame| seal_one(&keys.0, &keys.1, frame, self.text, self.icv))
            }
            NaiveKeys::Sha256(keys) => {
                each(&mut self.frames, |frame| seal_one(&keys.0, &keys.1, frame, self.text, self.icv));
            }
            NaiveKeys::Gcm(keys) => {
                each(&mut self.frames, |frame| {
                    let (mask, text) = (gcm_stream(&keys.0, frame, self.text), self.text);
                    let tag = gcm_tag(&keys.1, mask, frame, text);
                    frame[16 + text..][..16].copy_from_slice(&tag);
                });
            }
        }
    }

    fn open_all(&mut self) -> bool {
        let mut good = true;
        match &self.keys {
            NaiveKeys::Sha1(keys) => {
                each(&mut self.frames, |frame| good &= open_one(&keys.0, &keys.1, frame, self.text, self.icv));
            }
            NaiveKeys::Sha256(keys) => {
                each(&mut self.frames, |frame| good &= open_one(&keys.0, &keys.1, frame, self.text, self.icv));
            }
            NaiveKeys::Gcm(keys) => {
                each(&mut self.frames, |frame| {
                    let text = self.text;
                    let mut mask = counter(frame, 1);
                    keys.0.encrypt_block(&mut mask);
                    good &= gcm_tag(&keys.1, mask, frame, text) == frame[16 + text..][..16];
                    gcm_stream(&keys.0, frame, text);
                });
            }
        }
        good
    }
}

impl Anchor for Naive {
    fn seal(&mut self) -> Duration {
        let begun = Instant::now();
        self.seal_all();
        begun.elapsed()
    }

    fn open(&mut self) -> Duration {
        self.seal_all();
        let begun = Instant::now();
        let good = self.open_all();
        let took = begun.elapsed();
        assert!(good, "a packet was not opened");
        took
    }
}

fn each(frames: &mut [u8], work: impl FnMut(&mut [u8])) {
    frames.chunks_mut(STRIDE).map(|frame| frame.get_mut(START..).unwrap_or_default()).for_each(work);
}

fn seal_one<C, M>(cipher: &C, mac: &M, frame: &mut [u8], text: usize, icv: usize)
where
    C: cbc::cipher::BlockCipherEncrypt<BlockSize = cbc::cipher::consts::U16>,
    M: Mac + Clone,
{
    let (covered, rest) = frame.split_at_mut(24 + text);
    let (head, text) = covered.split_at_mut(24);
    let Ok(iv) = cbc::cipher::Array::try_from(&head[8..]) else { return };
    let (blocks, _) = cbc::cipher::Array::slice_as_chunks_mut(text);
    cbc::Encryptor::<&C>::inner_iv_init(cipher, &iv).encrypt_blocks(blocks);
    let mut mac = mac.clone();
    mac.update(covered);
    rest[..icv].copy_from_slice(&mac.finalize().into_bytes()[..icv]);
}

fn open_one<C, M>(cipher: &C, mac: &M, frame: &mut [u8], text: usize, icv: usize) -> bool
where
    C: cbc::cipher::BlockCipherDecrypt<BlockSize = cbc::cipher::consts::U16>,
    M: Mac + Clone,
{
    let (covered, rest) = frame.split_at_mut(24 + text);
    let mut mac = mac.clone();
    mac.update(covered);
    let good = mac.verify_truncated_left(&rest[..icv]).is_ok();
    let (head, text) = covered.split_at_mut(24);
    let Ok(iv) = cbc::cipher::Array::try_from(&head[8..]) else { return false };
    let (blocks, _) = cbc::cipher::Array::slice_as_chunks_mut(text);
    cbc::Decryptor::<&C>::inner_iv_init(cipher, &iv).decrypt_blocks(blocks);
    good
}

/// The most blocks of a packet here, and of what goes with it.
const BLOCKS: usize = 96;

fn counter(frame: &[u8], number: u32) -> aes::Block {
    let mut block = aes::Block::default();
    block[4..12].copy_from_slice(&frame[8..16]);
    block[12..].copy_from_slice(&number.to_be_bytes());
    block
}

/// Adds the key stream of counter mode to the text; returns the block before it.
fn gcm_stream(aes: &aes::Aes128Enc, frame: &mut [u8], text: usize) -> aes::Block {
    let mut stream: [aes::Block; BLOCKS] = std::array::from_fn(|n| counter(frame, n as u32 + 1));
    let stream = &mut stream[..=text.div_ceil(16)];
    aes.encrypt_blocks(stream);
    for (octets, key) in frame[16..][..text].chunks_mut(16).zip(&stream[1..]) {
        octets.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
    }
    stream[0]
}

/// The blocks turned round and hashed in one go.
fn gcm_tag(hash: &Polyval, mask: aes::Block, frame: &[u8], text: usize) -> [u8; 16] {
    let mut blocks = [polyval::Block::default(); BLOCKS];
    let lengths = (64u128 << 64) | (text as u128 * 8);
    let parts = frame[..8].chunks(16).chain(frame[16..][..text].chunks(16));
    let count = blocks.iter_mut().zip(parts).fold(0, |count, (block, part)| {
        let mut whole = [0; 16];
        whole[..part.len()].copy_from_slice(part);
        *block = u128::from_be_bytes(whole).to_le_bytes().into();
        count + 1
    });
    blocks[count] = lengths.to_le_bytes().into();
    let mut hash = hash.clone();
    hash.update(&blocks[..=count]);
    (u128::from_le_bytes(hash.finalize().into()) ^ u128::from_be_bytes(mask.into())).to_be_bytes()
}

#[cfg(feature = "anchors")]
mod foreign {
    use super::{Anchor, Duration, Instant, START, STRIDE, Suite, keymat};
    use bench_anchors::{Anchor as Library_, Hash, Layout, Library, Suite as Theirs};
    use esp_ah::IntegrityAlgorithm;

    /// A C library's transforms.
    pub(super) struct Foreign {
        anchor: Library_,
        frames: Vec<u8>,
        layout: Layout,
    }

    impl Foreign {
        pub(super) fn new(library: Library, suite: Suite, inner: usize, count: usize) -> Self {
            let lengths = suite.cipher().lengths();
            let bits = lengths.key as u16 * 8;
            let theirs = match suite.integrity() {
                IntegrityAlgorithm::HmacMd5_96 => Theirs::AesCbc(bits, Hash::Md5),
                IntegrityAlgorithm::HmacSha1_96 => Theirs::AesCbc(bits, Hash::Sha1),
                IntegrityAlgorithm::HmacSha256_96 | IntegrityAlgorithm::HmacSha256_128 => {
                    Theirs::AesCbc(bits, Hash::Sha256)
                }
                IntegrityAlgorithm::HmacSha384_192 => Theirs::AesCbc(bits, Hash::Sha384),
                IntegrityAlgorithm::HmacSha512_256 => Theirs::AesCbc(bits, Hash::Sha512),
                _ => Theirs::Aes128Gcm,
            };
            let layout = Layout {
                stride: STRIDE,
                count,
                iv: lengths.iv,
                text: (inner + 2).next_multiple_of(lengths.block.max(4)),
                icv: suite.icv_len(),
            };
            let frames = vec![0x5a; STRIDE * count + START];
            Self { anchor: Library_::new(library, theirs, &keymat(suite, 0)), frames, layout }
        }
    }

    impl Anchor for Foreign {
        fn seal(&mut self) -> Duration {
            let begun = Instant::now();
            self.anchor.run(&mut self.frames[START..], self.layout, false);
            begun.elapsed()
        }

        fn open(&mut self) -> Duration {
            self.anchor.run(&mut self.frames[START..], self.layout, false);
            let begun = Instant::now();
            self.anchor.run(&mut self.frames[START..], self.layout, true);
            begun.elapsed()
        }
    }
}
