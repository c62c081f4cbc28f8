//! What a relay must do for clients of the crate.
use std::{future::Future, num::NonZeroU16, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use iroh_base::{PublicKey, SecretKey};
use iroh_relay::{
    client::Client,
    protos::relay::{ClientToRelayMsg, Datagrams, RelayToClientMsg, Status},
};

use crate::{Error, Relay};

const PATIENCE: Duration = Duration::from_secs(5);

async fn next(client: &mut Client) -> Result<RelayToClientMsg, Error> {
    loop {
        let message = tokio::time::timeout(PATIENCE, client.next()).await?.ok_or("the connection ended")??;
        if let RelayToClientMsg::Ping(data) = message {
            client.send(ClientToRelayMsg::Pong(data)).await?;
            continue;
        }
        return Ok(message);
    }
}

fn datagrams(bytes: Bytes, segment: Option<u16>) -> Datagrams {
    Datagrams { ecn: None, segment_size: segment.and_then(NonZeroU16::new), contents: bytes }
}

async fn send(client: &mut Client, to: PublicKey, datagrams: Datagrams) -> Result<(), Error> {
    Ok(client.send(ClientToRelayMsg::Datagrams { dst_endpoint_id: to, datagrams }).await?)
}

fn expect<T: PartialEq + std::fmt::Debug>(got: T, wanted: T) -> Result<(), Error> {
    if got == wanted { Ok(()) } else { Err(format!("got {got:?}, not {wanted:?}").into()) }
}

/// A round trip through the relay, after which all that was sent before has been handled.
async fn settle(client: &mut Client) -> Result<(), Error> {
    client.send(ClientToRelayMsg::Ping([7; 8])).await?;
    loop {
        if let RelayToClientMsg::Pong(data) = next(client).await? {
            return expect(data, [7; 8]);
        }
    }
}

struct Pair {
    a: Client,
    b: Client,
    a_id: PublicKey,
    b_id: PublicKey,
}

impl Pair {
    async fn new(relay: &Relay) -> Result<Self, Error> {
        let (a_key, b_key) = (SecretKey::generate(), SecretKey::generate());
        Ok(Self {
            a: relay.connect(&a_key).await?,
            b: relay.connect(&b_key).await?,
            a_id: a_key.public(),
            b_id: b_key.public(),
        })
    }

    async fn crosses(&mut self, sent: Datagrams) -> Result<(), Error> {
        send(&mut self.a, self.b_id, sent.clone()).await?;
        let wanted = RelayToClientMsg::Datagrams { remote_endpoint_id: self.a_id, datagrams: sent };
        expect(next(&mut self.b).await?, wanted)
    }
}

async fn datagrams_of_all_sizes(relay: Relay) -> Result<(), Error> {
    let mut pair = Pair::new(&relay).await?;
    for size in [1, 2, 90, 91, 92, 1200, 1452, 15_966, 16_000, 16_384, 32_768, 65_500, 65_502] {
        let bytes: Vec<u8> = (0..size).map(|i| (i * 31 + size) as u8).collect();
        pair.crosses(datagrams(bytes.into(), None)).await.map_err(|e| format!("{size} bytes: {e}"))?;
    }
    Ok(())
}

async fn batches_keep_their_segments(relay: Relay) -> Result<(), Error> {
    let mut pair = Pair::new(&relay).await?;
    for (size, segment) in [(2400, 1200), (12_001, 1200), (65_500, 1452), (2, 1)] {
        pair.crosses(datagrams(vec![3; size].into(), Some(segment))).await?;
    }
    Ok(())
}

async fn order_is_kept(relay: Relay) -> Result<(), Error> {
    let mut pair = Pair::new(&relay).await?;
    let (from, to) = (pair.a_id, pair.b_id);
    for i in 0..400u32 {
        pair.a.feed(ClientToRelayMsg::Datagrams {
            dst_endpoint_id: to,
            datagrams: datagrams(Bytes::copy_from_slice(&i.to_be_bytes()), None),
        }).await?;
    }
    pair.a.flush().await?;
    for i in 0..400u32 {
        let wanted = RelayToClientMsg::Datagrams {
            remote_endpoint_id: from,
            datagrams: datagrams(Bytes::copy_from_slice(&i.to_be_bytes()), None),
        };
        expect(next(&mut pair.b).await?, wanted)?;
    }
    Ok(())
}

async fn a_client_reaches_itself(relay: Relay) -> Result<(), Error> {
    let key = SecretKey::generate();
    let mut client = relay.connect(&key).await?;
    let sent = datagrams(Bytes::from_static(b"echo"), None);
    send(&mut client, key.public(), sent.clone()).await?;
    let wanted = RelayToClientMsg::Datagrams { remote_endpoint_id: key.public(), datagrams: sent };
    expect(next(&mut client).await?, wanted)
}

async fn pings_are_answered(relay: Relay) -> Result<(), Error> {
    let mut client = relay.connect(&SecretKey::generate()).await?;
    for i in 0..50u8 {
        client.send(ClientToRelayMsg::Ping([i; 8])).await?;
        expect(next(&mut client).await?, RelayToClientMsg::Pong([i; 8]))?;
    }
    Ok(())
}

async fn nobody_there_is_silence(relay: Relay) -> Result<(), Error> {
    let mut client = relay.connect(&SecretKey::generate()).await?;
    send(&mut client, SecretKey::generate().public(), datagrams(Bytes::from_static(b"x"), None)).await?;
    settle(&mut client).await
}

async fn the_one_that_goes_is_announced(relay: Relay) -> Result<(), Error> {
    let mut pair = Pair::new(&relay).await?;
    pair.crosses(datagrams(Bytes::from_static(b"hello"), None)).await?;
    pair.a.close().await?;
    expect(next(&mut pair.b).await?, RelayToClientMsg::EndpointGone(pair.a_id))
}

async fn the_newer_of_two_with_one_id_is_active(relay: Relay) -> Result<(), Error> {
    let (key, other_key) = (SecretKey::generate(), SecretKey::generate());
    let mut other = relay.connect(&other_key).await?;
    let mut older = relay.connect(&key).await?;
    let mut newer = relay.connect(&key).await?;
    expect(next(&mut older).await?, RelayToClientMsg::Status(Status::SameEndpointIdConnected))?;
    let sent = datagrams(Bytes::from_static(b"to the newer"), None);
    send(&mut other, key.public(), sent.clone()).await?;
    let wanted = RelayToClientMsg::Datagrams { remote_endpoint_id: other_key.public(), datagrams: sent };
    expect(next(&mut newer).await?, wanted)?;
    settle(&mut older).await?;
    newer.close().await?;
    expect(next(&mut older).await?, RelayToClientMsg::Status(Status::Healthy))?;
    let sent = datagrams(Bytes::from_static(b"to the older"), None);
    send(&mut other, key.public(), sent.clone()).await?;
    let wanted = RelayToClientMsg::Datagrams { remote_endpoint_id: other_key.public(), datagrams: sent };
    expect(next(&mut older).await?, wanted)
}

async fn close_is_answered_at_once(relay: Relay) -> Result<(), Error> {
    let mut client = relay.connect(&SecretKey::generate()).await?;
    client.close().await?;
    loop {
        match tokio::time::timeout(PATIENCE, client.next()).await? {
            None | Some(Err(_)) => return Ok(()),
            Some(Ok(_)) => {}
        }
    }
}

async fn case<F: Future<Output = Result<(), Error>> + Send + 'static>(name: &str, test: F) -> bool {
    match tokio::spawn(test).await {
        Ok(Ok(())) => {
            println!("ok {name}");
            true
        }
        Ok(Err(error)) => {
            println!("FAIL {name}: {error}");
            false
        }
        Err(error) => {
            println!("FAIL {name}: {error}");
            false
        }
    }
}

macro_rules! cases {
    ($relay:expr, $($name:ident),+ $(,)?) => {{
        let mut all = true;
        $(all &= case(stringify!($name), $name($relay.clone())).await;)+
        all
    }};
}

pub async fn run(relay: &Relay) -> Result<bool, Error> {
    Ok(cases!(
        relay,
        datagrams_of_all_sizes,
        batches_keep_their_segments,
        order_is_kept,
        a_client_reaches_itself,
        pings_are_answered,
        nobody_there_is_silence,
        the_one_that_goes_is_announced,
        the_newer_of_two_with_one_id_is_active,
        close_is_answered_at_once,
    ))
}
