//! The loopback, without HTTP.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use super::repeat;
use crate::data::{Contents, SMALL_BYTES, Size};
use crate::error::{Result, file};
use crate::report::Row;

/// About the size of a signed request without a body.
const REQUEST_BYTES: usize = 512;
const BUFFER_BYTES: usize = 256 << 10;

/// A request and 4 KiB back, one after another on one connection.
pub fn ping(contents: &Contents) -> Result<Row> {
    let failed = file("asking over the loopback");
    let answer = contents.of(Size::Small, 0).bytes.clone();
    let mut client = served(REQUEST_BYTES, answer).map_err(&failed)?;
    let mut buffer = vec![0; SMALL_BYTES];
    repeat("loopback, 512 B out and 4 KiB back", || {
        client.write_all(&[0; REQUEST_BYTES]).map_err(&failed)?;
        client.read_exact(&mut buffer).map_err(&failed)?;
        Ok((1, SMALL_BYTES as u64))
    })
}

/// One byte and 64 MiB back, one after another on one connection.
pub fn stream(contents: &Contents) -> Result<Row> {
    let failed = file("streaming over the loopback");
    let answer = contents.of(Size::Large, 0).bytes.clone();
    let length = answer.len();
    let mut client = served(1, answer).map_err(&failed)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    repeat("loopback, 64 MiB back", || {
        client.write_all(&[0]).map_err(&failed)?;
        let mut missing = length;
        while missing > 0 {
            let piece = missing.min(BUFFER_BYTES);
            let count = client.read(&mut buffer[..piece]).map_err(&failed)?;
            if count == 0 {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            missing -= count;
        }
        Ok((1, length as u64))
    })
}

/// A connection to a thread that sends `answer` for every `request` bytes, until the connection is closed.
fn served(request: usize, answer: bytes::Bytes) -> io::Result<TcpStream> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nodelay(true)?;
    let (mut server, _) = listener.accept()?;
    server.set_nodelay(true)?;
    std::thread::spawn(move || {
        let mut buffer = vec![0; request];
        while server.read_exact(&mut buffer).is_ok() && server.write_all(&answer).is_ok() {}
    });
    Ok(client)
}
