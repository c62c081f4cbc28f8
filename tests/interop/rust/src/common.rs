//! What every Rust program here shares, whatever version of the original it is built with: arguments, results, data.

use std::collections::HashMap;
use std::error::Error as StdError;

use serde_json::Value;

pub type Error = Box<dyn StdError + Send + Sync>;
pub type Result<T> = std::result::Result<T, Error>;

/// Fails with `why` unless `condition` holds.
pub fn check(condition: bool, why: impl Into<String>) -> Result<()> {
    if condition { Ok(()) } else { Err(why.into().into()) }
}

/// Prints one line of the protocol, at once.
pub fn emit(line: &Value) {
    println!("{line}");
}

// Arguments

/// `--name value` options, flags without value, and everything after `--do`.
pub struct Args {
    options: HashMap<String, Vec<String>>,
    pub script: Vec<String>,
}

const FLAGS: [&str; 6] = ["retry", "refuse", "json", "observe", "tokens", "relay-only"];

impl Args {
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut words = words;
        let mut args = Args { options: HashMap::new(), script: Vec::new() };
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or(format!("unexpected argument {word}"))?.to_string();
            if name == "do" {
                args.script = words.by_ref().collect();
                break;
            }
            let value = if FLAGS.contains(&name.as_str()) {
                String::new()
            } else {
                words.next().ok_or(format!("--{name} needs a value"))?
            };
            args.options.entry(name).or_default().push(value);
        }
        Ok(args)
    }

    pub fn has(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        Some(self.options.get(name)?.last()?)
    }

    pub fn all(&self, name: &str) -> &[String] {
        self.options.get(name).map_or(&[], |v| v)
    }

    pub fn number(&self, name: &str, default: u64) -> Result<u64> {
        self.get(name).map_or(Ok(default), |text| Ok(text.parse()?))
    }
}

pub fn bytes32(hex: &str) -> Result<[u8; 32]> {
    check(hex.len() == 64 && hex.is_ascii(), "expected 64 hex digits")?;
    let mut out = [0; 32];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16)?;
    }
    Ok(out)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

// Data

/// Bytes of a period that is prime, so that chunks swapped at any power of two show.
pub struct Pattern(Vec<u8>);

const PERIOD: usize = 65521;

impl Default for Pattern {
    fn default() -> Self {
        let mut x: u32 = 1;
        let block: Vec<u8> = (0..PERIOD)
            .map(|_| {
                x = x.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
                (x >> 16) as u8
            })
            .collect();
        Pattern(block.repeat(2))
    }
}

impl Pattern {
    /// At most PERIOD bytes from position `at`.
    pub fn slice(&self, at: usize, len: usize) -> &[u8] {
        &self.0[at % PERIOD..][..len.min(PERIOD)]
    }

    pub fn matches(&self, at: usize, data: &[u8]) -> bool {
        data.chunks(PERIOD).enumerate().all(|(i, chunk)| self.slice(at + i * PERIOD, chunk.len()) == chunk)
    }
}
