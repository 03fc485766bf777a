#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::connection::CONNECTIONS;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

struct Echo;

#[async_trait]
impl Admin for Echo {
    async fn answer(&self, question: Question) -> Result<Value, AdminError> {
        match question {
            Question::Drives => Err(AdminError::failed("no drives today")),
            Question::Migrate(_) => {
                tokio::time::sleep(Duration::from_secs(600)).await;
                Ok(json!("moved"))
            }
            other => Ok(json!({"asked": format!("{other:?}")})),
        }
    }
}

async fn served() -> (SocketAddr, oneshot::Sender<()>, JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let server = tokio::spawn(serve(listener, Arc::new(Echo), Token::parse(TOKEN).unwrap(), stopped));
    (address, stop, server)
}

/// What an answer is, up to the end of its connection.
async fn to_end(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    text
}

/// Status line and body of the answer to a request written by hand.
async fn ask(request: &str) -> (String, String) {
    let (address, stop, server) = served().await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let text = to_end(&mut socket).await;
    drop(stop);
    server.await.unwrap().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

fn request(line: &str, authorization: &str, body: &str) -> String {
    let length = body.len();
    format!("{line} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn nobody_asks_without_the_token() {
    let wrong = format!("Authorization: Bearer {}x\r\n", &TOKEN[1..]);
    for authorization in ["", "Authorization: Bearer \r\n", "Authorization: Basic eA==\r\n", wrong.as_str()] {
        for line in ["GET /v1/status", "POST /v1/migrate", "GET /", "GET /v1/nothing"] {
            let (status, body) = ask(&request(line, authorization, "")).await;
            assert_eq!(status, "HTTP/1.1 401 Unauthorized", "{line} {authorization}");
            assert!(body.contains("Unauthorized"), "{body}");
        }
    }
    let (status, _) = ask(&request("GET /health", "", "")).await;
    assert_eq!(status, "HTTP/1.1 200 OK");
}

/// Time is not real here: an answer that takes minutes is not waited for.
#[tokio::test(start_paused = true)]
async fn questions_reach_the_admin_and_errors_are_told_in_json() {
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    for (line, body, status, told) in [
        ("GET /v1/status", "", "HTTP/1.1 200 OK", "Status"),
        ("POST /v1/migrate", r#"{"dry_run":true}"#, "HTTP/1.1 200 OK", "moved"),
        ("GET /v1/drives", "", "HTTP/1.1 500 Internal Server Error", "no drives today"),
        ("GET /v1/volumes/x", "", "HTTP/1.1 400 Bad Request", "BadQuestion"),
        ("GET /v2/status", "", "HTTP/1.1 404 Not Found", "NotFound"),
    ] {
        let (found, text) = ask(&request(line, &token, body)).await;
        assert_eq!(found, status, "{line}");
        assert!(text.contains(told), "{text}");
    }
    let (status, _) = ask(&request("POST /v1/migrate", &token, &"x".repeat(BODY_BYTES_MAX + 1))).await;
    assert_eq!(status, "HTTP/1.1 400 Bad Request");
}

/// Whoever connects and says nothing, or only the beginning of something, holds a place for a while only.
#[tokio::test(start_paused = true)]
async fn places_are_not_held_by_silence() {
    let (address, stop, server) = served().await;
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    let half = request("POST /v1/migrate", &token, "{}");
    let mut silent = Vec::new();
    for said in ["", "GET /health HTTP/1.1\r\nHost", &half[..half.len() - 1]].iter().cycle().take(CONNECTIONS)
    {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(said.as_bytes()).await.unwrap();
        silent.push(socket);
    }
    let mut last = TcpStream::connect(address).await.unwrap();
    last.write_all(request("GET /health", "", "").as_bytes()).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(90), to_end(&mut last)).await;
    assert!(answer.expect("a place becomes free").starts_with("HTTP/1.1 200 OK"));
    for mut socket in silent {
        let end = tokio::time::timeout(Duration::from_secs(90), socket.read_to_end(&mut Vec::new())).await;
        drop(end.expect("a silent connection ends"));
    }
    drop(stop);
    server.await.unwrap().unwrap();
}
