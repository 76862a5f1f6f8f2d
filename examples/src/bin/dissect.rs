//! Prints every ISAKMP, ESP, AH, NAT-keepalive and L2TPv3 packet of a capture.

use clap::Parser;
use examples::dissect::keys::Keys;
use examples::dissect::run::{Settings, run};
use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Prints every ISAKMP, ESP, AH, NAT-keepalive and L2TPv3 packet of a capture as text.
///
/// Messages are decrypted where keys are given, and what comes in fragments, of IP or of ISAKMP, is put
/// together and told once, inside tunnels too. L2TPv3 frames are found where the capture has the messages that set
/// their session up. HASH payloads are checked with --psk and --dh-secret, or --dh-secret alone
/// where the peers sign; --psk alone checks those of aggressive mode.
/// With --check the exit code is 1 when a packet breaks a rule.
#[derive(Debug, Parser)]
#[command(name = "dissect", version)]
struct Arguments {
    /// The capture, pcap or pcapng.
    file: PathBuf,
    /// Prints one JSON object for each packet.
    #[arg(long)]
    json: bool,
    /// Says which packets break which rule of which RFC section.
    #[arg(long)]
    check: bool,
    /// The key of the ISAKMP cipher, in hexadecimal, by the initiator cookie.
    #[arg(long, value_name = "COOKIE:KEY")]
    ike_key: Vec<String>,
    /// The pre-shared key as text, or in hexadecimal after 0x; with --dh-secret it opens messages too.
    #[arg(long, value_name = "KEY")]
    psk: Option<String>,
    /// The Diffie-Hellman secret g^xy, in hexadecimal, by the initiator cookie.
    #[arg(long, value_name = "COOKIE:SECRET")]
    dh_secret: Vec<String>,
    /// The keys of an ESP association; a combined cipher's key ends with its salt.
    ///
    /// Ciphers: null, des, 3des, aes, aes-ctr, aes-gcm[-8|-12], aes-ccm[-8|-12], aes-gmac,
    /// chacha20-poly1305. Integrity: md5, sha1, sha256, sha256-96, sha384, sha512, aes-xcbc.
    #[arg(long, value_name = "SPI:CIPHER:KEY[:INTEGRITY:KEY]")]
    esp_sa: Vec<String>,
    /// A directory with the tables ikev1_decryption_table and esp_sa, as Wireshark has them.
    #[arg(long, value_name = "DIR")]
    keylog: Option<PathBuf>,
    /// Shows the passwords of XAUTH.
    #[arg(long)]
    show_secrets: bool,
}

fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever reads the text may stop reading.
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("dissect: {error}");
            ExitCode::from(2)
        }
    }
}

fn start(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let file = std::fs::read(&arguments.file).map_err(|error| format!("{}: {error}", arguments.file.display()))?;
    let settings = Settings {
        keys: keys(arguments)?,
        json: arguments.json,
        check: arguments.check,
        show_secrets: arguments.show_secrets,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let totals = run(&file, &settings, &mut out)?;
    if arguments.check && !arguments.json {
        writeln!(out, "{} frames, {} told, {} rules broken", totals.frames, totals.told, totals.breaches)?;
    }
    out.flush()?;
    Ok(totals.breaches == 0)
}

fn keys(arguments: &Arguments) -> Result<Keys, Box<dyn Error>> {
    let mut keys = Keys::default();
    arguments.ike_key.iter().try_for_each(|text| keys.add_isakmp(text))?;
    arguments.dh_secret.iter().try_for_each(|text| keys.add_shared_secret(text))?;
    arguments.esp_sa.iter().try_for_each(|text| keys.add_esp(text))?;
    keys.psk = match &arguments.psk {
        Some(text) => Some(match text.strip_prefix("0x") {
            Some(digits) => hex::decode(digits).map_err(|error| format!("--psk: {error}"))?,
            None => text.clone().into_bytes(),
        }),
        None => None,
    };
    if let Some(directory) = &arguments.keylog {
        let table = |name: &str| std::fs::read_to_string(directory.join(name));
        keys.add_isakmp_table(&table("ikev1_decryption_table").unwrap_or_default())?;
        keys.add_esp_table(&table("esp_sa").unwrap_or_default())?;
    }
    Ok(keys)
}
