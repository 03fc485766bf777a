//! A server that says what a test tells it to say, byte by byte, and hears what it is told.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A listener whose connections a test plays itself.
pub(super) struct Raw {
    listener: TcpListener,
    pub(super) address: SocketAddr,
}

/// One connection.
pub(super) struct Talk {
    socket: TcpStream,
    heard: Vec<u8>,
}

impl Raw {
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    pub(super) async fn accept(&self) -> Talk {
        let (socket, _) = self.listener.accept().await.unwrap();
        Talk { socket, heard: Vec::new() }
    }
}

impl Talk {
    /// The next head, up to its empty line; what follows it stays.
    pub(super) async fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.heard.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.heard.split_off(at + 4);
                let head = std::mem::replace(&mut self.heard, rest);
                return String::from_utf8(head).unwrap();
            }
            assert!(self.hear().await > 0, "the connection ended in a head");
        }
    }

    /// Exactly so many bytes.
    pub(super) async fn body(&mut self, bytes: usize) -> Vec<u8> {
        while self.heard.len() < bytes {
            assert!(self.hear().await > 0, "the connection ended in a body");
        }
        let rest = self.heard.split_off(bytes);
        std::mem::replace(&mut self.heard, rest)
    }

    /// All that comes until the other side ends the connection.
    pub(super) async fn rest(mut self) -> Vec<u8> {
        while self.hear().await > 0 {}
        self.heard
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.unwrap();
    }

    /// Bytes heard; none once the connection has ended in whatever way.
    async fn hear(&mut self) -> usize {
        self.socket.read_buf(&mut self.heard).await.unwrap_or(0)
    }
}
