//! Over a real connection, byte by byte.

use std::time::Duration;

use edge::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::world::World;

struct Served {
    world: World,
    stop: oneshot::Sender<()>,
    done: JoinHandle<()>,
    address: std::net::SocketAddr,
}

async fn served() -> Served {
    let limits = Limits { drain: Duration::from_secs(5), ..Limits::default() };
    let world = World::with_limits(limits).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let edge = world.edge.clone();
    let done = tokio::spawn(async move {
        edge.serve(listener, async { drop(stopped.await) }).await;
    });
    Served { world, stop, done, address }
}

impl Served {
    /// The head of a signed request as bytes.
    fn head(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let request = self.world.request(method, target, headers, body);
        let mut head = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        for (name, value) in request.headers() {
            head.extend_from_slice(format!("{name}: {}\r\n", value.to_str().unwrap()).as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Reads until the connection ends; a hang fails the test.
async fn to_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut all)).await;
    read.expect("the connection ends").unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads one answer with a Content-Length.
async fn one(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut byte = [0];
    let mut wanted = usize::MAX;
    while all.len() < wanted {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut byte)).await;
        read.expect("an answer comes").unwrap();
        all.push(byte[0]);
        if wanted == usize::MAX && all.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&all).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            wanted = all.len() + length.map_or(0, |length| length.trim().parse::<usize>().unwrap());
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn a_connection_is_kept_and_ends_with_the_edge() {
    let served = served().await;
    let mut stream = served.connect().await;
    for body in [&b"one"[..], b"two"] {
        stream.write_all(&served.head("PUT", "/bkt/key", &[], body)).await.unwrap();
        stream.write_all(body).await.unwrap();
        assert!(one(&mut stream).await.starts_with("HTTP/1.1 200"));
        stream.write_all(&served.head("GET", "/bkt/key", &[], b"")).await.unwrap();
        assert!(one(&mut stream).await.ends_with(std::str::from_utf8(body).unwrap()));
    }
    served.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(4), served.done)
        .await
        .expect("an idle connection is let go")
        .unwrap();
    assert_eq!(to_end(&mut stream).await, "");
}

#[tokio::test]
async fn an_expected_body_is_asked_for() {
    let served = served().await;
    let mut stream = served.connect().await;
    stream.write_all(&served.head("PUT", "/bkt/key", &[("expect", "100-continue")], b"hello")).await.unwrap();
    assert!(one(&mut stream).await.starts_with("HTTP/1.1 100"));
    stream.write_all(b"hello").await.unwrap();
    let answer = one(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.to_lowercase().contains("connection: close"), "the connection is kept");
}

#[tokio::test]
async fn an_early_refusal_closes_and_does_not_hang() {
    let served = served().await;
    let mut stream = served.connect().await;
    let head = served.head("PUT", "/none/key", &[("expect", "100-continue")], b"hello");
    stream.write_all(&head).await.unwrap();
    let answer = to_end(&mut stream).await;
    // The store may have looked at the body before the bucket; either way the connection does not linger.
    let last = answer.rsplit_once("HTTP/1.1 ").unwrap().1;
    assert!(last.starts_with("404") && last.to_lowercase().contains("connection: close"), "{answer}");
    assert!(last.contains("<Code>NoSuchBucket</Code>"));
}

#[tokio::test]
async fn a_client_never_told_to_go_on_is_let_go() {
    let served = served().await;
    let mut stream = served.connect().await;
    let head = served.head("PUT", "/bkt/empty", &[("expect", "100-continue")], b"");
    stream.write_all(&head).await.unwrap();
    let answer = to_end(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_refused_client_that_sends_on_reads_its_answer() {
    let served = served().await;
    let mut stream = served.connect().await;
    let body = vec![b'x'; 8 << 20];
    let mut head = served.head("PUT", "/bkt/key", &[], &body);
    let at = head.windows(10).position(|window| window == b"Signature=").unwrap();
    head[at + 10] = if head[at + 10] == b'0' { b'1' } else { b'0' };
    let (mut read, mut write) = stream.split();
    let send = async {
        write.write_all(&head).await.unwrap();
        write.write_all(&body).await
    };
    let receive = async {
        let mut all = Vec::new();
        tokio::time::timeout(Duration::from_secs(10), read.read_to_end(&mut all)).await.unwrap().unwrap();
        String::from_utf8_lossy(&all).into_owned()
    };
    let (_, answer) = tokio::join!(send, receive);
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("SignatureDoesNotMatch"), "{answer:.200}");
    assert!(answer.to_lowercase().contains("connection: close"));
}

#[tokio::test]
async fn a_small_refused_body_is_read_and_the_connection_kept() {
    let served = served().await;
    let mut stream = served.connect().await;
    stream.write_all(&served.head("PUT", "/none/key", &[], b"hello")).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    assert!(one(&mut stream).await.starts_with("HTTP/1.1 404"));
    stream.write_all(&served.head("HEAD", "/bkt", &[], b"")).await.unwrap();
    assert!(one(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_cut_off_leaves_no_object() {
    let served = served().await;
    let mut stream = served.connect().await;
    stream.write_all(&served.head("PUT", "/bkt/cut", &[], b"hello world")).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = to_end(&mut stream).await;
    assert!(answer.is_empty() || answer.contains("IncompleteBody"), "{answer}");
    assert_eq!(served.world.ask("HEAD", "/bkt/cut", &[], b"").await.status, 404);
    drop(served.world.close("cut").await);
}

#[tokio::test]
async fn a_client_that_vanishes_lets_its_key_go() {
    let served = served().await;
    let mut stream = served.connect().await;
    stream.write_all(&served.head("PUT", "/bkt/cut", &[], b"hello world")).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    drop(stream);
    drop(served.world.close("cut").await);
    assert_eq!(served.world.ask("HEAD", "/bkt/cut", &[], b"").await.status, 404);
}

#[tokio::test]
async fn heads_have_bounds() {
    let served = served().await;
    for (flood, status) in [
        ("x-a: b\r\n".repeat(400), "431"),
        (format!("x-a: {}\r\n", "b".repeat(8 << 20)), "431"),
        (format!("x-a: {}\r\n", "b".repeat(80 << 10)), "400"),
        ("x-a\r\n".repeat(1 << 20), "400"),
    ] {
        let mut stream = served.connect().await;
        let head = format!("GET /bkt HTTP/1.1\r\nhost: gateway\r\n{flood}\r\n");
        let (mut read, mut write) = stream.split();
        let send = async {
            // The refusal comes before everything is sent; it is read all the same.
            drop(write.write_all(head.as_bytes()).await);
            write.shutdown().await
        };
        let receive = async {
            let mut all = Vec::new();
            let read = tokio::time::timeout(Duration::from_secs(10), read.read_to_end(&mut all)).await;
            read.expect("the connection ends").expect("no reset comes before the answer");
            String::from_utf8_lossy(&all).into_owned()
        };
        let (_, answer) = tokio::join!(send, receive);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}
