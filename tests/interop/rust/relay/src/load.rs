//! Load: pairs of clients that send to each other, idle clients, and storms of connects.
use std::{
    collections::HashSet,
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
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::{
        Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    task::JoinSet,
};

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
    flush: u64, // frames that are handed to the system at once
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

/// Sends on schedule; what is late is sent at once.
async fn send(mut sink: ClientSink, to: PublicKey, plan: Plan, offset: f64) -> Result<(), Error> {
    let mut count = 0u64;
    while Instant::now() < plan.end() {
        if plan.rate > 0.0 {
            let due = plan.start + Duration::from_secs_f64((count as f64 + offset) / plan.rate);
            tokio::time::sleep_until(due.into()).await;
        }
        for _ in 0..plan.flush {
            sink.feed(plan.message(to)).await?;
        }
        sink.flush().await?;
        plan.sent.fetch_add(plan.batch as u64 * plan.flush, Relaxed);
        count += plan.flush;
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
    println!("{{\"clients\":{}}}", 2 * pairs); // from here on a bench counts the time of the server
    let plan = Plan {
        start: Instant::now() + Duration::from_millis(300),
        seconds: options.number("seconds", 5)?,
        rate: options.number("rate", 20_000)? as f64 / pairs as f64,
        size: (options.number("size", 1200)? as usize).max(STAMP),
        batch: options.number("batch", 1)? as usize,
        flush: options.number("flush", 1)?.max(1),
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

/// One of the clients that are held: answers pings, as any client must, sends what it is told to, and tells what came.
async fn hold(client: Client, mut told: UnboundedReceiver<(PublicKey, Bytes)>, came: UnboundedSender<Bytes>) {
    let (mut stream, mut sink) = client.split();
    loop {
        let answer = tokio::select! {
            message = stream.next() => match message {
                Some(Ok(RelayToClientMsg::Ping(data))) => ClientToRelayMsg::Pong(data),
                Some(Ok(RelayToClientMsg::Datagrams { datagrams, .. })) => {
                    let _ = came.send(datagrams.contents);
                    continue;
                }
                Some(Ok(_)) => continue,
                _ => return,
            },
            Some((to, contents)) = told.recv() => ClientToRelayMsg::Datagrams {
                dst_endpoint_id: to,
                datagrams: Datagrams { ecn: None, segment_size: None, contents },
            },
        };
        if sink.send(answer).await.is_err() {
            return;
        }
    }
}

type Member = (PublicKey, UnboundedSender<(PublicKey, Bytes)>);

/// Clients that are held all at once, each from the moment on when it is connected.
struct Crowd {
    tasks: JoinSet<()>,
    members: Vec<Member>,
    came: UnboundedReceiver<Bytes>,
}

impl Crowd {
    async fn connect(relay: &Relay, count: u64, at_once: usize) -> Result<Self, Error> {
        let gate = Arc::new(Semaphore::new(at_once));
        let (arrival, came) = unbounded_channel();
        let (join, mut joined) = unbounded_channel::<Result<Member, Error>>();
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let (relay, gate, join, arrival) = (relay.clone(), gate.clone(), join.clone(), arrival.clone());
            tasks.spawn(async move {
                let Ok(permit) = gate.acquire().await else { return };
                let key = SecretKey::generate();
                let connected = relay.connect(&key).await;
                drop(permit);
                let (tell, told) = unbounded_channel();
                match connected {
                    Ok(client) => {
                        let _ = join.send(Ok((key.public(), tell)));
                        hold(client, told, arrival).await;
                    }
                    Err(error) => {
                        let _ = join.send(Err(error));
                    }
                }
            });
        }
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(joined.recv().await.ok_or("a client ended early")??);
        }
        Ok(Self { tasks, members, came })
    }

    /// A datagram from each of `count` clients, taken evenly, to another one far away in the list: how many arrived.
    async fn cross(&mut self, count: usize) -> Result<usize, Error> {
        let all = self.members.len();
        let mut missing: HashSet<Bytes> = HashSet::new();
        for i in 0..count {
            let (from, to) = (i * all / count, (i * all / count + i * 7919 + all / 2 + 1) % all);
            let contents = Bytes::from(format!("{from} to {to}"));
            missing.insert(contents.clone());
            self.members[from].1.send((self.members[to].0, contents))?;
        }
        let sent = missing.len();
        let until = tokio::time::Instant::now() + Duration::from_secs(10);
        while !missing.is_empty()
            && let Ok(Some(contents)) = tokio::time::timeout_at(until, self.came.recv()).await
        {
            missing.remove(&contents);
        }
        Ok(sent - missing.len())
    }

    fn alive(&mut self) -> usize {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.len()
    }
}

/// Each line of standard input is a number of datagrams to let cross between the clients.
pub async fn idle(relay: &Relay, options: &Options) -> Result<bool, Error> {
    let count = options.number("count", 1000)?;
    let start = Instant::now();
    let mut crowd = Crowd::connect(relay, count, 64).await?;
    let took = start.elapsed().as_secs_f64();
    println!("{{\"clients\":{},\"connect_seconds\":{took:.3}}}", crowd.members.len());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        println!("{{\"crossed\":{}}}", crowd.cross(line.trim().parse()?).await?);
    }
    let alive = crowd.alive() as u64;
    println!("{{\"alive\":{alive}}}");
    crowd.tasks.abort_all();
    Ok(alive == count)
}

pub async fn storm(relay: &Relay, options: &Options) -> Result<bool, Error> {
    let count = options.number("count", 1000)?;
    let gate = Arc::new(Semaphore::new(options.number("at-once", 32)? as usize));
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
    for attempt in attempts {
        attempt??;
    }
    println!("{{\"connects\":{count},\"per_second\":{:.0}}}", count as f64 / took.as_secs_f64());
    Ok(true)
}
