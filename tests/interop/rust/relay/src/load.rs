//! Load: pairs of clients that send to each other, idle clients, and storms of connects.
use std::{
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, future::join_all};
use iroh_base::{PublicKey, SecretKey};
use iroh_relay::{
    client::{Client, ClientSink, ClientStream},
    protos::relay::{ClientToRelayMsg, Datagrams, RelayToClientMsg},
};
use tokio::{io::AsyncReadExt, sync::Semaphore, task::JoinSet};

use crate::{Error, Options, Relay};

const STAMP: usize = 8; // bytes of the send time in front of each frame
const SAMPLES_PER_PAIR: usize = 100_000;

#[derive(Clone)]
struct Plan {
    start: Instant,
    seconds: u64,
    rate: f64, // frames per second of one pair; 0: no pause
    size: usize,
    batch: usize,
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
}

impl Plan {
    fn end(&self) -> Instant {
        self.start + Duration::from_secs(self.seconds)
    }

    fn message(&self, to: PublicKey) -> ClientToRelayMsg {
        let mut bytes = vec![0u8; self.size * self.batch];
        let now = self.start.elapsed().as_nanos() as u64;
        bytes[..STAMP].copy_from_slice(&now.to_le_bytes());
        ClientToRelayMsg::Datagrams {
            dst_endpoint_id: to,
            datagrams: Datagrams {
                ecn: None,
                segment_size: if self.batch > 1 { NonZeroU16::new(self.size as u16) } else { None },
                contents: Bytes::from(bytes),
            },
        }
    }
}

/// Sends on schedule; what is late is sent at once, each frame flushed by itself.
async fn send(mut sink: ClientSink, to: PublicKey, plan: Plan, offset: f64) -> Result<(), Error> {
    let mut count = 0u64;
    while Instant::now() < plan.end() {
        if plan.rate > 0.0 {
            let due = plan.start + Duration::from_secs_f64((count as f64 + offset) / plan.rate);
            tokio::time::sleep_until(due.into()).await;
        }
        sink.send(plan.message(to)).await?;
        plan.sent.fetch_add(plan.batch as u64, Relaxed);
        count += 1;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

async fn receive(mut stream: ClientStream, plan: Plan) -> Vec<u64> {
    let mut delays = Vec::with_capacity(SAMPLES_PER_PAIR);
    let until = plan.end() + Duration::from_secs(1);
    while let Ok(Some(Ok(message))) = tokio::time::timeout_at(until.into(), stream.next()).await {
        let RelayToClientMsg::Datagrams { datagrams, .. } = message else { continue };
        plan.received.fetch_add(plan.batch as u64, Relaxed);
        let sent = u64::from_le_bytes(datagrams.contents[..STAMP].try_into().expect("stamp"));
        if delays.len() < SAMPLES_PER_PAIR {
            delays.push(plan.start.elapsed().as_nanos() as u64 - sent);
        }
    }
    delays
}

async fn connect_pair(relay: &Relay) -> Result<(Client, Client, PublicKey), Error> {
    let key = SecretKey::generate();
    let sender = relay.connect(&SecretKey::generate()).await?;
    Ok((sender, relay.connect(&key).await?, key.public()))
}

pub async fn run(relay: &Relay, options: &Options) -> Result<bool, Error> {
    let pairs = options.number("pairs", 20)?;
    let mut clients = Vec::new();
    for _ in 0..pairs {
        clients.push(connect_pair(relay).await?);
    }
    let plan = Plan {
        start: Instant::now() + Duration::from_millis(200),
        seconds: options.number("seconds", 5)?,
        rate: options.number("rate", 20_000)? as f64 / pairs as f64,
        size: (options.number("size", 1200)? as usize).max(STAMP),
        batch: options.number("batch", 1)? as usize,
        sent: Default::default(),
        received: Default::default(),
    };
    tokio::time::sleep_until(plan.start.into()).await;
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    for (i, (sender, receiver, id)) in clients.into_iter().enumerate() {
        let (stream, sink) = receiver.split();
        drop(sink);
        receivers.push(tokio::spawn(receive(stream, plan.clone())));
        let (stream, sink) = sender.split();
        drop(stream);
        senders.push(tokio::spawn(send(sink, id, plan.clone(), i as f64 / pairs as f64)));
    }
    let mut delays: Vec<u64> = Vec::new();
    for receiver in receivers {
        delays.extend(receiver.await?);
    }
    for sender in senders {
        sender.await??;
    }
    delays.sort_unstable();
    let at = |part: f64| delays.get((delays.len() as f64 * part) as usize).map_or(0, |ns| ns / 1000);
    println!(
        "{{\"sent\":{},\"received\":{},\"seconds\":{},\"median_us\":{},\"p99_us\":{}}}",
        plan.sent.load(Relaxed), plan.received.load(Relaxed), plan.seconds, at(0.5), at(0.99)
    );
    Ok(true)
}

/// Answers pings, as any client must.
async fn hold(client: Client) {
    let (mut stream, mut sink) = client.split();
    while let Some(Ok(message)) = stream.next().await {
        if let RelayToClientMsg::Ping(data) = message
            && sink.send(ClientToRelayMsg::Pong(data)).await.is_err()
        {
            break;
        }
    }
}

async fn connect_many(relay: &Relay, count: u64, at_once: usize, keep: bool) -> Result<(Duration, JoinSet<()>), Error> {
    let gate = Arc::new(Semaphore::new(at_once));
    let start = Instant::now();
    let attempts = join_all((0..count).map(|_| {
        let (relay, gate) = (relay.clone(), gate.clone());
        tokio::spawn(async move {
            let _permit = gate.acquire().await?;
            relay.connect(&SecretKey::generate()).await
        })
    }))
    .await;
    let took = start.elapsed();
    let mut held = JoinSet::new();
    for attempt in attempts {
        let client = attempt??;
        if keep {
            held.spawn(hold(client));
        }
    }
    Ok((took, held))
}

pub async fn idle(relay: &Relay, options: &Options) -> Result<bool, Error> {
    let count = options.number("count", 1000)?;
    let (took, mut held) = connect_many(relay, count, 64, true).await?;
    println!("{{\"clients\":{},\"connect_seconds\":{:.3}}}", held.len(), took.as_secs_f64());
    let mut end = Vec::new();
    tokio::io::stdin().read_to_end(&mut end).await?;
    let mut alive = 0u64;
    while held.try_join_next().is_some() {}
    alive += held.len() as u64;
    println!("{{\"alive\":{alive}}}");
    held.abort_all();
    Ok(alive == count)
}

pub async fn storm(relay: &Relay, options: &Options) -> Result<bool, Error> {
    let count = options.number("count", 1000)?;
    let at_once = options.number("at-once", 32)? as usize;
    let (took, _) = connect_many(relay, count, at_once, false).await?;
    println!("{{\"connects\":{count},\"per_second\":{:.0}}}", count as f64 / took.as_secs_f64());
    Ok(true)
}
